//! What is scored of an answer is what `trainer score` makes of its text.

use super::*;
use crate::fixtures::fixture_path;
use serde_json::{Value, json};
use std::ops::ControlFlow;
use trainer_base::rows::{self, LongPrompts};

#[test]
fn a_finished_answer_is_scored_on_the_ids_that_trainer_score_makes_of_its_text() {
    let twice = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}\
                 {% if add_generation_prompt %}<|im_start|>assistant\n{% else %}<|endoftext|>{% endif %}";
    for (eos, template) in [
        ("<|im_end|>", None),
        // A base that calls another token EOS than its template ends turns with, and both behind a turn.
        ("<|endoftext|>", None),
        ("<|endoftext|>", Some(twice)),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for file in ["tokenizer.json", "chat_template.jinja"] {
            std::fs::copy(fixture_path("tiny_llama").join(file), at(file)).unwrap();
        }
        std::fs::write(at("tokenizer_config.json"), json!({"eos_token": eos}).to_string()).unwrap();
        if let Some(template) = template {
            std::fs::write(at("chat_template.jinja"), template).unwrap();
        }
        assert_scored_as_by_trainer_score(&Tokenizer::load(folder.path()).unwrap());
    }
}

fn assert_scored_as_by_trainer_score(tokenizer: &Tokenizer) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rows.jsonl");
    let rows = [
        json!({"prompt": "The sea is", "completion": " wide and cold."}),
        json!({"prompt": "Где лодка?", "completion": " В море. 42"}),
        json!({
            "prompt": [{"role": "user", "content": "Is the sea wide?"}],
            "completion": [{"role": "assistant", "content": "The sea — море — is wide."}]
        }),
    ];
    std::fs::write(&file, rows.each_ref().map(Value::to_string).join("\n")).unwrap();
    let log = &mut |_| ControlFlow::Continue(());
    let prompts = rows::load_prompts(&file, tokenizer, 512, LongPrompts::Refuse, log).unwrap().rows;
    let wanted = rows::load_to_score(&file, None, tokenizer, 512, log).unwrap().rows;
    for ((prompt, wanted), row) in prompts.iter().zip(wanted).zip(&rows) {
        let rows::RowToScore::Answer { ids: wanted, .. } = wanted else {
            panic!("no pairs were given")
        };
        let answer = &row["completion"];
        let text = answer.as_str().or_else(|| answer[0]["content"].as_str()).unwrap();
        // Letter by letter, as no tokenizer would have written it.
        let mut token_ids: Vec<i64> = text
            .chars()
            .flat_map(|letter| tokenizer.encode(&letter.to_string(), false).unwrap())
            .collect();
        let truncated = [prompt.ids.as_slice(), &token_ids].concat();
        let completion = Completion {
            token_ids: token_ids.clone(),
            finish_reason: FinishReason::Length,
            logprobs: Vec::new(),
        };
        assert_eq!(ids_to_score(prompt, &completion, tokenizer).unwrap(), truncated);

        let end = if prompt.is_conversation { "<|im_end|>" } else { "<|endoftext|>" };
        token_ids.extend(tokenizer.encode(end, false).unwrap());
        let completion =
            Completion { token_ids, finish_reason: FinishReason::Stop, logprobs: Vec::new() };
        assert_eq!(ids_to_score(prompt, &completion, tokenizer).unwrap(), wanted);
    }
}
