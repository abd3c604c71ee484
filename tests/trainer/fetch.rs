//! `trainer fetch ORG/NAME`, from a hub on this machine.

use crate::support::{
    app::clean,
    binaries, eventually,
    hub::{self, Hub, Repository},
    tiny_base,
};
use entity::hash::sha256_hex;
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::Duration,
};
use tempfile::TempDir;

const NAME: &str = "people/tiny-base";
const WEIGHTS: &str = "model.safetensors";

/// A person's machine: a folder to fetch into, and a home of the hub's own.
struct Desk(TempDir);

impl Desk {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    fn out(&self) -> PathBuf {
        self.0.path().join("base")
    }

    fn home(&self) -> PathBuf {
        self.0.path().join("home")
    }

    fn command(&self, endpoint: &str, name: &str) -> Command {
        let mut command = Command::new(binaries::trainer());
        hub::client(clean(&mut command), endpoint, &self.home())
            .args(["fetch", name, "--report", "json", "--out"])
            .arg(self.out())
            .stdin(Stdio::null());
        command
    }

    fn fetch(&self, hub: &Hub) -> Output {
        self.command(&hub.endpoint(), NAME).output().expect("the trainer starts")
    }

    /// What is said of a fetch that must not work; and that nothing is there under the final name.
    fn refusal(&self, command: &mut Command) -> String {
        let output = command.output().expect("the trainer starts");
        assert!(!output.status.success(), "the trainer fetched it");
        assert!(!self.out().exists(), "a folder that is not whole");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!said.contains("panicked"), "{said}");
        assert_eq!(said.lines().count(), 1, "one sentence: {said}");
        said
    }
}

fn events(output: &Output) -> Vec<Value> {
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

fn assert_is_the_tiny_base(folder: &Path) {
    for entry in fs::read_dir(tiny_base()).expect("the tiny base").flatten() {
        let fetched = fs::read(folder.join(entry.file_name())).expect("the fetched file");
        assert!(fetched == fs::read(entry.path()).expect("a file"), "{:?}", entry.file_name());
    }
}

#[test]
fn a_repository_becomes_a_model_folder_and_nothing_else_is_fetched() {
    let hub = Hub::start(NAME, Repository::tiny());
    let desk = Desk::new();
    let output = desk.command(&hub.endpoint(), NAME).env("HF_TOKEN", "hf_mine").output().unwrap();
    let events = events(&output);
    assert_is_the_tiny_base(&desk.out());
    let mut names: Vec<_> = fs::read_dir(desk.out())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !tiny_base().join(name).exists())
        .collect();
    names.sort();
    assert_eq!(names, ["LICENSE", "README.md"]);
    assert!(!desk.0.path().join("base.partial").exists());

    let fractions: Vec<f64> =
        events.iter().filter_map(|event| event["fraction"].as_f64()).collect();
    assert_eq!(fractions.last(), Some(&1.0), "{events:?}");
    assert_eq!(events.last().unwrap()["kind"], "fetch");
    let asked = hub.asked();
    assert!(asked.iter().any(|asked| asked.path.starts_with("/cdn/")));
    for asked in &asked {
        let is_of_hub = !asked.path.starts_with("/cdn/");
        assert_eq!(asked.authorization.is_some(), is_of_hub, "the token is for the hub: {asked:?}");
    }

    let again = desk.command(&hub.endpoint(), NAME).output().unwrap();
    assert!(String::from_utf8_lossy(&again.stderr).contains("is there already"));
}

#[test]
fn a_connection_that_breaks_is_taken_up_where_it_broke() {
    let hub = Hub::start(NAME, Repository::tiny());
    hub.cut(WEIGHTS, &[300_000, 100_000]);
    let desk = Desk::new();
    let events = events(&desk.fetch(&hub));
    assert_is_the_tiny_base(&desk.out());
    let ranges: Vec<_> = hub
        .asked()
        .into_iter()
        .filter(|asked| asked.path.starts_with("/cdn/"))
        .map(|asked| asked.range)
        .collect();
    let ranges: Vec<_> = ranges.iter().map(Option::as_deref).collect();
    assert_eq!(ranges, [None, Some("bytes=300000-"), Some("bytes=400000-")]);
    let is_warning = |event: &&Value| event["level"] == "warning";
    assert_eq!(events.iter().filter(is_warning).count(), 2, "{events:?}");
}

