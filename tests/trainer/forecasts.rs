//! What a run says before it begins that it will take, beside what it took.
//!
//! `ATTUNE_FORECASTS=1` tries twenty runs and more, `ATTUNE_FORECASTS=ppo` those of one kind, with
//! people's conversations from `../shared/data` (`ATTUNE_DATA` names another folder) and prints a table.

use super::flat_memory::{SISTER, random_model, shared_pairs};
use crate::support::{
    app::clean,
    binaries,
    chats::{Chats, base, run},
    trainer::{reports, write_lines},
};
use flate2::read::GzDecoder;
use serde_json::{Value, json};
use std::{
    fs::File,
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
    time::Instant,
};

#[test]
fn a_run_tells_its_rows_their_lengths_and_its_memory_before_it_begins() {
    let chats = Chats::new(71, 20);
    let (data, out) = (chats.demonstrations(), chats.path("out"));
    let paths = ["sft", "--model", &base(), "--data", &data, "--out", &out];
    let settings = "--max-steps 2 --max-length 128 --dtype bf16 --device cpu";
    let told = reports(paths.into_iter().chain(settings.split_whitespace()));
    let place = |wanted: &dyn Fn(&Value) -> bool| told.iter().position(wanted).expect("told");
    let lengths = place(&|event| event["key"] == "run-lengths");
    let memory = place(&|event| event["event"] == "forecast");
    let first = place(&|event| event["event"] == "metrics");
    assert!(lengths < memory && memory < first, "{told:?}");
    assert_eq!(told[lengths]["args"]["rows"], json!(20), "{}", told[lengths]);
    let expected = told[memory]["memory_mb"].as_u64().unwrap();
    // A tiny model: hardly more than libtorch itself, and nothing like what 128 tokens a row may be.
    assert!((300..600).contains(&expected), "{expected} MB");

    let summary = run(&[&paths[..5], &["--out", &chats.path("again")]].concat(), settings);
    assert_eq!(summary["expected_mb"].as_u64(), Some(expected), "{summary}");
}

/// A run that is tried.
struct Trial {
    verb: &'static str,
    model: &'static str,
    dtype: &'static str,
    settings: &'static str,
}

const fn trial(
    verb: &'static str,
    model: &'static str,
    dtype: &'static str,
    settings: &'static str,
) -> Trial {
    Trial { verb, model, dtype, settings }
}

