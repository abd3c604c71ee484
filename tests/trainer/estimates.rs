//! `--estimate`: what a run would take, told without training, is what it takes.

use crate::support::chats::{Chats, base, run};
use serde_json::{Value, json};
use std::path::Path;

/// The command with `--estimate`, which leaves nothing behind, and then the command.
fn estimated(paths: &[&str], settings: &str, out: &str) -> [Value; 2] {
    let metrics = format!("{out}.jsonl");
    let paths = [paths, &["--out", out, "--metrics", &metrics]].concat();
    let estimate = run(&[&paths[..], &["--estimate"]].concat(), settings);
    assert!(!Path::new(out).exists() && !Path::new(&metrics).exists(), "something was written");
    assert_eq!((&estimate["kind"], &estimate["steps"]), (&json!("estimate"), &json!(0)));
    assert_eq!(estimate["final"]["run"], paths[0]);
    let summary = run(&paths, settings);
    assert_eq!(estimate["final"]["steps"], summary["steps"], "{estimate} {summary}");
    assert_eq!(estimate["expected_mb"], summary["expected_mb"], "{estimate} {summary}");
    assert_eq!(estimate["rows"], summary["rows"], "{estimate} {summary}");
    let memory = estimate["final"]["memory_gb"].as_f64().unwrap() * 1000.0;
    assert_eq!(memory as u64, estimate["expected_mb"].as_u64().unwrap());
    [estimate, summary]
}

#[test]
fn what_a_supervised_run_would_take_is_what_it_takes() {
    let chats = Chats::new(81, 20);
    let (demonstrations, pairs) = (chats.demonstrations(), chats.preferences());
    let settings = "--device cpu --batch-size 4 --max-length 48 --save-every 0";
    for (verb, data, more) in [
        ("sft", &demonstrations, "--epochs 1.5 --packing true"),
        ("sft", &demonstrations, "--max-steps 2"),
        ("reward", &pairs, "--epochs 1"),
        ("dpo", &pairs, "--epochs 1 --lora-rank 2"),
        ("kto", &pairs, "--max-steps 2"),
    ] {
        let (model, out) = (base(), chats.path(&format!("{verb}-{}", more.len())));
        let paths = [verb, "--model", &model, "--data", data];
        let [estimate, summary] = estimated(&paths, &format!("{settings} {more}"), &out);
        assert_eq!(estimate["final"]["tokens"], summary["tokens"], "{verb} {more}");
    }
}

#[test]
fn what_a_run_on_its_own_answers_would_take_is_what_it_takes() {
    let chats = Chats::new(82, 12);
    let (prompts, out) = (chats.prompts(), chats.path("out"));
    let paths = ["grpo", "--policy", &base(), "--prompts", &prompts];
    let settings = "--rule-regex fox --num-generations 2 --max-completion-length 8 --batch-size 4 \
                    --max-steps 2 --device cpu --save-every 0";
    let [estimate, summary] = estimated(&paths, settings, &out);
    let most = estimate["final"]["most_answer_tokens"].as_u64().unwrap();
    assert!(summary["tokens"].as_u64().unwrap() <= most, "{estimate} {summary}");
    assert_eq!(estimate["final"]["episodes"], summary["final"]["episode"]);
}
