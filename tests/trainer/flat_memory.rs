//! Memory in bf16 on a processor: however many texts of different lengths have passed through.
//!
//! In the suite the tiny base takes few steps. `ATTUNE_MEMORY=400` takes 400 of each kind of training,
//! with a model of 39 million parameters and people's conversations from `../shared/data`
//! (`ATTUNE_DATA` names another folder).

use super::serve::{Server, greedy};
use crate::support::{
    binaries,
    chats::{Chats, base, run},
    dice::Dice,
    trainer::{read_lines, write_lines},
};
use flate2::read::GzDecoder;
use serde_json::{Value, json};
use std::{
    fs::{self, File},
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
};

/// Words of which texts are made.
const WORDS: [&str; 8] = ["the fox", "runs", "by", "the lake", "a gull", "sees", "cold", "rain"];

fn words(dice: &mut Dice, n: usize) -> String {
    (0..n).map(|_| dice.pick(&WORDS)).collect::<Vec<_>>().join(" ")
}

/// Peaks of the memory of one run in MB: after some of its steps, and at its end.
fn peaks(out: &str, paths: &[&str], settings: &str, after: u64) -> (u64, u64) {
    let metrics = format!("{out}.jsonl");
    let all = [paths, &["--out", out, "--metrics", &metrics]].concat();
    let summary = run(&all, &format!("{settings} --dtype bf16 --device cpu --save-every 0"));
    let lines = read_lines(Path::new(&metrics));
    let at = lines.iter().find(|line| line["step"].as_u64() == Some(after)).expect("the step");
    (at["peak_rss_mb"].as_u64().unwrap(), summary["peak_rss_mb"].as_u64().unwrap())
}

#[test]
fn memory_does_not_grow_with_the_steps_of_texts_of_many_lengths() {
    let chats = Chats::new(61, 1);
    let (data, mut dice) = (chats.path("rows.jsonl"), Dice::new(61));
    // The largest batch comes among the first, so that what is told later is growth.
    let lengths: Vec<_> =
        (0..240).map(|row| if row < 4 { 200 } else { 1 + dice.below(180) }).collect();
    let row = |n| json!({"prompt": "Say it.", "completion": words(&mut dice, n)});
    write_lines(Path::new(&data), lengths.into_iter().map(row));
    let paths = ["sft", "--model", &base(), "--data", &data];
    let settings = "--shuffle false --batch-size 4 --max-length 512 --epochs 1";
    let (few, many) = peaks(&chats.path("out"), &paths, settings, 20);
    // Without bounds on what is kept for each shape: 696 and 1197.
    assert!(many as f64 <= few as f64 * 1.15, "{few} MB after 20 steps, {many} MB after 60");
}

#[tokio::test]
async fn a_server_takes_no_more_memory_for_many_requests_than_for_few() {
    let server = Server::start(Path::new(&base()), &["--dtype", "bf16"]);
    let mut dice = Dice::new(62);
    let mut after = Vec::new();
    for request in 0..200 {
        let n = if request < 3 { 200 } else { 1 + dice.below(180) };
        let (status, answer) = server.ask(&greedy(&words(&mut dice, n))).await;
        assert_eq!(status, 200, "{answer}");
        if [19, 199].contains(&request) {
            after.push(server.peak_mb());
        }
    }
    let (few, many) = (after[0], after[1]);
    // Without bounds: 724 and 1023.
    assert!(many as f64 <= few as f64 * 1.15, "{few} MB after 20 requests, {many} MB after 200");
}

/// What a kind of training is tried with: verb, its files and settings.
struct Trial<'a> {
    paths: Vec<&'a str>,
    settings: &'static str,
}

/// How many steps the long trial takes; none in the suite.
fn steps() -> Option<u64> {
    Some(std::env::var("ATTUNE_MEMORY").ok()?.parse().expect("a number of steps"))
}

/// The conversations of `../shared/data`, or of the folder that `ATTUNE_DATA` names, if they are there.
pub(super) fn shared_pairs() -> Option<PathBuf> {
    let beside = || Some(binaries::root().parent()?.join("shared/data"));
    let folder = std::env::var_os("ATTUNE_DATA").map(PathBuf::from).or_else(beside)?;
    let file = folder.join("hh_pairs/train.jsonl.gz");
    let found = file.is_file();
    if !found {
        println!("skipped: {} is not there", file.display());
    }
    found.then_some(file)
}

#[test]
fn four_kinds_of_training_take_no_more_memory_after_400_steps_than_after_40() {
    let Some(n_steps) = steps() else { return };
    let Some(pairs) = shared_pairs() else { return };
    let files = TrialFiles::new(&pairs, n_steps as usize * BATCH);
    let [model, reward] = [&files.model, &files.reward].map(String::as_str);
    let few = n_steps / 10;
    let train = "--shuffle false --batch-size 2 --max-length 512 --learning-rate 1e-5";
    let answer = "--shuffle false --batch-size 2 --max-length 400 --learning-rate 1e-6 \
        --response-length 32 --ppo-epochs 1";
    let trials = [
        Trial {
            paths: vec!["sft", "--model", model, "--data", &files.demonstrations],
            settings: train,
        },
        Trial { paths: vec!["reward", "--model", model, "--data", &files.pairs], settings: train },
        Trial { paths: vec!["dpo", "--model", model, "--data", &files.pairs], settings: train },
        Trial {
            paths: vec!["ppo", "--policy", model, "--reward", reward, "--prompts", &files.prompts],
            settings: answer,
        },
    ];
    let measured = trials.map(|Trial { paths, settings }| {
        let settings = format!("{settings} --max-steps {n_steps}");
        let (few, many) = peaks(&files.chats.path(paths[0]), &paths, &settings, few);
        println!("{}: {few} MB after a tenth, {many} MB after {n_steps} steps", paths[0]);
        (few, many)
    });
    for (few, many) in measured {
        assert!(many as f64 <= few as f64 * 1.05, "{measured:?}");
    }
}

