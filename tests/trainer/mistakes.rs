//! Every mistake is answered with one clear error: where, what, and what to do. Each test reads what
//! a person reads, and looks that nothing half-written remains.
//!
//! Mistakes at the start (a port in use, passwords, versions of the database) are in
//! `tests/refusals.rs`, those of the hub in `fetch.rs`.

use crate::support::{
    app::{TestApp, Worker, clean},
    binaries,
    chats::{Chats, base},
    database::on_both_databases,
    dice::Dice,
    eventually,
    trainer::refused,
    world::Subject,
};
use annotator::data::formats::row::ImportRow;
use entity::{dataset_version::DatasetKind, run};
use sea_orm::EntityTrait;
use serde_json::{Value, json};
use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

/// One line that names these; nothing is left in `out` but checkpoints.
fn says(said: &str, words: &[&str], out: &str) {
    assert!(
        said.trim_end().lines().filter(|line| line.starts_with("error: ")).count() == 1,
        "{said}"
    );
    for word in words {
        assert!(said.contains(word), "{word:?} is missing in: {said}");
    }
    for trace in ["stack backtrace", "panicked", "RUST_BACKTRACE"] {
        assert!(!said.contains(trace), "{said}");
    }
    assert!(!Path::new(out).join("model.safetensors").exists(), "a model is left behind");
    let left = fs::read_dir(out).into_iter().flatten().flatten().map(|entry| entry.file_name());
    let left: Vec<String> = left.map(|name| name.to_string_lossy().into_owned()).collect();
    assert!(left.iter().all(|name| name.starts_with("checkpoint-")), "{left:?} are left behind");
}

/// Runs SFT on `data` from `model`, which must not work.
fn sft(chats: &Chats, model: &str, data: &str, words: &[&str]) {
    let out = chats.path("out");
    says(
        &refused(["sft", "--model", model, "--data", data, "--out", &out, "--max-length", "128"]),
        words,
        &out,
    );
}

/// A copy of the tiny base that can be spoiled.
fn copied_base(chats: &Chats) -> String {
    let copy = chats.path("copy");
    fs::create_dir_all(&copy).unwrap();
    for entry in fs::read_dir(base()).unwrap().flatten() {
        fs::copy(entry.path(), Path::new(&copy).join(entry.file_name())).unwrap();
    }
    copy
}

fn with_config(folder: &str, change: impl FnOnce(&mut Value)) {
    let file = Path::new(folder).join("config.json");
    let mut config: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    change(&mut config);
    fs::write(file, config.to_string()).unwrap();
}

#[test]
fn a_broken_line_is_named_with_its_file_and_number() {
    let chats = Chats::new(31, 8);
    let data = chats.demonstrations();
    let text = fs::read_to_string(&data).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let broken = [&lines[..2], &["{\"prompt\": \"half"], &lines[3..]].concat().join("\n");
    fs::write(&data, broken).unwrap();
    sft(&chats, &base(), &data, &["demonstrations.jsonl, line 3", "JSON"]);
}

#[test]
fn a_row_without_its_field_is_named_with_what_is_expected() {
    let chats = Chats::new(31, 8);
    let data = chats.preferences();
    sft(&chats, &base(), &data, &["preferences.jsonl, line 1", "`prompt` and `completion`"]);
}

#[test]
fn an_empty_dataset_is_named() {
    let chats = Chats::new(32, 1);
    let data = chats.path("empty.jsonl");
    fs::write(&data, "\n").unwrap();
    sft(&chats, &base(), &data, &["empty.jsonl", "has no rows"]);
}

#[test]
fn an_unknown_architecture_is_named_with_those_that_are_known() {
    let chats = Chats::new(33, 4);
    let (model, data) = (copied_base(&chats), chats.demonstrations());
    with_config(&model, |config| {
        config["architectures"] = json!(["GptNeoXForCausalLM"]);
        config["model_type"] = json!("gpt_neox");
    });
    sft(
        &chats,
        &model,
        &data,
        &["config.json", "gpt_neox", "LlamaForCausalLM", "Qwen2ForCausalLM", "Qwen3ForCausalLM"],
    );
}

#[test]
fn weights_that_were_cut_off_are_named() {
    let chats = Chats::new(34, 4);
    let (model, data) = (copied_base(&chats), chats.demonstrations());
    let weights = Path::new(&model).join("model.safetensors");
    let whole = fs::read(&weights).unwrap();
    fs::write(&weights, &whole[..whole.len() / 2]).unwrap();
    sft(&chats, &model, &data, &["model.safetensors"]);
}

#[test]
fn a_prompt_longer_than_the_context_is_named_with_both_lengths() {
    let chats = Chats::new(35, 1);
    let (prompts, out) = (chats.path("long.jsonl"), chats.path("answers.jsonl"));
    let long = "The fox runs gladly at dawn. ".repeat(200);
    fs::write(&prompts, json!({"prompt": [{"role": "user", "content": long}]}).to_string())
        .unwrap();
    let paths = ["sample", "--model", &base(), "--prompts", &prompts, "--out", &out];
    let said = refused(paths.into_iter().chain(["--max-length", "100000"]));
    says(&said, &["tokens", "512", "shorten"], &out);
    assert!(!Path::new(&out).exists());
}