#[tokio::test]
async fn a_command_that_was_killed_goes_on_when_it_is_started_again() {
    let hub = Hub::start(NAME, Repository::tiny());
    hub.fall_silent(WEIGHTS, 500_000);
    let desk = Desk::new();
    let mut first =
        desk.command(&hub.endpoint(), NAME).stdout(Stdio::null()).spawn().expect("it starts");
    let part = desk.0.path().join("base.partial").join(format!("{WEIGHTS}.part"));
    let arrived = || async { fs::metadata(&part).ok().filter(|file| file.len() == 500_000) };
    eventually(Duration::from_secs(30), arrived, || "half of the weights".to_owned()).await;
    first.kill().expect("it runs");
    first.wait().expect("it ends");
    assert!(!desk.out().exists());

    let n_before = hub.asked().len();
    events(&desk.fetch(&hub));
    assert_is_the_tiny_base(&desk.out());
    let asked = &hub.asked()[n_before..];
    let range = asked.iter().find_map(|asked| asked.range.clone());
    assert_eq!(range.as_deref(), Some("bytes=500000-"), "{asked:?}");
    assert!(!asked.iter().any(|asked| asked.path.ends_with("/config.json")), "{asked:?}");
}

#[test]
fn shards_are_fetched_as_the_index_names_them() {
    let mut repository = Repository::tiny();
    repository.files.remove(WEIGHTS);
    let shards = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];
    let tensors = tch::Tensor::read_safetensors(tiny_base().join(WEIGHTS)).unwrap();
    let made = tempfile::tempdir().unwrap();
    for (shard, half) in shards.iter().zip(tensors.chunks(tensors.len().div_ceil(2))) {
        let file = made.path().join(shard);
        tch::Tensor::write_safetensors(half, &file).unwrap();
        repository.files.insert((*shard).to_owned(), fs::read(file).unwrap());
    }
    let sent = shards.map(|shard| repository.files[shard].clone());
    let index = json!({"weight_map": {"a": shards[0], "b": shards[1], "c": shards[0]}});
    let index_name = "model.safetensors.index.json".to_owned();
    repository.files.insert(index_name.clone(), index.to_string().into_bytes());
    let hub = Hub::start(NAME, repository);
    let desk = Desk::new();
    events(&desk.fetch(&hub));
    let read = |shard| fs::read(desk.out().join(shard)).unwrap();
    assert!(shards.map(read) == sent);
    assert!(desk.out().join(index_name).exists());
}

#[test]
fn what_the_hubs_own_library_fetched_is_not_fetched_again() {
    let repository = Repository::tiny();
    let weights = repository.files[WEIGHTS].clone();
    let hub = Hub::start(NAME, repository);
    let desk = Desk::new();
    let blobs = desk.home().join("hub/models--people--tiny-base/blobs");
    fs::create_dir_all(&blobs).unwrap();
    fs::write(blobs.join(sha256_hex(&weights)), &weights).unwrap();
    events(&desk.fetch(&hub));
    assert_is_the_tiny_base(&desk.out());
    assert!(!hub.asked().iter().any(|asked| asked.path.starts_with("/cdn/")));
}

#[test]
fn a_model_that_cannot_be_trained_is_refused_before_its_weights_are_fetched() {
    for (change, word) in [
        (json!({"model_type": "mamba", "architectures": ["MambaForCausalLM"]}), "Qwen3ForCausalLM"),
        (json!({"quantization_config": {"quant_method": "awq"}}), "quantised"),
    ] {
        let mut repository = Repository::tiny();
        let config = repository.files.get_mut("config.json").unwrap();
        let mut changed: Value = serde_json::from_slice(config).unwrap();
        changed.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        *config = changed.to_string().into_bytes();
        let hub = Hub::start(NAME, repository);
        let desk = Desk::new();
        let said = desk.refusal(&mut desk.command(&hub.endpoint(), NAME));
        assert!(said.contains(NAME) && said.contains(word), "{said}");
        let asked = hub.asked();
        assert!(!asked.iter().any(|asked| asked.path.contains("safetensors")), "{asked:?}");
    }
}

