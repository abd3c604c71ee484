//! What a folder says of its tokenizer, as transformers reads it.

use super::*;
use crate::fixtures::{fixture, fixture_path};
use std::fs;

#[test]
fn qwens_special_tokens_are_taken_from_where_its_folders_have_them() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    let file = "tokenizer.json";
    fs::copy(fixture_path("tiny_llama").join(file), folder.path().join(file)).unwrap();
    let template = fixture("chat_templates.json")["qwen3"]["template"].take();
    let config = json!({
        "add_bos_token": false, "bos_token": null, "eos_token": "<|im_end|>",
        "pad_token": "<|endoftext|>", "unk_token": null, "chat_template": template
    });
    write("tokenizer_config.json", &config.to_string());
    write("generation_config.json", r#"{"eos_token_id": [2, 0], "pad_token_id": 0}"#);
    write("config.json", r#"{"bos_token_id": 0, "eos_token_id": 2}"#);

    let tokenizer = Tokenizer::load(folder.path()).unwrap();
    assert_eq!((tokenizer.eos_ids(), tokenizer.pad_id()), ([2, 0].as_slice(), Some(0)));
    assert_eq!(tokenizer.eos_token(), Some("<|im_end|>"));
    let text = tokenizer.encode("The sea", true).unwrap();
    assert_eq!(tokenizer.decode(&text), "The sea", "no token begins a text");
    assert_eq!(tokenizer.answer_end(true), Some("<|im_end|>\n"));
    let turns = [json!({"role": "user", "content": "Hi"})];
    assert_eq!(
        tokenizer.render(&turns, true).unwrap(),
        "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
    );
}

#[test]
fn a_template_is_taken_by_its_name_from_where_transformers_takes_it() {
    let named = &fixture("jinja.json")["named"];
    let asked = named["asked"].as_array().unwrap();
    for golden in named["folders"].as_array().unwrap() {
        let folder = tempfile::tempdir().unwrap();
        let file = "tokenizer.json";
        fs::copy(fixture_path("tiny_llama").join(file), folder.path().join(file)).unwrap();
        let config = json!({"eos_token": "<|im_end|>", "chat_template": golden["config"]});
        fs::write(folder.path().join("tokenizer_config.json"), config.to_string()).unwrap();
        for (name, source) in golden["files"].as_object().unwrap() {
            let file = folder.path().join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, source.as_str().unwrap()).unwrap();
        }
        let tokenizer = Tokenizer::load(folder.path()).unwrap();
        for (variables, text) in asked.iter().zip(golden["texts"].as_array().unwrap()) {
            let messages = [json!({"role": "user", "content": "Hi"})];
            let rendered = tokenizer.render_with(&messages, false, variables.as_object().unwrap());
            match (text.as_str(), rendered) {
                (Some(text), rendered) => {
                    assert_eq!(rendered.unwrap(), text, "{golden}, {variables}");
                }
                (None, rendered) => {
                    let error = rendered.unwrap_err().to_string();
                    assert!(error.contains("no chat template named"), "{error}");
                }
            }
        }
    }
}

/// A folder with tokenizer.json and these files.
fn folder_of(tokenizer: &[u8], files: &Map<String, Value>) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("tokenizer.json"), tokenizer).unwrap();
    for (name, value) in files {
        fs::write(folder.path().join(name), value.to_string()).unwrap();
    }
    folder
}

#[test]
fn tokens_that_only_the_configuration_names_are_tokens() {
    let golden = fixture("tokenizers.json");
    let words = golden["words"].as_str().unwrap();
    let own = fs::read(fixture_path("tiny_llama/tokenizer.json")).unwrap();
    for case in golden["tokens"].as_array().unwrap() {
        let folder = folder_of(&own, case["files"].as_object().unwrap());
        let tokenizer = Tokenizer::load(folder.path()).unwrap();
        let ids = tokenizer.encode(words, false).unwrap();
        assert_eq!(json!(ids), case["ids"], "{case}");
        assert_eq!(tokenizer.decode_ids(&ids, true), case["plain"].as_str().unwrap(), "{case}");
        let config = read_json(&folder.path().join("tokenizer_config.json")).unwrap();
        let named = FolderTokens::read(folder.path(), &config).unwrap().named;
        assert_eq!(json!(named), case["named"], "{case}");
    }
}

#[test]
fn spaces_of_a_llama_tokenizer_go_where_its_configuration_says() {
    let golden = fixture("tokenizers.json");
    let own = golden["llama_tokenizer"].to_string();
    for case in golden["llama"].as_array().unwrap() {
        let mut files = Map::from_iter([("tokenizer_config.json".into(), case["config"].clone())]);
        files.insert("config.json".into(), json!({"model_type": "llama"}));
        let folder = folder_of(own.as_bytes(), &files);
        let tokenizer = Tokenizer::load(folder.path()).unwrap();
        for row in case["texts"].as_array().unwrap() {
            let text = row["text"].as_str().unwrap();
            let ids = tokenizer.encode(text, false).unwrap();
            assert_eq!(json!(ids), row["ids"], "{text:?}, {}", case["config"]);
            assert_eq!(
                json!(tokenizer.encode(text, true).unwrap()),
                row["with_special"],
                "{text:?}"
            );
            assert_eq!(tokenizer.decode(&ids), row["decoded"].as_str().unwrap(), "{text:?}");
        }
    }
}

/// A base that calls `<|endoftext|>` its EOS, with this template.
fn base_with(template: &str) -> Tokenizer {
    let own = fs::read(fixture_path("tiny_llama/tokenizer.json")).unwrap();
    let config = json!({"eos_token": "<|endoftext|>", "chat_template": template});
    let files = json!({
        "tokenizer_config.json": config,
        "generation_config.json": {"eos_token_id": 0},
        "config.json": {"model_type": "llama", "eos_token_id": 0}
    });
    let folder = folder_of(&own, files.as_object().unwrap());
    Tokenizer::load(folder.path()).unwrap()
}

#[test]
fn an_answer_ends_where_the_chat_template_ends_it_whatever_the_folder_calls_eos() {
    let turn = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}";
    let chatml = base_with(&format!("{turn}<|im_end|>\n{{% endfor %}}"));
    assert_eq!((chatml.eos_ids(), chatml.has_turn_end()), ([0, 2].as_slice(), true));
    // Plain texts go on as they were pretrained.
    assert_eq!(chatml.answer_end(false), Some("<|endoftext|>"));
    assert_eq!(chatml.answer_end(true), Some("<|im_end|>\n"));
    let mut answer = chatml.encode("The sea", false).unwrap();
    answer.push(2);
    assert_eq!(chatml.completion_text(&answer), "The sea");

    // EOS behind the end of the turn is what the folder stops at already.
    let both = base_with(&format!("{turn}<|im_end|>\n{{% endfor %}}<|endoftext|>"));
    assert_eq!((both.eos_ids(), both.has_turn_end()), ([0].as_slice(), false));
    assert_eq!(both.answer_end(true), Some("<|im_end|>\n<|endoftext|>"));

    // Nothing but words ends a turn here.
    let words = base_with("{% for m in messages %}{{ m.role }}: {{ m.content }}\n\n{% endfor %}");
    assert_eq!((words.eos_ids(), words.has_turn_end()), ([0].as_slice(), false));
    assert_eq!(words.answer_end(true), Some("\n\n"));
}