const TRIALS: [Trial; 28] = [
    trial(
        "sft",
        "llama",
        "bf16",
        "--batch-size 4 --max-length 512 --max-steps 8 --gradient-checkpointing true",
    ),
    trial(
        "sft",
        "large",
        "f32",
        "--batch-size 2 --max-length 512 --max-steps 4 --gradient-checkpointing true",
    ),
    trial(
        "dpo",
        "qwen3",
        "bf16",
        "--batch-size 4 --max-length 512 --max-steps 8 --gradient-checkpointing true",
    ),
    trial(
        "reward",
        "qwen2",
        "f32",
        "--batch-size 8 --max-length 400 --max-steps 6 --gradient-checkpointing true --lora-rank 16",
    ),
    trial("sft", "llama", "bf16", "--batch-size 2 --max-length 512 --max-steps 16"),
    trial("sft", "llama", "f32", "--batch-size 4 --max-length 256 --max-steps 12"),
    trial("sft", "qwen3", "bf16", "--batch-size 4 --max-length 400 --max-steps 12"),
    trial("sft", "qwen3", "f32", "--batch-size 2 --max-length 1024 --max-steps 8"),
    trial("sft", "qwen2", "bf16", "--batch-size 8 --max-length 300 --max-steps 12 --grad-accum 2"),
    trial("sft", "large", "bf16", "--batch-size 1 --max-length 400 --max-steps 8"),
    trial("reward", "llama", "bf16", "--batch-size 2 --max-length 512 --max-steps 12"),
    trial("reward", "llama", "f32", "--batch-size 4 --max-length 300 --max-steps 8"),
    trial("reward", "qwen3", "bf16", "--batch-size 1 --max-length 1024 --max-steps 16"),
    trial("reward", "qwen2", "f32", "--batch-size 8 --max-length 400 --max-steps 10"),
    trial("reward", "large", "bf16", "--batch-size 1 --max-length 300 --max-steps 6"),
    trial("dpo", "llama", "bf16", "--batch-size 2 --max-length 400 --max-steps 12"),
    trial("dpo", "llama", "f32", "--batch-size 1 --max-length 512 --max-steps 12"),
    trial("dpo", "qwen3", "bf16", "--batch-size 4 --max-length 512 --max-steps 8"),
    trial("dpo", "qwen2", "bf16", "--batch-size 2 --max-length 700 --max-steps 12 --grad-accum 2"),
    trial("dpo", "large", "f32", "--batch-size 1 --max-length 256 --max-steps 4"),
    trial("kto", "llama", "bf16", "--batch-size 4 --max-length 400 --max-steps 12"),
    trial("kto", "qwen3", "f32", "--batch-size 4 --max-length 300 --max-steps 8"),
    trial(
        "ppo",
        "llama",
        "bf16",
        "--batch-size 4 --max-length 300 --response-length 32 --max-steps 6",
    ),
    trial(
        "ppo",
        "llama",
        "f32",
        "--batch-size 2 --max-length 400 --response-length 53 --max-steps 4",
    ),
    trial(
        "ppo",
        "qwen2",
        "bf16",
        "--batch-size 8 --max-length 256 --response-length 24 --max-steps 6",
    ),
    trial(
        "ppo",
        "qwen3",
        "bf16",
        "--batch-size 4 --max-length 200 --response-length 64 --max-steps 4",
    ),
    trial(
        "grpo",
        "llama",
        "bf16",
        "--batch-size 4 --max-length 300 --max-completion-length 32 --num-generations 4 --max-steps 4",
    ),
    trial(
        "grpo",
        "llama",
        "f32",
        "--batch-size 2 --max-length 400 --max-completion-length 53 --beta 0.04 --max-steps 3",
    ),
];

/// What was said and what came of it.
struct Outcome {
    expected_mb: u64,
    peak_mb: u64,
    /// In seconds: what was expected after the first step, and what it took.
    expected_time: f64,
    time: f64,
}

#[test]
fn what_twenty_runs_said_they_would_take_is_what_they_took() {
    let Ok(wanted) = std::env::var("ATTUNE_FORECASTS") else { return };
    let Some(file) = shared_pairs() else { return };
    let files = Files::new(&file);
    println!("| run | expected MB | peak MB | ratio | expected s | took s | ratio |");
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    let chosen = TRIALS.iter().filter(|trial| wanted == "1" || wanted == trial.verb);
    let ratios = chosen.map(|trial| {
        let Outcome { expected_mb, peak_mb, expected_time, time } = files.measure(trial);
        let memory = expected_mb as f64 / peak_mb as f64;
        println!(
            "| {} {} {} {} | {expected_mb} | {peak_mb} | {memory:.2} | {expected_time:.0} | {time:.0} | {:.2} |",
            trial.verb, trial.model, trial.dtype, trial.settings, expected_time / time
        );
        memory
    });
    let ratios: Vec<f64> = ratios.collect();
    assert!(!ratios.is_empty(), "there is no run of kind {wanted}");
    assert!(ratios.iter().all(|ratio| (0.8..=1.2).contains(ratio)), "{ratios:.2?}");
}

struct Files {
    chats: Chats,
    demonstrations: String,
    pairs: String,
    held_out: String,
    prompts: String,
}

