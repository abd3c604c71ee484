//! Talking to the models of the registry: by OpenAI's protocol, by the form, and in Chromium.

// Whoever waits for an answer and is let in no more.
mod given_up;

use crate::{
    browser::sign_in,
    support::{
        app::{SECRET, Server, TestApp, Worker},
        binaries::{self, root},
        browser::Browser,
        builders::add_model,
        database::{TestDb, on_both_databases},
        eventually,
        leash::{has_ended, signal},
        tcp_proxy::TcpProxy,
        trainer::{read_lines, trainer, write_lines},
        web::Visitor,
    },
};
use entity::{
    ids::{ModelId, ProjectId},
    model,
};
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, DatabaseConnection, EntityTrait,
    IntoActiveModel, QueryFilter,
};
use serde_json::{Value, json};
use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    time::Duration,
};
use storage::artifact_store::ArtifactStore;

const QUESTION: &str = "Tell me of the red fox by the lake.";

fn store(app: &TestApp) -> ArtifactStore {
    ArtifactStore::open(app.database.folder.path().join("artifacts")).unwrap()
}

/// The base, once it is registered.
async fn base(rows: &DatabaseConnection) -> model::Model {
    let base = async || {
        let bases = model::Entity::find().filter(model::Column::Kind.eq(model::ModelKind::Base));
        bases.one(rows).await.unwrap()
    };
    eventually(Duration::from_secs(20), base, || "no base".to_owned()).await
}

/// What `trainer sample` answers, greedily.
fn sampled(app: &TestApp, model: &model::Model, messages: &Value) -> String {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    write_lines(Path::new(&file("prompts")), [json!({"prompt": messages})]);
    let (prompts, out) = (file("prompts"), file("answers"));
    let weights = store(app).path(&model.artifact_hash);
    let paths =
        ["sample", "--model", weights.to_str().unwrap(), "--prompts", &prompts, "--out", &out];
    let greedily = ["--temperature", "0", "--n", "1", "--max-new-tokens", "24"];
    tokio::task::block_in_place(|| trainer(paths.into_iter().chain(greedily)));
    let answers = read_lines(Path::new(&out));
    answers[0]["completions"][0]["text"].as_str().unwrap().to_owned()
}

fn request(model: &str, more: &Value) -> Value {
    let mut request = json!({"model": model, "temperature": 0, "max_tokens": 24,
        "messages": [{"role": "user", "content": QUESTION}]});
    request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    request
}

/// The processes of live models that this server has started, and the model folders they read.
fn live_models(server: &Server) -> Vec<(u32, PathBuf)> {
    let model = |(pid, line): (u32, Vec<String>)| {
        let at = line.iter().position(|argument| argument == "--model")?;
        Some((pid, PathBuf::from(line.get(at + 1)?)))
    };
    server.children().into_iter().filter_map(model).collect()
}

on_both_databases! {
    async fn a_model_answers_by_openais_protocol_as_sample_does(database: TestDb) {
        let app = TestApp::start(database, Worker::Local).await;
        let project = app.new_project("Chat").await;
        let model = base(&app.rows).await;
        let expected = sampled(&app, &model, &request("", &json!({}))["messages"]);
        assert!(!expected.is_empty());
        let address = format!("{project}/models/{}/v1/chat/completions", model.id);
        let ask = async |more: Value| app.admin.send_json(&address, &request(&model.name, &more)).await;

        let whole = ask(json!({})).await;
        assert_eq!(whole.status(), 200);
        let whole: Value = whole.json().await.unwrap();
        assert_eq!(whole["choices"][0]["message"]["content"], expected.as_str());

        let streamed = ask(json!({"stream": true})).await;
        assert_eq!(streamed.headers()["content-type"], "text/event-stream");
        let streamed = streamed.text().await.unwrap();
        let pieces: Vec<&str> = streamed.split_terminator("\n\n").map(|event| &event[6..]).collect();
        assert_eq!(pieces.last(), Some(&"[DONE]"));
        let pieces = pieces[..pieces.len() - 1].iter().map(|piece| serde_json::from_str::<Value>(piece).unwrap());
        let said: String = pieces
            .filter_map(|piece| piece["choices"][0]["delta"]["content"].as_str().map(str::to_owned))
            .collect();
        assert_eq!(said, expected);
        assert_eq!(live_models(&app.server).len(), 1, "one process answers all questions");

        let too_long = json!({"messages": [{"role": "user", "content": QUESTION.repeat(100)}]});
        let refused = ask(too_long).await;
        assert_eq!(refused.status(), 400);
        let refused: Value = refused.json().await.unwrap();
        assert_eq!(refused["error"]["code"], "context_length_exceeded");
        assert!(refused["error"]["message"].as_str().unwrap().contains("longer than the model reads"));
    }
}

