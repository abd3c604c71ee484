//! Renderings that transformers made, and what a template may not do.

use super::*;
use crate::fixtures::fixture;
use serde_json::json;
use std::sync::LazyLock;

fn render(source: &str, messages: &Json, add_generation_prompt: bool) -> Result<String> {
    let tokens = BTreeMap::from([("eos_token".to_owned(), "</s>".to_owned())]);
    let messages = messages.as_array().expect("a list of messages");
    ChatTemplate::new(source, tokens)?.render(messages, add_generation_prompt)
}

fn hello() -> Json {
    json!([{"role": "user", "content": " Hi <b> "}, {"role": "assistant", "content": "Да"}])
}

// Expected texts below are what transformers 5.23 renders:
//     tok.apply_chat_template(messages, chat_template=source, tokenize=False)

#[test]
fn blocks_are_trimmed_and_special_tokens_are_known() {
    let source = "{% for m in messages %}\n    {% if m['role'] == 'user' %}\nU:{{ m.content.strip() }}\n    \
                  {% else %}\nA:{{ m['content'] + eos_token }}\n    {% endif %}\n{% endfor %}";
    assert_eq!(render(source, &hello(), false).unwrap(), "U:Hi <b>\nA:Да</s>\n");
}

#[test]
fn a_generation_block_writes_only_what_is_inside_it() {
    let source = "{% for m in messages %}[{% generation %}\n{{ m.content }}{%- endgeneration %}\n]{% endfor %}";
    assert_eq!(render(source, &hello(), false).unwrap(), "[ Hi <b> ][Да]");
}

#[test]
fn the_generation_prompt_is_asked_for_by_name() {
    let source = "{% if add_generation_prompt %}go{% endif %}{% if tools is none %}!{% endif %}";
    assert_eq!(render(source, &hello(), true).unwrap(), "go!");
    assert_eq!(render(source, &hello(), false).unwrap(), "!");
}

#[test]
fn a_filter_takes_no_memory_without_end() {
    for source in [
        "{{ messages | tojson(indent=99999999) }}",
        "{{ messages[0]['content'] | indent(99999999999) }}",
        &format!("{{{{ messages {} }}}}", "| tojson".repeat(60)),
        "{{ ('\\n' * 99999) | indent('a' * 99999) }}",
        "{{ ('\\n' * 9999) | indent('a' * 9999) }}",
        "{{ (['a' * 99999] * 9999) | join }}",
    ] {
        render(source, &hello(), false).unwrap_err();
    }
}

#[test]
fn json_and_constants_are_written_as_python_writes_them() {
    let source = "{{ messages[0] | tojson }} {{ none }} {{ true }} {{ [1, 'a', none] }}";
    assert_eq!(
        render(source, &hello(), false).unwrap(),
        r#"{"role": "user", "content": " Hi <b> "} None True [1, 'a', None]"#
    );
    let source = "{{ messages[1] | tojson(indent=2, ensure_ascii=true) }}";
    assert_eq!(
        render(source, &hello(), false).unwrap(),
        "{\n  \"role\": \"assistant\",\n  \"content\": \"\\u0414\\u0430\"\n}"
    );
}

#[test]
fn loops_can_be_left_and_a_namespace_remembers() {
    let source = "{% set ns = namespace(n=0) %}{% for m in messages %}{% set ns.n = ns.n + 1 %}\
                  {% if loop.first %}{% continue %}{% endif %}{{ m.role }}{% break %}{% endfor %}{{ ns.n }}";
    assert_eq!(render(source, &hello(), false).unwrap(), "assistant2");
}

#[test]
fn qwens_own_templates_are_rendered_as_transformers_renders_them() {
    let golden = fixture("chat_templates.json");
    for name in ["qwen2_5", "qwen3", "qwen3_instruct_2507"] {
        let source = golden[name]["template"].as_str().unwrap();
        let template = ChatTemplate::new(source, BTreeMap::new()).unwrap();
        for case in golden[name]["cases"].as_array().unwrap() {
            let messages = case["messages"].as_array().unwrap();
            let mut variables = case["variables"].as_object().unwrap().clone();
            variables.insert("tools".into(), case["tools"].clone());
            let prompt = case["add_generation_prompt"] == json!(true);
            let text = template
                .render_with(messages, prompt, &variables)
                .unwrap_or_else(|error| panic!("{name}, {}: {error:#}", case["name"]));
            assert_eq!(text, case["text"].as_str().unwrap(), "{name}, {}", case["name"]);
        }
    }
}

#[test]
fn a_refusal_of_the_template_is_told() {
    let error = render("{{ raise_exception('roles must alternate') }}", &hello(), false);
    assert!(format!("{:#}", error.unwrap_err()).contains("roles must alternate"));
}

#[test]
fn a_template_that_does_not_end_is_stopped_and_a_long_conversation_is_not() {
    for endless in [
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
        "{% set ns = namespace(x='aaaaaaaa') %}{% for a in range(99) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}",
        "{{ 'a' * 99999999999 }}",
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    ] {
        let error = render(endless, &hello(), false).unwrap_err();
        assert!(!format!("{error:#}").is_empty());
    }
    let loops = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}";
    let error = render(loops, &hello(), false).unwrap_err();
    assert!(error.to_string().contains("does not come to an end"), "{error:#}");

    let golden = fixture("chat_templates.json");
    for name in ["qwen2_5", "qwen3", "qwen3_instruct_2507"] {
        let source = golden[name]["template"].as_str().unwrap();
        let turn = "tell me more ".repeat(20);
        let turns: Vec<Json> = (0..4000)
            .map(
                |i| json!({"role": if i % 2 == 0 { "user" } else { "assistant" }, "content": turn}),
            )
            .collect();
        let text = render(source, &json!(turns), true).unwrap();
        assert!(text.len() > 4000 * turn.len(), "{name}");
    }
}