#[test]
fn a_repository_that_lacks_what_a_model_needs_is_told_apart() {
    for (removed, sentence) in
        [("tokenizer.json", "has no tokenizer.json"), (WEIGHTS, "only as PyTorch pickles")]
    {
        let mut repository = Repository::tiny();
        repository.files.remove(removed);
        let hub = Hub::start(NAME, repository);
        let desk = Desk::new();
        let said = desk.refusal(&mut desk.command(&hub.endpoint(), NAME));
        assert!(said.contains(sentence), "{said}");
    }
}

#[test]
fn a_missing_repository_a_missing_revision_and_a_gate_say_what_to_do() {
    let hub = Hub::start(NAME, Repository::tiny());
    let desk = Desk::new();
    let said = desk.refusal(&mut desk.command(&hub.endpoint(), "people/tiny-bass"));
    assert!(said.contains("there is no repository people/tiny-bass"), "{said}");
    assert!(said.contains("check how it is spelt"), "{said}");
    let said = desk.refusal(desk.command(&hub.endpoint(), NAME).args(["--revision", "v9"]));
    assert!(said.contains("has no such --revision"), "{said}");

    let gated = Repository { gate: Some("hf_member".into()), ..Repository::tiny() };
    let hub = Hub::start(NAME, gated);
    let said = desk.refusal(&mut desk.command(&hub.endpoint(), NAME));
    assert!(said.contains("is gated") && said.contains("set HF_TOKEN"), "{said}");
    let said = desk.refusal(desk.command(&hub.endpoint(), NAME).env("HF_TOKEN", "hf_stranger"));
    assert!(said.contains("accept its terms on"), "{said}");

    // The token may lie where `hf auth login` puts it, and a revision may have slashes.
    fs::create_dir_all(desk.home()).unwrap();
    fs::write(desk.home().join("token"), "hf_member\n").unwrap();
    let fetched = desk.command(&hub.endpoint(), NAME).args(["--revision", "refs/pr/1"]).output();
    events(&fetched.unwrap());
    assert_is_the_tiny_base(&desk.out());
}

#[test]
fn a_hub_that_cannot_be_reached_and_a_disk_too_small_are_told() {
    let desk = Desk::new();
    // Nothing listens on port 1.
    let said = desk.refusal(&mut desk.command("http://127.0.0.1:1", NAME));
    assert!(said.contains("cannot reach http://127.0.0.1:1"), "{said}");
    assert!(said.contains("HF_ENDPOINT"), "{said}");

    let hub = Hub::start(NAME, Repository::tiny());
    hub.claim(WEIGHTS, 1_000_000_000_000_000_000);
    let said = desk.refusal(&mut desk.command(&hub.endpoint(), NAME));
    assert!(said.contains("the disk is too full") && said.contains("make room"), "{said}");
}

#[test]
fn a_file_that_arrives_altered_is_thrown_away() {
    let hub = Hub::start(NAME, Repository::tiny());
    hub.alter(WEIGHTS);
    let desk = Desk::new();
    let said = desk.refusal(&mut desk.command(&hub.endpoint(), NAME));
    assert!(said.contains("model.safetensors arrived altered"), "{said}");
    assert!(said.contains("SHA-256"), "{said}");
    let partial = desk.0.path().join("base.partial");
    for name in [WEIGHTS.to_owned(), format!("{WEIGHTS}.part")] {
        assert!(!partial.join(name).exists());
    }
}

#[test]
fn a_folder_of_this_machine_is_a_base_after_the_same_checks() {
    let desk = Desk::new();
    let source = desk.0.path().join("mine");
    fs::create_dir_all(&source).unwrap();
    for (name, content) in Repository::tiny().files {
        if !name.contains('/') {
            fs::write(source.join(name), content).unwrap();
        }
    }
    let nowhere = "http://127.0.0.1:1"; // nothing listens there
    let fetched = desk.command(nowhere, source.to_str().unwrap()).output().unwrap();
    let events = events(&fetched);
    assert_eq!(events.last().unwrap()["kind"], "fetch");
    assert_is_the_tiny_base(&desk.out());
    assert!(!desk.out().join("pytorch_model.bin").exists());

    fs::remove_dir_all(desk.out()).unwrap();
    fs::remove_file(source.join("tokenizer.json")).unwrap();
    let said = desk.refusal(&mut desk.command(nowhere, source.to_str().unwrap()));
    assert!(said.contains("/mine has no tokenizer.json"), "{said}");
    let said = desk.refusal(&mut desk.command(nowhere, "/no/such/folder"));
    assert!(said.contains("there is no folder /no/such/folder on this machine"), "{said}");
}

