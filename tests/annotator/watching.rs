//! What whoever watches the service relies on: its health, and what its log says of a request.

use crate::support::{
    app::{Server, TestApp, Worker},
    builders::{add_model, add_run},
    database::{TestDb, on_both_databases},
    eventually,
    leash::{has_ended, signal},
    tcp_proxy::TcpProxy,
    web::Visitor,
};
use entity::{account, ids::ProjectId};
use migrations::MigratorTrait;
use reqwest::StatusCode;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter};
use serde_json::{Value, json};
use std::time::Duration;
use storage::artifact_store::ArtifactStore;

async fn ready(url: &str) -> (StatusCode, Value) {
    let answer = reqwest::get(format!("{url}/ready")).await.expect("an answer");
    (answer.status(), answer.json().await.expect("JSON"))
}

on_both_databases! {
    async fn a_service_says_whether_it_is_ready_and_what_is_missing(database: TestDb) {
        let app = TestApp::start(database, Worker::None).await;
        let url = &app.server.url;
        let ok = json!({"ready": true, "database": "ok", "migrations": "ok", "artifacts": "ok"});
        assert_eq!(ready(url).await, (StatusCode::OK, ok.clone()));

        let incoming = app.database.folder.path().join("artifacts/incoming");
        std::fs::remove_dir(&incoming).unwrap();
        std::fs::write(&incoming, "in the way").unwrap();
        let (status, said) = ready(url).await;
        assert_eq!((status, &said["database"]), (StatusCode::SERVICE_UNAVAILABLE, &ok["database"]));
        assert_eq!(said["artifacts"], "the folder cannot be written to");
        std::fs::remove_file(&incoming).unwrap();

        let future = "INSERT INTO seaql_migrations (version, applied_at) VALUES ('m9999_future', 0)";
        app.rows.execute_unprepared(future).await.unwrap();
        let (status, said) = ready(url).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(said["migrations"].as_str().unwrap().starts_with("newer"), "{said}");
        app.rows.execute_unprepared("DELETE FROM seaql_migrations WHERE version = 'm9999_future'").await.unwrap();
        assert_eq!(ready(url).await, (StatusCode::OK, ok));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_without_its_database_is_alive_and_not_ready() {
    let Some(mut database) = TestDb::postgres().await else { return };
    let (_, server) = database.url.split_once('@').unwrap();
    let server = server.split('/').next().unwrap().to_owned();
    let line = TcpProxy::start(&server).await;
    let direct = database.url.clone();
    database.url = direct.replace(&server, &line.address.to_string());
    let service = tokio::task::block_in_place(|| Server::start(&database, Worker::None));
    assert_eq!(ready(&service.url).await.0, StatusCode::OK);
    let admin = Visitor::new(&service.url);
    admin.sign_in("admin", service.first_password.as_deref().unwrap()).await;
    line.cut();
    let (status, said) = ready(&service.url).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(said["database"].as_str().unwrap().starts_with("does not answer"), "{said}");
    let alive = reqwest::get(format!("{}/health", service.url)).await.unwrap();
    assert_eq!(alive.status(), StatusCode::OK);
    let page = admin.try_get("/settings").await;
    assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(page.texts("h1"), ["The database does not answer"]);
    assert!(page.texts("main code").len() == 1, "with the request's number: {}", page.text());
    line.mend();
    let is_back = async || (ready(&service.url).await.0 == StatusCode::OK).then_some(());
    eventually(Duration::from_secs(30), is_back, || "it does not come back".to_owned()).await;
}

#[test]
fn both_programs_know_the_same_steps_of_the_schema() {
    let steps = migrations::Migrator::migrations();
    let names: Vec<&str> = steps.iter().map(|step| step.name()).collect();
    assert_eq!(
        names,
        storage::schema::STEPS,
        "name a new step in migrations/entity/src/schema.rs too"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_requests_number_is_in_the_log_in_the_answer_and_on_the_error_page() {
    let database = TestDb::sqlite().await;
    let service = tokio::task::block_in_place(|| {
        Server::start_with(&database, Worker::None, &["--log-format", "json"])
    });
    let admin = Visitor::new(&service.url);
    admin.sign_in("admin", service.first_password.as_deref().unwrap()).await;

    let lost = admin.try_get("/nowhere").await;
    let shown = lost.texts("main code").pop().expect("a number on the page");
    let line = line_of(&service, &shown).await;
    assert_eq!((&line["level"], &line["status"]), (&json!("INFO"), &json!(404)));
    assert_eq!(
        (&line["span"]["method"], &line["span"]["path"]),
        (&json!("GET"), &json!("/nowhere"))
    );
    assert!(line["duration_ms"].is_u64(), "{line}");
    let rows = database.connect().await;
    let account = account::Entity::find().filter(account::Column::Login.eq("admin")).one(&rows);
    let account = account.await.unwrap().unwrap().id.to_string();
    assert_eq!(line["span"]["account"], account.as_str());
    admin.get("/settings").await;
    let said_twice = |line: &str| line.matches("\"account\"").count() > 1;
    assert!(!service.log().lines().any(said_twice), "{}", service.log());

    let by_proxy = reqwest::Client::new().get(&service.url).header("x-request-id", "edge-7");
    let answer = by_proxy.send().await.unwrap();
    assert_eq!(answer.headers()["x-request-id"], "edge-7");
    let line = line_of(&service, "edge-7").await;
    assert_eq!(line["status"], 303);
    assert!(line["span"].get("account").is_none(), "nobody was signed in: {line}");
    assert!(!service.log().contains("ERROR"), "{}", service.log());
}

/// The log's line on the request of that number.
async fn line_of(service: &Server, number: &str) -> Value {
    let find = async || {
        let log = service.log();
        let mut lines = log.lines().map(|line| serde_json::from_str::<Value>(line).expect(line));
        lines.find(|line| line["span"]["request_id"] == number && line["message"] == "answered")
    };
    eventually(Duration::from_secs(5), find, || format!("no {number} in\n{}", service.log())).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_request_is_answered_like_the_page_without_its_body() {
    let app = TestApp::start(TestDb::sqlite().await, Worker::None).await;
    let project = app.new_project("Heads").await;
    let id: ProjectId = project.rsplit('/').next().unwrap().parse().unwrap();
    let store = ArtifactStore::open(app.database.folder.path().join("artifacts")).unwrap();
    let run = add_run(&app.rows, id).await;
    let model = add_model(&app.rows, &store, id, "headless").await;
    for path in [
        "/".to_owned(),
        "/health".to_owned(),
        project.clone(),
        format!("{project}/runs/{run}/events"),
        format!("{project}/models/{model}/download"),
        "/nowhere".to_owned(),
    ] {
        let page = app.admin.ask("get", &path, &[]).await;
        let head = app.admin.ask("head", &path, &[]).await;
        assert_eq!(head.status(), page.status(), "{path}");
        assert_eq!(
            head.headers().get("content-type"),
            page.headers().get("content-type"),
            "{path}"
        );
        assert_eq!(head.bytes().await.unwrap().len(), 0, "{path}");
    }
    let stranger = Visitor::new(&app.server.url);
    assert_eq!(stranger.ask("head", &project, &[]).await.status(), StatusCode::SEE_OTHER);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_is_killed_leaves_no_worker_behind() {
    let app = TestApp::start(TestDb::sqlite().await, Worker::None).await;
    let service = tokio::task::block_in_place(|| Server::start(&app.database, Worker::Local));
    let worker = async || {
        service.children().into_iter().find(|(_, line)| line.contains(&"worker".to_owned()))
    };
    let (worker, _) = eventually(Duration::from_secs(20), worker, || "no worker".to_owned()).await;
    signal("KILL", &service.process().to_string());
    has_ended(worker).await;
}