const BATCH: usize = 2;

/// A model of 39 million parameters, a reward model made of it, and rows.
struct TrialFiles {
    chats: Chats,
    model: String,
    reward: String,
    demonstrations: String,
    pairs: String,
    prompts: String,
}

impl TrialFiles {
    fn new(file: &Path, n_rows: usize) -> Self {
        let chats = Chats::new(63, 1);
        let model = random_model(&chats, "model", &SISTER, &json!({}));
        let (demonstrations, pairs, prompts) =
            (chats.path("d.jsonl"), chats.path("pairs.jsonl"), chats.path("prompts.jsonl"));
        let rows = conversations(file, n_rows);
        let of = |row: &Value, names: &[&str]| -> Value {
            names.iter().map(|name| ((*name).to_owned(), row[*name].clone())).collect()
        };
        let answered = |row: &Value| json!({"prompt": row["prompt"], "completion": row["chosen"]});
        write_lines(Path::new(&demonstrations), rows.iter().map(answered));
        write_lines(
            Path::new(&pairs),
            rows.iter().map(|row| of(row, &["prompt", "chosen", "rejected"])),
        );
        write_lines(Path::new(&prompts), rows.iter().map(|row| of(row, &["prompt"])));
        let reward = chats.path("reward-model");
        let paths = ["reward", "--model", &model, "--data", &pairs, "--out", &reward];
        run(&paths, "--max-steps 1 --batch-size 1 --max-length 512 --save-every 0");
        Self { chats, model, reward, demonstrations, pairs, prompts }
    }
}

/// Of at most about 460 tokens a side. The batches that are largest in one way or another come first,
/// so that whatever is more later is growth.
fn conversations(file: &Path, n: usize) -> Vec<Value> {
    let lines = BufReader::new(GzDecoder::new(File::open(file).expect("the file"))).lines();
    let rows = lines.map(|line| serde_json::from_str::<Value>(&line.unwrap()).expect("JSON"));
    let length = |row: &Value, name: &str| row[name].as_str().expect("a text").len();
    let longest =
        |row: &Value| length(row, "prompt") + length(row, "chosen").max(length(row, "rejected"));
    // The tiny base's tokens are of one to three bytes.
    let rows: Vec<Value> = rows.filter(|row| longest(row) < 800).take(n).collect();
    let mut batches: Vec<Vec<Value>> = rows.chunks(BATCH).map(<[Value]>::to_vec).collect();
    let sizes: [&dyn Fn(&Value) -> usize; 6] = [
        &longest,
        &|row| length(row, "prompt") + length(row, "chosen"),
        &|row| 2 * length(row, "prompt") + length(row, "chosen") + length(row, "rejected"),
        &|row| length(row, "chosen"),
        &|row| length(row, "chosen") + length(row, "rejected"),
        &|row| (length(row, "prompt") + length(row, "chosen")).pow(2),
    ];
    let n_first = batches.len() / 10;
    for (place, size) in (0..n_first).zip(sizes.iter().cycle()) {
        let of = |batch: &usize| batches[*batch].iter().map(size).sum::<usize>();
        let largest = (place..batches.len()).max_by_key(of).expect("a batch");
        batches.swap(place, largest);
    }
    batches.concat()
}

/// The sizes of a model like SmolLM2-135M's smaller sister.
pub(super) const SISTER: [(&str, u64); 7] = [
    ("vocab_size", 49_152),
    ("hidden_size", 384),
    ("intermediate_size", 1024),
    ("num_hidden_layers", 13),
    ("num_attention_heads", 6),
    ("num_key_value_heads", 2),
    ("head_dim", 64),
];

/// The tiny base's tokenizer with a model of these sizes and random weights; `family` is what else its
/// configuration says.
pub(super) fn random_model(
    chats: &Chats,
    name: &str,
    sizes: &[(&str, u64)],
    family: &Value,
) -> String {
    let (skeleton, model) = (chats.path(&format!("{name}-skeleton")), chats.path(name));
    fs::create_dir(&skeleton).unwrap();
    for file in ["tokenizer.json", "tokenizer_config.json", "generation_config.json"] {
        fs::copy(Path::new(&base()).join(file), Path::new(&skeleton).join(file)).unwrap();
    }
    let text = fs::read_to_string(Path::new(&base()).join("config.json")).unwrap();
    let mut config: Value = serde_json::from_str(&text).unwrap();
    for (name, size) in sizes {
        config[*name] = json!(size);
    }
    for (name, value) in family.as_object().expect("an object") {
        config[name] = value.clone();
    }
    fs::write(Path::new(&skeleton).join("config.json"), config.to_string()).unwrap();
    let texts = chats.path("texts.jsonl");
    write_lines(Path::new(&texts), [json!({"text": "The fox runs."})]);
    let paths = ["pretrain", "--model", &skeleton, "--data", &texts, "--out", &model];
    run(&paths, "--max-steps 1 --dtype f32");
    model
}
