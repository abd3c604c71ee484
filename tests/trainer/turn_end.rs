//! A base that calls `<|endoftext|>` its EOS, as many that were pretrained on plain texts do, under a chat
//! template that ends turns with `<|im_end|>`: whatever learnt from it stops where its turn ends.

use super::serve::{Server, greedy};
use crate::support::{
    chats::{Chats, run},
    tiny_base,
    trainer::read_lines,
};
use serde_json::{Value, json};
use std::{fs, path::Path};

/// Ids of the tiny base's `<|endoftext|>` and `<|im_end|>`.
const END_OF_TEXT: u64 = 0;
const END_OF_TURN: u64 = 2;

/// The tiny base with the other EOS.
fn base_of_plain_texts(folder: &Path) {
    fs::create_dir(folder).unwrap();
    for entry in fs::read_dir(tiny_base()).unwrap().flatten() {
        fs::copy(entry.path(), folder.join(entry.file_name())).unwrap();
    }
    for (name, key, value) in [
        ("tokenizer_config.json", "eos_token", json!("<|endoftext|>")),
        ("tokenizer_config.json", "pad_token", json!("<|endoftext|>")),
        ("config.json", "eos_token_id", json!(END_OF_TEXT)),
        ("generation_config.json", "eos_token_id", json!(END_OF_TEXT)),
    ] {
        let file = folder.join(name);
        let mut config: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
        config[key] = value;
        fs::write(&file, config.to_string()).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_learnt_from_a_base_with_another_eos_stops_where_its_turn_ends() {
    let chats = Chats::new(31, 64);
    let (base, sft) = (chats.path("base"), chats.path("sft"));
    base_of_plain_texts(Path::new(&base));
    let data = chats.demonstrations();
    let paths = ["sft", "--model", &base, "--data", &data, "--out", &sft];
    run(&paths, "--learning-rate 0.002 --epochs 2 --max-length 128 --save-every 0");
    let generation = fs::read(Path::new(&sft).join("generation_config.json")).unwrap();
    let generation: Value = serde_json::from_slice(&generation).unwrap();
    assert_eq!(generation["eos_token_id"], json!([END_OF_TEXT, END_OF_TURN]));

    let (prompts, out) = (chats.prompts(), chats.path("answers.jsonl"));
    let paths = ["sample", "--model", &sft, "--prompts", &prompts, "--out", &out];
    run(&paths, "--n 1 --temperature 0 --max-new-tokens 60");
    let answers = read_lines(Path::new(&out));
    let stopped = answers.iter().filter(|row| {
        let answer = &row["completions"][0];
        let last = answer["token_ids"].as_array().unwrap().last().unwrap();
        answer["finish_reason"] == "stop" && *last == json!(END_OF_TURN)
    });
    assert!(stopped.count() * 10 >= answers.len() * 9, "{answers:?}");

    let server = Server::start(Path::new(&sft), &[]);
    let (_, answer) = server.ask(&greedy("Tell me of the red fox by the lake.")).await;
    assert_eq!(answer["choices"][0]["finish_reason"], "stop", "{answer}");

    let reward = chats.reward(&sft);
    let policy = chats.path("policy");
    let paths =
        ["ppo", "--policy", &sft, "--reward", &reward, "--prompts", &prompts, "--out", &policy];
    let settings = "--learning-rate 0.0001 --batch-size 16 --episodes 32 --response-length 60 --max-length 128 --save-every 0";
    let summary = run(&paths, settings);
    let ended = summary["final"]["val/num_eos_tokens"].as_f64();
    assert!(ended.is_some_and(|ended| ended >= 8.0), "{summary}");
}