impl Files {
    fn new(file: &Path) -> Self {
        let chats = Chats::new(72, 1);
        let larger = [
            ("vocab_size", 49_152),
            ("hidden_size", 576),
            ("intermediate_size", 1536),
            ("num_hidden_layers", 30),
            ("num_attention_heads", 9),
            ("num_key_value_heads", 3),
            ("head_dim", 64),
        ];
        let small = |hidden| {
            [("vocab_size", 32_000), ("hidden_size", hidden), ("intermediate_size", 3 * hidden)]
        };
        let qwen2 = json!({"architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2",
            "max_position_embeddings": 2048, "tie_word_embeddings": false});
        let qwen3 = json!({"architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3",
            "max_position_embeddings": 2048, "num_hidden_layers": 10, "num_attention_heads": 8,
            "num_key_value_heads": 4, "head_dim": 64});
        let llama = json!({"max_position_embeddings": 2048});
        random_model(&chats, "llama", &SISTER, &llama);
        random_model(&chats, "large", &larger, &llama);
        random_model(&chats, "qwen2", &small(256), &qwen2);
        random_model(&chats, "qwen3", &small(512), &qwen3);

        let (demonstrations, pairs) = (chats.path("d.jsonl"), chats.path("pairs.jsonl"));
        let (held_out, prompts) = (chats.path("held.jsonl"), chats.path("prompts.jsonl"));
        let lines = BufReader::new(GzDecoder::new(File::open(file).expect("the file"))).lines();
        let rows: Vec<Value> = lines
            .take(300)
            .map(|line| serde_json::from_str(&line.unwrap()).expect("JSON"))
            .collect();
        let (held, rows) = rows.split_at(12);
        let answered = |row: &Value| json!({"prompt": row["prompt"], "completion": row["chosen"]});
        let pair = |row: &Value| json!({"prompt": row["prompt"], "chosen": row["chosen"], "rejected": row["rejected"]});
        write_lines(Path::new(&demonstrations), rows.iter().map(answered));
        write_lines(Path::new(&pairs), rows.iter().map(pair));
        write_lines(Path::new(&held_out), held.iter().map(pair));
        write_lines(Path::new(&prompts), rows.iter().map(|row| json!({"prompt": row["prompt"]})));
        let files = Self { chats, demonstrations, pairs, held_out, prompts };
        for name in ["llama", "qwen2", "qwen3"] {
            let (model, out) =
                (files.chats.path(name), files.chats.path(&format!("{name}-reward")));
            let paths = ["reward", "--model", &model, "--data", &files.pairs, "--out", &out];
            run(&paths, "--max-steps 1 --batch-size 1 --max-length 300 --save-every 0");
        }
        files
    }

    fn measure(&self, trial: &Trial) -> Outcome {
        let (model, out) = (self.chats.path(trial.model), self.chats.path("out"));
        let reward = self.chats.path(&format!("{}-reward", trial.model));
        let paths: Vec<&str> = match trial.verb {
            "sft" => vec!["--model", &model, "--data", &self.demonstrations],
            "ppo" | "grpo" => {
                vec!["--policy", &model, "--reward", &reward, "--prompts", &self.prompts]
            }
            _ => vec!["--model", &model, "--data", &self.pairs, "--eval-data", &self.held_out],
        };
        let mut command = Command::new(binaries::trainer());
        clean(&mut command)
            .arg(trial.verb)
            .args(paths)
            .args(["--out", &out, "--overwrite", "--report", "json", "--device", "cpu"])
            .args(["--dtype", trial.dtype])
            .args(trial.settings.split_whitespace())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let began = Instant::now();
        let mut child = command.spawn().expect("it starts");
        let (mut expected_time, mut last) = (None, Value::Null);
        for line in BufReader::new(child.stdout.take().expect("piped")).lines() {
            let event: Value = serde_json::from_str(&line.unwrap()).expect("JSON");
            if event["event"] == "progress" && event["step"].as_u64() >= Some(1) {
                let left = event["seconds_left"].as_f64();
                expected_time =
                    expected_time.or(left.map(|left| began.elapsed().as_secs_f64() + left));
            }
            last = event;
        }
        assert!(child.wait().unwrap().success(), "{} failed: {last}", trial.verb);
        Outcome {
            expected_mb: last["expected_mb"].as_u64().expect("told"),
            peak_mb: last["peak_rss_mb"].as_u64().expect("measured"),
            expected_time: expected_time.expect("told"),
            time: began.elapsed().as_secs_f64(),
        }
    }
}