#[test]
fn the_date_can_be_written() {
    let year = render("{{ strftime_now('%Y') }}", &hello(), false).unwrap();
    assert!(year.parse::<u32>().unwrap() >= 2026);
    assert!(render("{{ strftime_now('%!') }}", &hello(), false).is_err());
}

/// What `jinja.json` says of a template: the text, or none where Jinja refuses.
fn assert_is_as_in_jinja(case: &Json, rendered: Result<String>) {
    match (case["text"].as_str(), rendered) {
        (Some(text), Ok(rendered)) => assert_eq!(rendered, text, "{}", case["template"]),
        (Some(_), Err(error)) => panic!("{}: {error:#}", case["template"]),
        (None, Ok(rendered)) => panic!("{} is refused by Jinja: {rendered}", case["template"]),
        (None, Err(_)) => {}
    }
}

#[test]
fn expressions_mean_what_python_makes_of_them() {
    let golden = fixture("jinja.json");
    let variables = golden["variables"].as_object().unwrap();
    for case in golden["expressions"].as_array().unwrap() {
        let source = case["template"].as_str().unwrap();
        let template = ChatTemplate::new(source, BTreeMap::new());
        let rendered = template.and_then(|it| it.render_with(&[], false, variables));
        assert_is_as_in_jinja(case, rendered);
    }
}

#[test]
fn the_line_ends_of_a_template_do_not_matter_and_those_of_a_message_do() {
    let case = &fixture("jinja.json")["line_ends"];
    let source = case["template"].as_str().unwrap();
    assert!(source.contains("\r\n"));
    assert_is_as_in_jinja(
        case,
        render(source, &json!([{"role": "user", "content": "a\r\nb"}]), false),
    );
}

#[test]
fn keys_that_are_null_are_not_there_and_thoughts_have_the_names_that_templates_read() {
    let golden = fixture("jinja.json");
    let source = golden["messages_template"].as_str().unwrap();
    for case in golden["messages"].as_array().unwrap() {
        assert_is_as_in_jinja(case, render(source, &case["messages"], false));
    }
}

/// The folder of real templates, which are no part of this project.
fn real_templates() -> Option<std::path::PathBuf> {
    let here = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().map(|folder| folder.join("shared/data/chat_templates")).find(|it| it.is_dir())
}

#[test]
fn templates_of_real_models_are_rendered_as_transformers_renders_them() {
    let Some(folder) = real_templates() else {
        eprintln!("skipped: the folder shared/data/chat_templates is not beside the checkout");
        return;
    };
    let golden = fixture("real_templates.json");
    let conversations = golden["conversations"].as_object().unwrap();
    let config = fixture("tiny_llama/tokenizer_config.json");
    let tokens = ["bos_token", "eos_token", "pad_token", "unk_token"];
    let tokens: BTreeMap<_, _> = tokens
        .into_iter()
        .filter_map(|name| Some((name.to_owned(), config[name].as_str()?.to_owned())))
        .collect();
    let (mut n_rendered, mut others) = (0, Vec::new());
    for (file, golden) in
        golden.as_object().unwrap().iter().filter(|(_, it)| it["renderings"].is_string())
    {
        let source = std::fs::read_to_string(folder.join(file)).unwrap_or_default();
        if !sha256(&source).starts_with(golden["template"].as_str().unwrap()) {
            eprintln!("skipped: {file} is not there, or another");
            continue;
        }
        let template = ChatTemplate::new(&source, tokens.clone()).unwrap();
        let prints = golden["renderings"].as_str().unwrap();
        let asked =
            [false, true].into_iter().flat_map(|ask| conversations.iter().map(move |it| (ask, it)));
        for (at, (ask, (name, row))) in asked.enumerate() {
            let print = &prints[8 * at..8 * at + 8];
            let messages = row["messages"].as_array().unwrap();
            let text = template.render_with(messages, ask, row["variables"].as_object().unwrap());
            n_rendered += usize::from(print != "--------");
            let is_same = match &text {
                Ok(text) => sha256(text).starts_with(print),
                Err(_) => print == "--------",
            };
            if !is_same {
                others.push(format!("{file}, {name}, {ask}: {text:?}"));
            }
        }
    }
    assert!(n_rendered > 0);
    assert!(others.is_empty(), "{} of {n_rendered}: {others:#?}", others.len());
}

/// Noon of the day on which the fixtures were made: templates write the date.
pub(super) fn now() -> chrono::DateTime<chrono::Local> {
    static NOON: LazyLock<chrono::DateTime<chrono::Local>> = LazyLock::new(|| {
        let noon = format!("{}T12:00:00", fixture("real_templates.json")["date"].as_str().unwrap());
        noon.parse::<chrono::NaiveDateTime>().unwrap().and_local_timezone(chrono::Local).unwrap()
    });
    *NOON
}

fn sha256(text: &str) -> String {
    use sha2::{Digest, Sha256};
    hex::encode(Sha256::digest(text))
}
