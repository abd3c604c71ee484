//! A reward on a finished rollout equals `trainer score` on the same text.

use crate::support::{
    app::clean,
    binaries,
    chats::{Chats, run, said},
    trainer::{read_lines, write_lines},
    world::Subject,
};
use serde_json::{Value, json};
use std::{path::Path, process::Command};

#[test]
fn ppo_scores_what_it_rolled_out_as_trainer_score_does() {
    let chats = Chats::new(21, 64);
    let sft = chats.sft();
    let reward = chats.reward(&sft);
    let samples = samples(&chats, &sft, &reward);
    assert!(samples.len() >= 3, "PPO shows too few samples: {samples:?}");
    let rows = samples.iter().map(
        |(subject, answer, _)| json!({"prompt": subject.prompt(), "completion": said(answer)}),
    );
    let (data, out) = (chats.path("rollouts.jsonl"), chats.path("scores.jsonl"));
    write_lines(Path::new(&data), rows);
    run(&["score", "--model", &reward, "--data", &data, "--out", &out], "");
    for ((subject, answer, reward), row) in samples.iter().zip(read_lines(Path::new(&out))) {
        let score = row["score"].as_f64().expect("a score");
        assert!(
            (score - reward).abs() < 1e-4,
            "{reward} in PPO, {score} afterwards: {subject:?} {answer}"
        );
    }
}

/// What PPO shows of its rollouts: the question, the answer and its reward. In f32, as `score` is.
fn samples(chats: &Chats, sft: &str, reward: &str) -> Vec<(Subject, String, f64)> {
    let (prompts, out) = (chats.prompts(), chats.path("policy"));
    let mut command = Command::new(binaries::trainer());
    let paths = ["ppo", "--policy", sft, "--reward", reward, "--prompts", &prompts, "--out", &out];
    let settings = "--report json --dtype f32 --learning-rate 0.0001 --batch-size 16 --episodes 128 --response-length 48 --max-length 128 --save-every 0";
    let output = clean(&mut command)
        .args(paths)
        .args(settings.split_whitespace())
        .output()
        .expect("the trainer starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).expect("text");
    lines.lines().filter_map(sample).collect()
}

/// An answer that PPO shows and that ended by itself.
fn sample(line: &str) -> Option<(Subject, String, f64)> {
    let event: Value = serde_json::from_str(line).ok()?;
    let (prompt, answer) = (event["prompt"].as_str()?, event["completion"].as_str()?);
    let subject =
        Subject::all(0).into_iter().find(|subject| prompt.contains(&subject.question()))?;
    (event["finish_reason"] == "stop")
        .then(|| (subject, answer.to_owned(), event["score"].as_f64().unwrap_or(f64::NAN)))
}
