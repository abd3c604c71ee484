//! `trainer serve`: what a client of OpenAI's chat API gets from it.

use crate::support::{
    app::clean,
    binaries,
    leash::Leash,
    tiny_base,
    trainer::{read_lines, refused, trainer, write_lines},
};
use futures_util::StreamExt;
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::Stdio,
};

/// A server on a free port.
pub(super) struct Server {
    leash: Leash,
    url: String,
    client: Client,
}

impl Server {
    pub(super) fn start(model: &Path, more: &[&str]) -> Self {
        let model = model.to_str().expect("a plain path");
        let mut arguments =
            vec!["serve", "--model", model, "--name", "tiny", "--listen", "127.0.0.1:0"];
        if !more.contains(&"--dtype") {
            arguments.extend(["--dtype", "f32"]);
        }
        arguments.extend(more);
        let mut leash = Leash::start(&binaries::trainer(), arguments, |command| {
            clean(command).stdout(Stdio::piped()).stderr(Stdio::null())
        });
        let mut lines = BufReader::new(leash.stdout()).lines();
        let line = lines.next().expect("a line").expect("a text");
        let told: Value = serde_json::from_str(&line).expect("JSON");
        let url = told["listening"].as_str().expect("an address").to_owned();
        Self { leash, url, client: Client::builder().no_proxy().build().unwrap() }
    }

    pub(super) async fn ask(&self, body: &Value) -> (StatusCode, Value) {
        let url = format!("{}/v1/chat/completions", self.url);
        let answer = self.client.post(url).json(body).send().await.expect("an answer");
        (answer.status(), answer.json().await.expect("JSON"))
    }

    /// The most memory that its process has held, in MB of 10⁶ bytes.
    pub(super) fn peak_mb(&self) -> u64 {
        let status = format!("/proc/{}/status", self.leash.program());
        let status = std::fs::read_to_string(status).expect("the server runs");
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
        let kib: u64 = peak.trim().trim_end_matches(" kB").parse().expect("a number");
        kib * 1024 / 1_000_000
    }

    async fn get(&self, path: &str) -> (StatusCode, Value) {
        let answer = self.client.get(format!("{}{path}", self.url)).send().await.unwrap();
        (answer.status(), answer.json().await.expect("JSON"))
    }

    /// The events of a streamed answer.
    async fn stream(&self, body: &Value) -> Vec<String> {
        let url = format!("{}/v1/chat/completions", self.url);
        let answer = self.client.post(url).json(body).send().await.expect("an answer");
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        let text = answer.text().await.expect("a text");
        text.split_terminator("\n\n")
            .map(|event| event.strip_prefix("data: ").expect("an event").to_owned())
            .collect()
    }
}

const QUESTION: &str = "Tell me of the red fox by the lake.";

pub(super) fn greedy(question: &str) -> Value {
    json!({"model": "tiny", "messages": [{"role": "user", "content": question}],
        "temperature": 0, "max_tokens": 40})
}

fn with(mut body: Value, more: Value) -> Value {
    for (name, value) in more.as_object().expect("an object") {
        body[name] = value.clone();
    }
    body
}

fn text_of(events: &[String]) -> String {
    let delta = |event: &String| {
        let piece: Value = serde_json::from_str(event).ok()?;
        Some(piece["choices"][0]["delta"]["content"].as_str()?.to_owned())
    };
    events.iter().filter_map(delta).collect()
}