#[test]
fn one_prompt_that_is_too_long_can_be_left_out_and_the_others_are_answered() {
    let chats = Chats::new(35, 1);
    let (prompts, out) = (chats.path("mixed.jsonl"), chats.path("answers.jsonl"));
    let long = "The fox runs gladly at dawn. ".repeat(200);
    let row = |text: &str| json!({"prompt": [{"role": "user", "content": text}]}).to_string();
    fs::write(&prompts, [row("One?"), row(&long), row("Two?")].join("\n")).unwrap();
    let mut command = Command::new(binaries::trainer());
    let paths = ["sample", "--model", &base(), "--prompts", &prompts, "--out", &out];
    let skipping = ["--max-length", "100000", "--skip-long-prompts", "true"];
    let output = clean(&mut command).args(paths).args(skipping).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("1 of 3 rows dropped"), "{said}");
    let answers = fs::read_to_string(&out).unwrap();
    let rows = answers.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    assert_eq!(rows.map(|row| row["index"].clone()).collect::<Vec<_>>(), [0, 2]);
}

#[test]
fn rows_longer_than_the_context_are_cut_to_it_and_that_is_told() {
    let chats = Chats::new(35, 4);
    let (data, out) = (chats.demonstrations(), chats.path("out"));
    let mut command = Command::new(binaries::trainer());
    let paths = ["sft", "--model", &base(), "--data", &data, "--out", &out];
    let output = clean(&mut command).args(paths).args(["--max-steps", "1"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(
        said.contains("max_length 1024 is more than the 512 tokens that the model reads"),
        "{said}"
    );
}

#[test]
fn a_model_without_a_chat_template_says_what_to_add() {
    let chats = Chats::new(36, 4);
    let (model, data) = (copied_base(&chats), chats.demonstrations());
    let _ = fs::remove_file(Path::new(&model).join("chat_template.jinja"));
    let file = Path::new(&model).join("tokenizer_config.json");
    let mut config: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    config.as_object_mut().unwrap().remove("chat_template");
    fs::write(file, config.to_string()).unwrap();
    sft(&chats, &model, &data, &["no chat template", "chat_template.jinja"]);
}

#[test]
fn a_reward_model_with_another_tokenizer_is_refused_with_a_token_that_differs() {
    let chats = Chats::new(37, 16);
    let sft = chats.sft();
    let (reward, prompts, out) = (chats.reward(&sft), chats.prompts(), chats.path("out"));
    let file = Path::new(&reward).join("tokenizer.json");
    let text = fs::read_to_string(&file).unwrap();
    let mut tokenizer: Value = serde_json::from_str(&text).unwrap();
    let vocabulary = tokenizer["model"]["vocab"].as_object_mut().unwrap();
    // Two words change places.
    let id = |name: &str, of: &serde_json::Map<String, Value>| of[name].clone();
    let (the, fox) = (id("a", vocabulary), id("b", vocabulary));
    vocabulary["a"] = fox;
    vocabulary["b"] = the;
    fs::write(file, tokenizer.to_string()).unwrap();
    let said = refused([
        "ppo",
        "--policy",
        &sft,
        "--reward",
        &reward,
        "--prompts",
        &prompts,
        "--out",
        &out,
    ]);
    says(&said, &["another tokenizer than the policy", "/reward", "train a reward model"], &out);
}

#[test]
fn a_reward_model_in_the_place_of_a_language_model_is_refused() {
    let chats = Chats::new(38, 16);
    let (reward, out) = (chats.reward(&base()), chats.path("out"));
    let (rows, pairs, prompts) = (chats.demonstrations(), chats.preferences(), chats.prompts());
    for (verb, data, file) in [
        ("sft", "--data", &rows),
        ("dpo", "--data", &pairs),
        ("sample", "--prompts", &prompts),
        ("logprobs", "--data", &rows),
    ] {
        let said = refused([verb, "--model", &reward, data, file, "--out", &out]);
        says(&said, &["is a reward model, which scores answers and writes none"], &out);
    }
}

#[test]
fn a_loss_that_is_not_a_number_says_what_to_lower() {
    let chats = Chats::new(38, 16);
    let (data, pairs, prompts) = (chats.demonstrations(), chats.preferences(), chats.prompts());
    let (base, out) = (base(), chats.path("out"));
    let reward = chats.reward(&base);
    let starts = [
        vec!["sft", "--model", &base, "--data", &data],
        vec!["reward", "--model", &base, "--data", &pairs],
        vec!["dpo", "--model", &base, "--data", &pairs],
        vec!["ppo", "--policy", &base, "--reward", &reward, "--prompts", &prompts],
        // In its second pass over a batch.
        [
            vec!["grpo", "--policy", &base, "--reward", &reward, "--prompts", &prompts],
            vec!["--num-iterations", "2", "--max-completion-length", "8"],
        ]
        .concat(),
    ];
    for start in starts {
        let hopeless = ["--learning-rate", "1e30", "--save-every", "0", "--max-length", "128"];
        let said = refused(start.into_iter().chain(["--out", &out]).chain(hopeless));
        says(&said, &["step ", "lower --learning-rate"], &out);
    }
}

/// A disk of its own: a small tmpfs in a mount namespace of the process.
#[test]
fn a_full_disk_is_named_and_the_run_goes_on_from_its_checkpoint_afterwards() {
    let chats = Chats::new(39, 64);
    let (data, disk) = (chats.demonstrations(), chats.path("disk"));
    fs::create_dir(&disk).unwrap();
    // Room for some checkpoints of 3 MB, not for the ballast and two of them.
    let script = format!(
        "mount -t tmpfs -o size=12m tmpfs {disk} && \
         head -c 7m /dev/zero > {disk}/ballast && \
         \"$@\"; echo \"ended with $?\" >&2; echo \"left: $(ls -A {disk}/out | tr '\n' ' ')\" >&2; \
         rm {disk}/ballast; \"$@\" && ls {disk}/out/model.safetensors"
    );
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c", &script, "sh"]);
    let output = clean(&mut command)
        .arg(binaries::trainer())
        .args(["sft", "--model", &base(), "--data", &data, "--out", &format!("{disk}/out")])
        .args(["--max-length", "128", "--epochs", "4", "--save-every", "3"])
        .stdin(Stdio::null())
        .output()
        .expect("unshare is there");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("No space left on device"), "{said}");
    assert!(said.contains("the disk is full: free some space"), "{said}");
    assert!(said.contains("ended with 1"), "{said}");
    let left = said.lines().find_map(|line| line.strip_prefix("left: ")).expect("what is left");
    assert!(left.split_whitespace().all(|name| name.starts_with("checkpoint-")), "{left}");
    assert!(said.contains("going on from the checkpoint after step"), "{said}");
    assert!(output.status.success(), "{said}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("model.safetensors"));
}

on_both_databases! {
    /// From the launch form to the page of the run.
    async fn a_mistake_is_shown_on_the_page_of_the_run(database: TestDb) {
        let app = TestApp::start(database, Worker::Local).await;
        let project = app.new_project("Mistakes").await;
        let engineer = app.new_person(&project, "engineer", &["engineer"]).await;
        let mut dice = Dice::new(40);
        let answered = Subject::all(40).into_iter().take(12).map(|subject| {
            let answer = subject.answer(&mut dice);
            ImportRow::new(DatasetKind::Demonstrations, subject.prompt(), [answer])
        });
        let id = project.rsplit('/').next().unwrap().parse().unwrap();
        annotator::data::import::store::store_all(&app.rows, id, &answered.collect::<Vec<_>>()).await.unwrap();
        let small = [("max_length", "128"), ("dtype", "f32")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        let hopeless = [small.as_slice(), &[("learning_rate".to_owned(), "1e30".to_owned())]].concat();

        let run = app.queue(&engineer, &project, "sft", &hopeless).await;
        let failed = over(&app, run).await;
        assert_eq!(failed.status, run::RunStatus::Failed);
        let page = engineer.get(&format!("{project}/runs/{run}")).await;
        let told = page.texts(".error-text").join(" ");
        assert!(told.contains("lower --learning-rate"), "{told}");
        assert_eq!(failed.error.as_deref().map(str::trim), Some(told.trim()));
        assert!(failed.output_hash.is_none());

        // The base's weights change behind the program's back.
        let base = entity::model::Entity::find().one(&app.rows).await.unwrap().unwrap();
        let artifacts = app.database.folder.path().join("artifacts");
        let stored = storage::artifact_store::ArtifactStore::open(artifacts).unwrap().path(&base.artifact_hash);
        let weights = stored.join("model.safetensors");
        let mut bytes = fs::read(&weights).unwrap();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        fs::write(&weights, bytes).unwrap();
        let run = app.queue(&engineer, &project, "sft", &small).await;
        assert_eq!(over(&app, run).await.status, run::RunStatus::Failed);
        let told = engineer.get(&format!("{project}/runs/{run}")).await.texts(".error-text").join(" ");
        assert!(told.contains(&base.name) && told.contains("changed on disk") && told.contains("backup"), "{told}");
    }
}

async fn over(app: &TestApp, id: entity::ids::RunId) -> run::Model {
    let patience = Duration::from_secs(120);
    let look = async || {
        let run = run::Entity::find_by_id(id).one(&app.rows).await.unwrap().unwrap();
        run.status.is_final().then_some(run)
    };
    eventually(patience, look, || format!("the run does not end:\n{}", app.server.log())).await
}
