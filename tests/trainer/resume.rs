//! A run that is killed goes on from its last checkpoint and gives the same weights, bit for bit.

use crate::support::{
    app::clean,
    binaries,
    chats::{Chats, base, run},
};
use std::{
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// Starts the trainer and kills it as soon as its metrics hold so many lines.
fn kill_after(lines: usize, arguments: &[&str], metrics: &str) {
    let mut command = Command::new(binaries::trainer());
    clean(&mut command).args(arguments).args(["--metrics", metrics]);
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let started = Instant::now();
    loop {
        let n_lines =
            std::fs::read_to_string(metrics).map(|text| text.lines().count()).unwrap_or(0);
        if n_lines >= lines {
            break;
        }
        assert!(child.try_wait().unwrap().is_none(), "the run ended before it could be killed");
        assert!(started.elapsed() < Duration::from_secs(120), "no step is made");
        std::thread::sleep(Duration::from_millis(2));
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

fn weights(folder: &str) -> Vec<u8> {
    std::fs::read(Path::new(folder).join("model.safetensors")).expect("the weights")
}

/// Runs once without and once with an interruption; both must end in the same weights.
fn survives(chats: &Chats, paths: &[&str], settings: &str, killed_after: usize) {
    let (whole, broken) = (chats.path("whole"), chats.path("broken"));
    run(&[paths, &["--out", &whole]].concat(), settings);
    let again = [paths, &["--out", &broken]].concat();
    let arguments: Vec<&str> = again.iter().copied().chain(settings.split_whitespace()).collect();
    kill_after(killed_after, &arguments, &chats.path("metrics.jsonl"));
    assert!(!Path::new(&broken).join("model.safetensors").exists(), "it was killed before the end");
    let summary = run(&again, settings);
    assert!(weights(&whole) == weights(&broken), "the resumed run has other weights: {summary}");
}

#[test]
fn sft_survives_a_kill() {
    let chats = Chats::new(11, 64);
    let data = chats.demonstrations();
    let paths = &["sft", "--model", &base(), "--data", &data];
    survives(&chats, paths, "--learning-rate 0.001 --epochs 6 --max-length 128 --save-every 5", 17);
}

#[test]
fn a_reward_run_survives_a_kill() {
    let chats = Chats::new(12, 64);
    let data = chats.preferences();
    let paths = &["reward", "--model", &base(), "--data", &data];
    survives(&chats, paths, "--learning-rate 0.001 --epochs 6 --max-length 128 --save-every 5", 17);
}

#[test]
fn dpo_survives_a_kill() {
    let chats = Chats::new(14, 64);
    let data = chats.preferences();
    let paths = &["dpo", "--model", &base(), "--data", &data];
    survives(&chats, paths, "--learning-rate 0.001 --epochs 6 --max-length 128 --save-every 5", 17);
}

#[test]
fn kto_survives_a_kill() {
    let chats = Chats::new(15, 64);
    let data = chats.preferences();
    let paths = &["kto", "--model", &base(), "--data", &data];
    survives(&chats, paths, "--learning-rate 0.001 --epochs 3 --max-length 128 --save-every 5", 17);
}

/// A method whose policy learns from answers of its own.
fn rollouts_survive_a_kill(verb: &str, settings: &str) {
    let chats = Chats::new(13, 64);
    let sft = chats.sft();
    let reward = chats.reward(&sft);
    let prompts = chats.prompts();
    let paths = &[verb, "--policy", &sft, "--reward", &reward, "--prompts", &prompts];
    let common = "--learning-rate 0.0001 --max-length 128 --save-every 2";
    survives(&chats, paths, &format!("{common} {settings}"), 5);
}

#[test]
fn ppo_survives_a_kill() {
    rollouts_survive_a_kill("ppo", "--batch-size 16 --episodes 128 --response-length 32");
}

#[test]
fn grpo_survives_a_kill() {
    let settings =
        "--batch-size 8 --max-steps 8 --num-generations 4 --max-completion-length 24 --beta 0.04";
    rollouts_survive_a_kill("grpo", settings);
}

#[test]
fn rloo_survives_a_kill() {
    let settings = "--batch-size 8 --max-steps 8 --num-generations 4 --max-completion-length 24";
    rollouts_survive_a_kill("rloo", settings);
}