#[test]
fn named_chat_templates_come_along_from_the_hub_and_from_a_folder() {
    let named = "additional_chat_templates/tool_use.jinja";
    let mut repository = Repository::tiny();
    let harm = "additional_chat_templates/../../harm.jinja";
    for name in [named, harm, "additional_chat_templates/.hidden.jinja", "other/rag.jinja"] {
        repository.files.insert(name.to_owned(), b"{{ messages }}".to_vec());
    }
    let hub = Hub::start(NAME, repository);
    let desk = Desk::new();
    events(&desk.command(&hub.endpoint(), NAME).output().unwrap());
    let names = |folder: &Path| {
        let folder = folder.join("additional_chat_templates");
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
        entries.collect::<Vec<_>>()
    };
    assert_eq!(names(&desk.out()), ["tool_use.jinja"]);
    assert_eq!(fs::read(desk.out().join(named)).unwrap(), b"{{ messages }}");
    assert!(!desk.0.path().join("harm.jinja").exists() && !desk.out().join("other").exists());

    let source = desk.0.path().join("mine");
    fs::rename(desk.out(), &source).unwrap();
    let nowhere = "http://127.0.0.1:1"; // nothing listens there
    events(&desk.command(nowhere, source.to_str().unwrap()).output().unwrap());
    assert_eq!(names(&desk.out()), ["tool_use.jinja"]);
}

#[test]
fn a_repository_that_means_harm_is_refused_in_a_sentence_and_nothing_of_it_stays() {
    let endless_header = [&(1_u64 << 62).to_le_bytes()[..], b"{}"].concat();
    let huge =
        |text: &str| text.replace("\"num_hidden_layers\": ", "\"num_hidden_layers\": 100000000");
    let config = fs::read_to_string(tiny_base().join("config.json")).unwrap();
    assert_ne!(huge(&config), config);
    for (file, content, told) in [
        (WEIGHTS, endless_header, "the header would be"),
        ("config.json", huge(&config).into_bytes(), "the sizes make no model"),
        ("tokenizer.json", vec![b'['; 1 << 20], "tokenizer.json"),
        ("chat_template.jinja", vec![b'a'; (1 << 20) + 1], "is to have 1 MB"),
    ] {
        let mut repository = Repository::tiny();
        repository.files.insert(file.to_owned(), content);
        let hub = Hub::start(NAME, repository);
        let desk = Desk::new();
        let said = desk.refusal(&mut desk.command(&hub.endpoint(), NAME));
        assert!(said.contains(told), "{file}: {said}");
        assert!(!desk.0.path().join("base.partial").join(WEIGHTS).exists(), "{file}");
    }
    let hub = Hub::start(NAME, Repository::tiny());
    hub.claim(WEIGHTS, 1000);
    let desk = Desk::new();
    let said = desk.refusal(&mut desk.command(&hub.endpoint(), NAME));
    assert!(said.contains("goes on after the 1000 bytes"), "{said}");
    assert!(!desk.0.path().join(format!("base.partial/{WEIGHTS}.part")).exists());
}

#[test]
fn a_link_out_of_a_folder_brings_nothing_that_is_not_in_it() {
    let desk = Desk::new();
    let (source, secret) = (desk.0.path().join("mine"), desk.0.path().join("secret"));
    fs::create_dir_all(&source).unwrap();
    for entry in fs::read_dir(tiny_base()).unwrap().flatten() {
        fs::copy(entry.path(), source.join(entry.file_name())).unwrap();
    }
    fs::write(&secret, "what only the worker may read").unwrap();
    std::os::unix::fs::symlink(&secret, source.join("README.md")).unwrap();
    let said = desk.refusal(&mut desk.command("http://127.0.0.1:1", source.to_str().unwrap()));
    assert!(said.contains("README.md is a link to"), "{said}");
    assert!(!desk.0.path().join("base.partial/README.md").exists());
}