/// What `trainer sample` answers at temperature 0.
fn sampled(question: &str) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let (prompts, out) = (folder.path().join("p.jsonl"), folder.path().join("a.jsonl"));
    write_lines(&prompts, [json!({"prompt": [{"role": "user", "content": question}]})]);
    let base = tiny_base();
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let (base, prompts, out_file) = (text(&base), text(&prompts), text(&out));
    trainer([
        "sample",
        "--model",
        &base,
        "--prompts",
        &prompts,
        "--out",
        &out_file,
        "--n",
        "1",
        "--temperature",
        "0",
        "--max-new-tokens",
        "40",
        "--dtype",
        "f32",
    ]);
    read_lines(&out)[0]["completions"][0].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_served_answer_is_what_sample_answers_streamed_or_not() {
    let server = Server::start(&tiny_base(), &[]);
    let sampled = sampled(QUESTION);
    let (status, whole) = server.ask(&greedy(QUESTION)).await;
    assert_eq!(status, StatusCode::OK, "{whole}");
    let choice = &whole["choices"][0];
    assert_eq!(choice["message"]["content"], sampled["text"]);
    assert_eq!(choice["finish_reason"], sampled["finish_reason"]);
    let n_tokens = sampled["token_ids"].as_array().unwrap().len();
    assert_eq!(whole["usage"]["completion_tokens"], n_tokens);
    assert!(whole["usage"]["prompt_tokens"].as_u64().unwrap() > 10);

    let more = json!({"stream": true, "stream_options": {"include_usage": true}});
    let events = server.stream(&with(greedy(QUESTION), more)).await;
    assert_eq!(text_of(&events), sampled["text"].as_str().unwrap());
    assert!(events.len() > 10, "it comes piece by piece: {events:?}");
    let [.., end, usage, done] = &events[..] else { panic!("{events:?}") };
    assert_eq!(done, "[DONE]");
    let (end, usage): (Value, Value) =
        (serde_json::from_str(end).unwrap(), serde_json::from_str(usage).unwrap());
    assert_eq!(end["choices"][0]["finish_reason"], sampled["finish_reason"]);
    assert_eq!(usage["usage"], whole["usage"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seed_gives_the_same_answer_and_a_stop_text_ends_it() {
    let server = Server::start(&tiny_base(), &[]);
    let drawn = |seed: u64| with(greedy(QUESTION), json!({"temperature": 1.0, "seed": seed}));
    let text = async |body: &Value| {
        let (status, answer) = server.ask(body).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        answer["choices"][0]["message"]["content"].as_str().unwrap().to_owned()
    };
    assert_eq!(text(&drawn(7)).await, text(&drawn(7)).await);
    assert_ne!(text(&drawn(7)).await, text(&drawn(8)).await);
    let whole = text(&greedy(QUESTION)).await;
    let stop = whole.split(' ').nth(3).expect("a fourth word").to_owned();
    let cut = text(&with(greedy(QUESTION), json!({"stop": [stop]}))).await;
    assert_eq!(cut, whole[..whole.find(&stop).unwrap()]);
    let short = server.ask(&with(greedy(QUESTION), json!({"max_tokens": 2}))).await.1;
    assert_eq!(short["choices"][0]["finish_reason"], "length");
    assert_eq!(short["usage"]["completion_tokens"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_answered_is_refused_in_openais_shape() {
    let server = Server::start(&tiny_base(), &[]);
    let code = async |body: &Value| {
        let (status, answer) = server.ask(body).await;
        assert!(
            answer["error"]["message"].as_str().is_some_and(|said| said.len() > 10),
            "{answer}"
        );
        (status.as_u16(), answer["error"]["code"].clone())
    };
    let unknown = with(greedy(QUESTION), json!({"model": "gpt-5"}));
    assert_eq!(code(&unknown).await, (404, json!("model_not_found")));
    let long = greedy(&"fox ".repeat(2000));
    assert_eq!(code(&long).await, (400, json!("context_length_exceeded")));
    assert_eq!(code(&json!({"model": "tiny"})).await, (400, json!("invalid_json")));
    assert_eq!(code(&with(greedy(QUESTION), json!({"n": 3}))).await, (400, Value::Null));
    assert_eq!(server.get("/v1/engines").await.1["error"]["code"], "unknown_url");

    let (status, models) = server.get("/v1/models").await;
    assert_eq!((status, &models["data"][0]["id"]), (StatusCode::OK, &json!("tiny")));
    assert_eq!(server.get("/health").await.1["status"], "ok");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_without_a_chat_template_says_so_and_a_key_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(tiny_base()).unwrap().flatten() {
        std::fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
    }
    let file = folder.path().join("tokenizer_config.json");
    let mut config: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    config.as_object_mut().unwrap().remove("chat_template");
    std::fs::write(&file, config.to_string()).unwrap();
    let server = Server::start(folder.path(), &["--api-key", "a key"]);
    assert_eq!(server.ask(&greedy(QUESTION)).await.0, StatusCode::UNAUTHORIZED);
    let url = format!("{}/v1/chat/completions", server.url);
    let asked = server.client.post(url).bearer_auth("a key").json(&greedy(QUESTION));
    let answer: Value = asked.send().await.unwrap().json().await.unwrap();
    assert_eq!(answer["error"]["code"], "no_chat_template");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chat_template_that_never_ends_takes_no_place_from_others() {
    let folder = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(tiny_base()).unwrap().flatten() {
        std::fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
    }
    let endless = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}";
    std::fs::write(folder.path().join("chat_template.jinja"), endless).unwrap();
    let server = Server::start(folder.path(), &[]);
    let body = greedy(QUESTION);
    let many = futures_util::future::join_all((0..8).map(|_| server.ask(&body)));
    let health = async { server.get("/health").await.0 };
    let (answers, health) = tokio::join!(many, health);
    assert_eq!(health, StatusCode::OK);
    for (status, answer) in answers {
        assert_eq!(status, StatusCode::BAD_REQUEST, "{answer}");
        let said = answer["error"]["message"].as_str().unwrap();
        assert!(said.contains("does not come to an end"), "{said}");
    }
}

/// One thread answers, so whoever comes next would wait for what nobody reads any more.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_away_stops_its_answer() {
    let server = Server::start(&tiny_base(), &[]);
    let tokens = async || server.get("/health").await.1["tokens"].as_u64().expect("a count");
    let long = json!({"max_tokens": 400, "temperature": 2, "seed": 3});
    let whole = server.ask(&with(greedy(QUESTION), long.clone())).await.1;
    let of_one = whole["usage"]["completion_tokens"].as_u64().unwrap();
    assert!(of_one >= 100, "the answer is long enough to be left: {of_one}");
    let before = tokens().await;
    assert_eq!(before, of_one);
    let url = format!("{}/v1/chat/completions", server.url);
    let body = with(with(greedy(QUESTION), long), json!({"stream": true}));
    let unstreamed = with(body.clone(), json!({"stream": false}));
    for _ in 0..5 {
        let asked = server.client.post(&url).json(&unstreamed).send();
        let patience = std::time::Duration::from_millis(20);
        assert!(tokio::time::timeout(patience, asked).await.is_err(), "it is not done so soon");
    }
    for _ in 0..5 {
        let mut asked = server.client.post(&url).json(&body).send().await.unwrap().bytes_stream();
        asked.next().await.unwrap().unwrap();
    }
    // It answers in order: when this comes, the others are over.
    let (status, last) = server.ask(&greedy(QUESTION)).await;
    assert_eq!(status, StatusCode::OK);
    let last = last["usage"]["completion_tokens"].as_u64().unwrap();
    let of_ten = tokens().await - before - last;
    assert!(of_ten < 5 * of_one, "{of_ten} tokens for ten answers of {of_one} that nobody read");
}

#[test]
fn a_reward_model_is_not_served() {
    let folder = tempfile::tempdir().unwrap();
    let config = std::fs::read_to_string(tiny_base().join("config.json")).unwrap();
    let mut config: Value = serde_json::from_str(&config).unwrap();
    config["architectures"] = json!(["LlamaForSequenceClassification"]);
    config["id2label"] = json!({"0": "LABEL_0"});
    std::fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
    let said = refused(["serve", "--model", folder.path().to_str().unwrap()]);
    assert!(said.contains("reward model") && said.contains("trainer score"), "{said}");
}
