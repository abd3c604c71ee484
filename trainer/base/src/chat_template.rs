//! Chat templates as transformers renders them: Jinja with Python's methods, blocks trimmed.
//!
//! What transformers adds to Jinja is added here too: `raise_exception`, `strftime_now`, a `tojson`
//! that is Python's `json.dumps`, loop controls, and `{% generation %}`, which marks what an
//! assistant said and writes nothing itself.

mod python;

use crate::errors::WithMessage;
use anyhow::{Result, ensure};
use entity::message;
use minijinja::{
    Environment, Error, ErrorKind, context,
    syntax::SyntaxConfig,
    value::{Serde, Value, merge_maps},
};
use regex::Regex;
use serde_json::{Map, Value as Json};
use std::{collections::BTreeMap, fmt::Write, sync::LazyLock};

/// A compiled chat template with the special tokens that it may name.
#[derive(Debug)]
pub struct ChatTemplate {
    environment: Environment<'static>,
    special_tokens: BTreeMap<String, String>,
}

const NAME: &str = "chat_template";

/// Steps and bytes that rendering may take, and how many more for each byte of what is rendered: a
/// template comes with its model, from anywhere, and one that loops would never end. A thousand turns
/// through Qwen3's template take a tenth of it.
const FUEL: u64 = 20_000_000;
const FUEL_PER_BYTE: u64 = 100;

/// `{% generation %}` and its end, with their whitespace marks.
static GENERATION: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"\{%([-+]?)\s*(end)?generation\s*([-+]?)%\}").expect("a valid pattern")
});

impl ChatTemplate {
    /// Compiles `source`. `special_tokens` are `bos_token`, `eos_token`, … of the tokenizer.
    pub fn new(source: &str, special_tokens: BTreeMap<String, String>) -> Result<Self> {
        // A `with` block opens a scope, writes nothing and trims like any block, as the call block
        // does that transformers makes of it.
        let source = GENERATION.replace_all(source, "{%$1 ${2}with $3%}");
        let mut environment = Environment::new();
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?;
        environment.set_syntax(syntax);
        environment
            .set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.set_formatter(python::format);
        environment.add_filter("tojson", python::tojson);
        environment.add_function("raise_exception", raise_exception);
        environment.add_function("strftime_now", strftime_now);
        environment.add_template_owned(NAME, source.into_owned()).with_message(|| {
            message!("template-invalid", "the chat template is not valid Jinja")
        })?;
        Ok(Self { environment, special_tokens })
    }

    /// The conversation as text. `messages` are objects with at least `role` and, as a rule,
    /// `content`; with `add_generation_prompt` the text ends where the assistant begins to speak.
    pub fn render(&self, messages: &[Json], add_generation_prompt: bool) -> Result<String> {
        self.render_with(messages, add_generation_prompt, &Map::new())
    }

    /// [`Self::render`] with variables of the template's own, such as `tools`.
    pub fn render_with(
        &self,
        messages: &[Json],
        add_generation_prompt: bool,
        variables: &Map<String, Json>,
    ) -> Result<String> {
        let variables_of_the_caller = variables;
        // The last to name a variable wins.
        let variables = merge_maps([
            context! { tools => (), documents => () },
            Value::from(Serde(&self.special_tokens)),
            Value::from(Serde(variables)),
            context! { messages => Value::from(Serde(messages)), add_generation_prompt },
        ]);
        let n_bytes = messages.iter().map(n_bytes).sum::<u64>()
            + variables_of_the_caller.values().map(n_bytes).sum::<u64>();
        let mut environment = self.environment.clone();
        environment.set_fuel(Some(FUEL.saturating_add(n_bytes.saturating_mul(FUEL_PER_BYTE))));
        let rendered = environment.get_template(NAME)?.render(variables);
        let is_endless = rendered.as_ref().is_err_and(|error| error.kind() == ErrorKind::OutOfFuel);
        ensure!(
            !is_endless,
            message!(
                "template-endless",
                "the chat template does not come to an end with these messages: it is damaged, or meant to do harm; take another model"
            )
        );
        rendered.with_message(|| {
            message!("template-refuses", "the chat template does not render these messages")
        })
    }
}

/// About how long a value is as text.
fn n_bytes(value: &Json) -> u64 {
    match value {
        Json::String(text) => text.len() as u64,
        Json::Array(values) => values.iter().map(n_bytes).sum::<u64>() + 1,
        Json::Object(values) => {
            values.iter().map(|(key, value)| key.len() as u64 + n_bytes(value)).sum::<u64>() + 1
        }
        _ => 1,
    }
}

/// Templates refuse what they cannot write, such as two user turns in a row.
fn raise_exception(message: String) -> Result<Value, Error> {
    Err(Error::new(ErrorKind::InvalidOperation, message))
}

fn strftime_now(format: &str) -> Result<String, Error> {
    let mut text = String::new();
    match write!(text, "{}", chrono::Local::now().format(format)) {
        Ok(()) => Ok(text),
        Err(_) => Err(Error::new(
            ErrorKind::InvalidOperation,
            format!("strftime_now: {format} is not a date format"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::fixture;
    use serde_json::json;

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
        let source =
            "{% if add_generation_prompt %}go{% endif %}{% if tools is none %}!{% endif %}";
        assert_eq!(render(source, &hello(), true).unwrap(), "go!");
        assert_eq!(render(source, &hello(), false).unwrap(), "!");
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
        let loops =
            "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}";
        let error = render(loops, &hello(), false).unwrap_err();
        assert!(error.to_string().contains("does not come to an end"), "{error:#}");

        let golden = fixture("chat_templates.json");
        for name in ["qwen2_5", "qwen3", "qwen3_instruct_2507"] {
            let source = golden[name]["template"].as_str().unwrap();
            let turn = "tell me more ".repeat(20);
            let turns: Vec<Json> = (0..4000)
                .map(|i| json!({"role": if i % 2 == 0 { "user" } else { "assistant" }, "content": turn}))
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
}
