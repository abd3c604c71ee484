//! The lines of the command line that scripts rely on.

use crate::support::{
    chats::{Chats, base, run, said},
    trainer::{read_lines, refused, write_lines},
    world::Subject,
};
use serde_json::{Value, json};
use std::path::Path;

fn keys(row: &Value) -> Vec<&str> {
    row.as_object().expect("an object").keys().map(String::as_str).collect()
}

#[test]
fn sft_reports_every_step_and_ends_with_a_summary() {
    let chats = Chats::new(1, 20);
    let (data, out, metrics) =
        (chats.demonstrations(), chats.path("out"), chats.path("metrics.jsonl"));
    let summary = run(
        &[
            "sft",
            "--model",
            &base(),
            "--data",
            &data,
            "--out",
            &out,
            "--metrics",
            &metrics,
            "--eval-data",
            &data,
        ],
        "--batch-size 8 --epochs 2 --learning-rate 0.001 --max-length 128 --save-every 0",
    );
    for key in ["kind", "steps", "tokens", "seconds", "tokens_per_second", "peak_rss_mb", "final"] {
        assert!(!summary[key].is_null(), "{key} in {summary}");
    }
    // 20 rows in batches of 8 are 3 steps a pass: the last partial one is kept.
    assert_eq!((summary["kind"].as_str(), summary["steps"].as_u64()), (Some("sft"), Some(6)));
    let lines = read_lines(Path::new(&metrics));
    assert_eq!(
        lines.iter().map(|line| line["step"].as_u64().unwrap()).collect::<Vec<_>>(),
        [0, 1, 2, 3, 4, 5, 6]
    );
    assert!(lines[0]["eval_loss"].is_number(), "before the first step: {lines:?}");
    let lines = &lines[1..];
    for line in lines {
        for key in ["loss", "grad_norm", "learning_rate", "seconds", "peak_rss_mb"] {
            assert!(line[key].is_number(), "{key} in {line}");
        }
    }
    assert!(lines[5]["eval_loss"].is_number(), "{lines:?}");
    assert!(lines[5]["loss"].as_f64() < lines[0]["loss"].as_f64(), "it learns: {lines:?}");
    for name in ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"] {
        assert!(Path::new(&out).join(name).is_file(), "{name} is missing");
    }
}

#[test]
fn sample_answers_every_prompt_in_order_and_greedily_the_same() {
    let chats = Chats::new(2, 30);
    let sft = chats.sft();
    let (prompts, once, again) =
        (chats.prompts(), chats.path("once.jsonl"), chats.path("again.jsonl"));
    let sample = |out: &str, settings: &str| {
        let paths = ["sample", "--model", &sft, "--prompts", &prompts, "--out", out];
        run(&paths, &format!("--max-new-tokens 40 {settings}"))
    };
    sample(&once, "--n 3 --temperature 1 --seed 5 --batch-size 7");
    sample(&again, "--n 3 --temperature 1 --seed 5 --batch-size 32");
    let (first, second) = (read_lines(Path::new(&once)), read_lines(Path::new(&again)));
    assert_eq!(first.len(), 30);
    for (i, row) in first.iter().enumerate() {
        assert_eq!(keys(row), ["index", "completions"]);
        assert_eq!(row["index"].as_u64(), Some(i as u64));
        let completions = row["completions"].as_array().unwrap();
        assert_eq!(completions.len(), 3);
        for one in completions {
            let ids = one["token_ids"].as_array().unwrap();
            let stopped = ids.last().and_then(Value::as_u64) == Some(2);
            assert_eq!(one["finish_reason"], if stopped { "stop" } else { "length" });
            assert!(ids.len() <= 40 && (stopped || ids.len() == 40), "{one}");
            assert!(!one["text"].as_str().unwrap().contains("<|im_end|>"), "{one}");
        }
    }
    assert_eq!(first, second, "the batch size does not change what a seed gives");

    sample(&once, "--n 2 --temperature 0");
    for row in read_lines(Path::new(&once)) {
        assert_eq!(row["completions"][0], row["completions"][1], "greedy has no chance in it");
    }
}