on_both_databases! {
    async fn without_a_script_a_conversation_goes_on_page_by_page(database: TestDb) {
        let app = TestApp::start(database, Worker::Local).await;
        let project = app.new_project("Chat").await;
        let model = base(&app.rows).await;
        let address = format!("{project}/models/{}/chat", model.id);
        let engineer = app.new_person(&project, "engineer", &["engineer"]).await;
        let about = engineer.get(&format!("{project}/models/{}", model.id)).await;
        assert!(about.links("main a").contains(&address));

        let ask = async |form: crate::support::web::Form, message: &str| {
            let form = form.with("temperature", "0").with("max_new_tokens", "24");
            engineer.submit(form.with("message", message).with("system", "Be kind.")).await
        };
        let first = ask(engineer.get(&address).await.form("/chat"), QUESTION).await;
        let system = json!({"role": "system", "content": "Be kind."});
        let user = |content: &str| json!({"role": "user", "content": content});
        let told = sampled(&app, &model, &json!([system, user(QUESTION)]));
        assert_eq!(first.texts("#turns .answer"), [QUESTION, told.trim()]);

        let second = ask(first.form("/chat"), "And then?").await;
        let said = json!({"role": "assistant", "content": told});
        let conversation = json!([system, user(QUESTION), said, user("And then?")]);
        let told_then = sampled(&app, &model, &conversation);
        assert_eq!(second.texts("#turns .answer"), [QUESTION, told.trim(), "And then?", told_then.trim()]);

        let wrong = second.form("/chat").with("temperature", "hot").with("message", "Hm?");
        let wrong = engineer.try_submit(wrong).await;
        assert_eq!(wrong.status, 422);
        assert_eq!(wrong.texts("#turns .answer").len(), 4, "nothing is lost");
        assert_eq!(wrong.form("/chat").value("message"), Some("Hm?"));
    }
}

/// A second model: the base with something changed.
async fn add_sibling(app: &TestApp, project: &str, change_it: impl FnOnce(&Path)) -> model::Model {
    let id: ProjectId = project.rsplit('/').next().unwrap().parse().unwrap();
    let sibling = add_model(&app.rows, &store(app), id, "sibling").await;
    let weights = store(app).path(&base(&app.rows).await.artifact_hash);
    let folder = store(app).incoming().unwrap();
    for file in fs::read_dir(weights).unwrap().flatten() {
        fs::copy(file.path(), folder.join(file.file_name())).unwrap();
    }
    fs::write(folder.join("note.txt"), "another folder, another hash").unwrap();
    change_it(&folder);
    let stored = store(app).adopt(&folder).unwrap();
    change(&app.rows, sibling, |row| row.artifact_hash = Set(stored.hash)).await
}