#[test]
fn logprobs_and_scores_are_told_for_every_row_in_order() {
    let chats = Chats::new(3, 30);
    let sft = chats.sft();
    let reward = chats.reward(&sft);
    let (data, out) = (chats.demonstrations(), chats.path("out.jsonl"));
    run(&["logprobs", "--model", &sft, "--data", &data, "--out", &out], "");
    let rows = read_lines(Path::new(&out));
    for (i, row) in rows.iter().enumerate() {
        assert_eq!(keys(row), ["index", "prompt_token_ids", "token_ids", "logprobs"]);
        assert_eq!(row["index"].as_u64(), Some(i as u64));
        let (ids, logprobs) =
            (row["token_ids"].as_array().unwrap(), row["logprobs"].as_array().unwrap());
        assert_eq!(ids.len(), logprobs.len());
        // The template's tail after the end of the turn is trained on too.
        assert!(ids.iter().any(|id| id.as_u64() == Some(2)), "{row}");
        assert!(
            logprobs.iter().all(|value| value.as_f64().is_some_and(|value| value <= 0.0)),
            "{row}"
        );
    }
    run(&["score", "--model", &reward, "--data", &data, "--out", &out], "");
    assert!(read_lines(Path::new(&out)).iter().all(|row| keys(row) == ["index", "score"]));
    let pairs = chats.preferences();
    run(&["score", "--model", &reward, "--data", &pairs, "--out", &out], "");
    let rows = read_lines(Path::new(&out));
    assert_eq!(rows.len(), 30);
    assert!(rows.iter().all(|row| keys(row) == ["index", "chosen", "rejected"]));
}

#[test]
fn what_sample_writes_is_scored_and_the_best_of_several_is_told() {
    let chats = Chats::new(3, 30);
    let sft = chats.sft();
    let reward = chats.reward(&sft);
    let (prompts, answers, scores) =
        (chats.prompts(), chats.path("answers.jsonl"), chats.path("scores.jsonl"));
    run(
        &["sample", "--model", &sft, "--prompts", &prompts, "--out", &answers],
        "--n 5 --max-new-tokens 12 --temperature 1",
    );
    let score = ["score", "--model", &reward, "--data", &answers, "--out", &scores];
    let told = run(&[&score[..], &["--prompts", &prompts]].concat(), "");
    let (answers, scores) = (read_lines(Path::new(&answers)), read_lines(Path::new(&scores)));
    assert_eq!(scores.len(), 30);
    let mut sum = 0.0;
    for (answered, scored) in answers.iter().zip(&scores) {
        assert_eq!(keys(scored), ["index", "scores"]);
        assert_eq!(scored["index"], answered["index"]);
        let of_prompt = scored["scores"].as_array().unwrap();
        assert_eq!(of_prompt.len(), 5);
        sum += of_prompt.iter().map(|score| score.as_f64().unwrap()).sum::<f64>();
    }
    let best = |k: usize| told["final"][format!("best_of_{k}")].as_f64();
    assert!((best(1).unwrap() - sum / 150.0).abs() < 1e-4, "the mean score");
    assert!(best(1) < best(2) && best(2) < best(4), "{best:?}", best = [best(1), best(2), best(4)]);
    assert_eq!(best(8), None, "there are five answers to a prompt");
}

#[test]
fn a_score_does_not_depend_on_its_neighbours() {
    let chats = Chats::new(4, 30);
    let sft = chats.sft();
    let reward = chats.reward(&sft);
    let (together, alone, out) =
        (chats.demonstrations(), chats.path("alone.jsonl"), chats.path("out.jsonl"));
    let score = |data: &str, settings: &str| {
        run(&["score", "--model", &reward, "--data", data, "--out", &out], settings)
    };
    score(&together, "--batch-size 16");
    let scores = read_lines(Path::new(&out));
    let rows = read_lines(Path::new(&together));
    write_lines(Path::new(&alone), [rows[7].clone()]);
    score(&alone, "--batch-size 1");
    let one = read_lines(Path::new(&out))[0]["score"].as_f64().unwrap();
    let same = scores[7]["score"].as_f64().unwrap();
    assert!((one - same).abs() < 1e-4, "{one} alone, {same} in a batch");
}

#[test]
fn an_unknown_setting_in_a_file_is_refused_by_name() {
    let chats = Chats::new(5, 4);
    let config = chats.path("config.toml");
    std::fs::write(&config, "learning_rat = 0.1\n").unwrap();
    let (data, out) = (chats.demonstrations(), chats.path("out"));
    let paths = ["sft", "--model", &base(), "--data", &data, "--out", &out, "--config", &config];
    let said = refused(paths);
    assert!(said.contains("learning_rat"), "{said}");
}

#[test]
fn nothing_left_to_train_on_is_an_error_that_says_so() {
    let chats = Chats::new(6, 1);
    let (data, out) = (chats.path("long.jsonl"), chats.path("out"));
    let subject = Subject::all(6)[0];
    let long = "The fox runs gladly at dawn. ".repeat(40);
    write_lines(
        Path::new(&data),
        [json!({"prompt": subject.prompt(), "chosen": said(&long), "rejected": said("No.")})],
    );
    let paths = ["reward", "--model", &base(), "--data", &data, "--out", &out];
    let said = refused(paths.into_iter().chain(["--max-length", "64"]));
    assert!(said.contains("max-length") || said.contains("max_length"), "{said}");
}