async fn change(
    rows: &DatabaseConnection,
    id: ModelId,
    change: impl FnOnce(&mut model::ActiveModel),
) -> model::Model {
    let mut row = model(rows, id).await.into_active_model();
    change(&mut row);
    row.update(rows).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_gives_its_place_to_the_next_and_ends_with_the_service() {
    let app = TestApp::start(TestDb::sqlite().await, Worker::Local).await;
    let project = app.new_project("Places").await;
    let (base, sibling) = (base(&app.rows).await, add_sibling(&app, &project, |_| ()).await);
    let flags = ["--live-models", "1"];
    let server =
        tokio::task::block_in_place(|| Server::start_with(&app.database, Worker::None, &flags));
    let visitor = Visitor::new(&server.url);
    visitor.sign_in("admin", app.server.first_password.as_deref().unwrap()).await;
    for model in [&base, &sibling, &base] {
        let page = visitor.get(&format!("{project}/models/{}/chat", model.id)).await;
        let form = page.form("/chat").with("message", QUESTION).with("max_new_tokens", "4");
        visitor.submit(form).await;
        let folder = store(&app).path(&model.artifact_hash);
        let alive = live_models(&server);
        assert_eq!(alive.iter().map(|(_, folder)| folder).collect::<Vec<_>>(), [&folder]);
    }
    let [(pid, _)] = live_models(&server)[..] else { panic!("one model is loaded") };
    for (pid, line) in app.server.children().into_iter().chain([(pid, Vec::new())]) {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap();
        let environment = String::from_utf8_lossy(&environment);
        assert!(environment.contains("PATH="), "{line:?}");
        assert!(
            !environment.contains(SECRET.1),
            "{line:?} was given a secret that it has no use for"
        );
    }
    signal("KILL", &server.process().to_string());
    has_ended(pid).await;
}

/// A trainer whose models never answer, and where they would.
fn silent_trainer(folder: &Path) -> (TcpListener, PathBuf) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let text = format!("#!/bin/sh\necho '{}'\ncat > /dev/null\n", json!({"listening": url}));
    (listener, binaries::script(&folder.join("trainer.sh"), &text))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_frees_its_place() {
    let app = TestApp::start(TestDb::sqlite().await, Worker::None).await;
    let project = app.new_project("Leaving").await;
    let id: ProjectId = project.rsplit('/').next().unwrap().parse().unwrap();
    let (_silence, trainer) = silent_trainer(app.database.folder.path());
    let flags = ["--live-models", "1", "--trainer", trainer.to_str().unwrap()];
    let server =
        tokio::task::block_in_place(|| Server::start_with(&app.database, Worker::None, &flags));
    let visitor = Visitor::new(&server.url);
    visitor.sign_in("admin", app.server.first_password.as_deref().unwrap()).await;
    let mut models = Vec::new();
    for name in ["one", "two"] {
        models.push((add_model(&app.rows, &store(&app), id, name).await, name));
    }
    // Asks, and leaves after a while without an answer; tells where there was one.
    let leave = async |(model, name): (ModelId, &str), patience: u64| {
        let address = format!("{project}/models/{model}/v1/chat/completions");
        let request = request(name, &json!({}));
        let asked = visitor.send_json(&address, &request);
        tokio::time::timeout(Duration::from_millis(patience), asked).await.ok()
    };
    assert!(leave(models[0], 1000).await.is_none(), "the model says nothing");
    let loads_two = async || {
        leave(models[1], 500).await;
        let two = store(&app).path(&model(&app.rows, models[1].0).await.artifact_hash);
        live_models(&server).iter().any(|(_, folder)| *folder == two).then_some(())
    };
    eventually(Duration::from_secs(20), loads_two, || "the place is still held".to_owned()).await;
}

async fn model(rows: &DatabaseConnection, id: ModelId) -> model::Model {
    model::Entity::find_by_id(id).one(rows).await.unwrap().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_cannot_be_talked_to_says_why() {
    let app = TestApp::start(TestDb::sqlite().await, Worker::Local).await;
    let project = app.new_project("Silence").await;
    let told = async |visitor: &Visitor, model: ModelId| {
        let page = visitor.get(&format!("{project}/models/{model}/chat")).await;
        match page.find_form("/chat") {
            Some(form) => visitor.try_submit(form.with("message", QUESTION)).await.text(),
            None => page.text(),
        }
    };
    let id: ProjectId = project.rsplit('/').next().unwrap().parse().unwrap();
    let broken = add_model(&app.rows, &store(&app), id, "broken").await;
    let said = told(&app.admin, broken).await;
    assert!(said.contains("The model cannot be loaded") && said.contains("config.json"), "{said}");

    let reward = change(&app.rows, broken, |row| row.kind = Set(model::ModelKind::Reward)).await;
    let said = told(&app.admin, reward.id).await;
    assert!(said.contains("A reward model scores answers"), "{said}");

    let without_template = |folder: &Path| {
        let _ = fs::remove_file(folder.join("chat_template.jinja"));
        let file = folder.join("tokenizer_config.json");
        let mut config: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
        config.as_object_mut().unwrap().remove("chat_template");
        fs::write(file, config.to_string()).unwrap();
    };
    let sibling = add_sibling(&app, &project, without_template).await;
    let said = told(&app.admin, sibling.id).await;
    assert!(said.contains("no chat template"), "{said}");

    // Its files change behind the program's back.
    let base = base(&app.rows).await;
    let config = store(&app).path(&base.artifact_hash).join("config.json");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text + " ").unwrap();
    let said = told(&app.admin, base.id).await;
    assert!(said.contains("was changed on disk after it was stored"), "{said}");

    let flags = ["--live-models", "0"];
    let off =
        tokio::task::block_in_place(|| Server::start_with(&app.database, Worker::None, &flags));
    let visitor = Visitor::new(&off.url);
    visitor.sign_in("admin", app.server.first_password.as_deref().unwrap()).await;
    let said = told(&visitor, sibling.id).await;
    assert!(said.contains("--live-models 0"), "{said}");
}

/// What stands on the page: questions and answers in turn.
async fn turns(browser: &Browser) -> Vec<String> {
    let script =
        "return [...document.querySelectorAll('#turns .answer')].map((turn) => turn.textContent)";
    serde_json::from_value(browser.run(script).await).unwrap()
}

/// The model does not answer; first the person stops waiting, then the line is cut.
async fn the_question_comes_back(browser: &Browser, line: &TcpProxy, expected: &[String]) {
    for is_cut in [false, true] {
        browser.fill("[name=message]", "And then?").await;
        browser.click("#chat button.primary").await;
        browser.wait_for("return document.querySelectorAll('#turns .answer').length === 4").await;
        if is_cut {
            line.cut();
        } else {
            browser.click("[data-stop]").await;
        }
        let told = if is_cut { "broken" } else { "stopped" };
        let status = "document.querySelector('[data-status]').textContent";
        browser.wait_for(&format!("return {status} === chat.dataset.{told}")).await;
        assert_eq!(turns(browser).await, expected);
        let typed = browser.run("return document.querySelector('[name=message]').value").await;
        assert_eq!(typed, "And then?");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_chats_in_chromium() {
    let Some(browser) = Browser::start().await else { return };
    let app = TestApp::start(TestDb::sqlite().await, Worker::Local).await;
    let project = app.new_project("Chat").await;
    let password = app.new_account(&project, "anna", &["engineer"]).await;
    let model = base(&app.rows).await;
    let line = TcpProxy::start(app.server.url.strip_prefix("http://").unwrap()).await;
    let site = format!("http://{}", line.address);
    sign_in(&browser, &site, "anna", &password).await;
    browser.open(&format!("{site}{project}/models/{}", model.id)).await;
    browser.click("main a[href$='/chat']").await;
    browser
        .run("document.querySelector('details.group').open = true; window.theSamePage = true")
        .await;
    browser.fill("[name=temperature]", "0").await;
    browser.fill("[name=max_new_tokens]", "24").await;
    browser.fill("[name=message]", QUESTION).await;
    browser.click("#chat button.primary").await;
    let is_done = "return document.querySelector('[data-status]').textContent.includes('tokens/s')";
    browser.wait_for(is_done).await;
    let asked = json!([{"role": "user", "content": QUESTION}]);
    let expected = [QUESTION.to_owned(), sampled(&app, &model, &asked)];
    assert_eq!(turns(&browser).await, expected);
    assert_eq!(
        browser.run("return window.theSamePage").await,
        Value::Bool(true),
        "without navigation"
    );

    // The conversation outlives a reload, and the same question greedily gets the same answer.
    browser.client.refresh().await.unwrap();
    assert_eq!(turns(&browser).await, expected);
    browser.click("[data-again]").await;
    browser.wait_for(is_done).await;
    assert_eq!(turns(&browser).await, expected);

    // A model that does not answer: the question comes back, whether the person stops waiting or
    // the line is cut.
    let [(pid, _)] = live_models(&app.server)[..] else { panic!("one model is loaded") };
    signal("STOP", &pid.to_string());
    the_question_comes_back(&browser, &line, &expected).await;
    signal("CONT", &pid.to_string());
    line.mend();
    browser.click("#chat button.primary").await;
    browser.wait_for(is_done).await;
    assert_eq!(turns(&browser).await.len(), 4);

    for (width, dark) in [(1280, false), (390, true)] {
        let file = root().join(format!("target/screenshots/conversation-{width}.png"));
        browser.screenshot(width, dark, &file).await;
    }
    browser.click("[data-clear]").await;
    browser.wait_for("return document.querySelectorAll('#turns .answer').length === 0").await;
    browser.client.refresh().await.unwrap();
    assert!(turns(&browser).await.is_empty());
    browser.close().await;
}
