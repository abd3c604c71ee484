//! What Prometheus is told by the web app, a worker and `trainer serve`.

use crate::support::{
    app::{Server, TestApp, Worker, clean},
    binaries,
    builders::add_run,
    database::{TestDb, free_port, on_both_databases},
    eventually,
    leash::Leash,
    openmetrics::Scrape,
    tcp_proxy::TcpProxy,
    tiny_base,
    web::Visitor,
};
use entity::{ids::ProjectId, run, task};
use sea_orm::{
    ColumnTrait, DatabaseConnection, EntityTrait, PaginatorTrait, QueryFilter, sea_query::Expr,
};
use serde_json::json;
use std::{
    collections::BTreeSet,
    io::{BufRead, BufReader},
    process::Stdio,
    time::Duration,
};

/// A server whose numbers are at the address that comes with it.
async fn measured(database: TestDb) -> (TestApp, String) {
    let address = format!("127.0.0.1:{}", free_port());
    let flags = ["--metrics-listen", address.as_str()];
    let server =
        tokio::task::block_in_place(|| Server::start_with(&database, Worker::None, &flags));
    let admin = Visitor::new(&server.url);
    let password = server.first_password.clone().expect("the first start prints a password");
    admin.sign_in("admin", &password).await;
    let rows = database.connect().await;
    (TestApp { server, admin, rows, database }, address)
}

/// A run that waits for a worker and has nothing to read.
async fn queue_run(rows: &DatabaseConnection, project: ProjectId) {
    let id = add_run(rows, project).await;
    let waits = run::Entity::update_many()
        .col_expr(run::Column::Status, Expr::value(run::RunStatus::Queued))
        .filter(run::Column::Id.eq(id));
    waits.exec(rows).await.expect("rows");
}

/// The names in the first column of the tables in docs/operations.md.
fn documented() -> BTreeSet<String> {
    let text = std::fs::read_to_string(binaries::root().join("docs/operations.md")).unwrap();
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `"));
    let names = rows.filter_map(|row| row.split('`').next());
    let names = names.map(|name| name.split('{').next().unwrap_or(name).to_owned());
    names.filter(|name| name.contains('_') && !name.contains(['.', '/', ' '])).collect()
}

fn assert_documented(scrape: &Scrape) {
    let unknown: Vec<_> = scrape.names().difference(&documented()).cloned().collect();
    assert!(unknown.is_empty(), "docs/operations.md does not tell of {unknown:?}");
}

on_both_databases! {
    async fn what_people_do_is_counted_and_odd_requests_make_no_series(database: TestDb) {
        let (app, address) = measured(database).await;
        let project = app.new_project("Counted").await;
        let anna = app.new_person(&project, "anna", &["annotator"]).await;
        let rows: String = (0..5).map(|n| format!("{{\"prompt\":\"Question {n}\"}}\n")).collect();
        app.admin.bring_in(&project, rows).await;
        let refused = Visitor::new(&app.server.url);
        let form = refused.get("/sign-in").await.form("/sign-in");
        refused.try_submit(form.with("login", "anna").with("password", "another")).await;

        let before = Scrape::of(&address).await;
        assert_documented(&before);
        assert_eq!(before.value("attune_database_up", &[]), Some(1.0));
        let open = task::Entity::find().filter(task::Column::OpenSlots.gt(0));
        let n_open = open.count(&app.rows).await.unwrap() as f64;
        assert_eq!(before.value("attune_open_tasks", &[]), Some(n_open));
        assert_eq!(before.value("attune_sign_ins_total", &[("result", "refused")]), Some(1.0));
        assert_eq!(before.value("attune_imports_total", &[("state", "done")]), Some(1.0));
        assert!(before.value("process_resident_memory_bytes", &[]).unwrap() > 1e6);
        assert!(before.value("process_open_fds", &[]).unwrap() > 5.0);
        assert!(before.value("attune_disk_free_bytes", &[("folder", "data")]).unwrap() > 0.0);

        let page = anna.get(&format!("{project}/demonstrate")).await;
        let form = page.form(page.url.path()).with("answer", "An answer.");
        anna.submit(form).await;
        let page = anna.get(&format!("{project}/demonstrate")).await;
        anna.try_submit(page.form(page.url.path()).with("answer", "")).await;

        let task = "/projects/{project}/tasks/{assignment}";
        let after = Scrape::of(&address).await;
        let submits = [("kind", "demonstrate"), ("result", "answered")];
        assert_eq!(after.value("attune_submits_total", &submits), Some(1.0));
        let invalid = [("kind", "demonstrate"), ("result", "invalid")];
        assert_eq!(after.value("attune_submits_total", &invalid), Some(1.0));
        let given = [("kind", "demonstrate"), ("result", "given")];
        assert_eq!(after.value("attune_claims_total", &given), Some(3.0));
        let posts = [("method", "POST"), ("route", task)];
        assert_eq!(after.value("http_requests_total", &posts), Some(2.0));
        assert_eq!(after.value("http_request_duration_seconds_count", &posts), Some(2.0));
        let statements = |scrape: &Scrape| scrape.value("attune_database_statements_total", &[]).unwrap();
        assert!(statements(&after) > statements(&before));
        odd_requests_make_no_series(&app, &address).await;
    }
}

/// Whoever asks for many addresses by odd methods adds nothing but what is known.
async fn odd_requests_make_no_series(app: &TestApp, address: &str) {
    let odd = Visitor::new(&app.server.url);
    for n in 0..50 {
        odd.ask("get", &format!("/nowhere/{n}?a={n}"), &[]).await;
        odd.ask(&format!("odd{n}"), &format!("/nowhere/{n}"), &[]).await;
        odd.ask("get", &format!("/projects/{n}/tasks/{n}"), &[]).await;
        odd.ask("get", &format!("/static/{n}/a.js"), &[]).await;
    }
    let hostile = Scrape::of(address).await;
    let known: BTreeSet<String> = annotator::routes::all()
        .into_iter()
        .map(|(_, path)| path)
        .chain(["unmatched".into()])
        .collect();
    let routes = hostile.labels("http_requests_total", "route");
    assert!(routes.is_subset(&known), "{routes:?}");
    let methods = hostile.labels("http_requests_total", "method");
    assert_eq!(methods, ["GET", "POST", "other"].map(str::to_owned).into());
    let nowhere = [("method", "GET"), ("route", "unmatched")];
    assert_eq!(hostile.value("http_requests_total", &nowhere), Some(50.0));
    assert_documented(&hostile);
}

on_both_databases! {
    async fn runs_that_wait_are_told(database: TestDb) {
        let (app, address) = measured(database).await;
        let project = app.new_project("Waiting").await;
        let id = project.trim_start_matches("/projects/").parse().unwrap();
        queue_run(&app.rows, id).await;
        let waits = async || {
            let scrape = Scrape::of(&address).await;
            let waited = scrape.value("attune_oldest_waiting_run_seconds", &[]);
            let n = scrape.value("attune_runs", &[("status", "queued")]);
            (n == Some(1.0) && waited > Some(0.0)).then_some(())
        };
        eventually(Duration::from_secs(30), waits, || "the run is not told of".to_owned()).await;
        app.forget_runs().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn there_are_no_metrics_where_strangers_come_or_nobody_asked() {
    let (app, address) = measured(TestDb::sqlite().await).await;
    let stranger = Visitor::new(&app.server.url);
    assert_eq!(stranger.ask("get", "/metrics", &[]).await.status(), 404);
    assert_eq!(app.admin.ask("get", "/metrics", &[]).await.status(), 404);
    let page = Visitor::new(&format!("http://{address}"));
    assert_eq!(page.ask("get", "/sign-in", &[]).await.status(), 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_the_database_is_told_and_every_answer_is_logged_and_guarded() {
    let Some(database) = TestDb::postgres().await else { return };
    let (start, end) = database.url.split_once('@').unwrap();
    let (host, name) = end.split_once('/').unwrap();
    let line = TcpProxy::start(host).await;
    let (app, address) = measured(TestDb::at(format!("{start}@{}/{name}", line.address))).await;
    line.cut();
    let number = "outage-1";
    let refused = app.admin.saying("x-request-id", number).ask("get", "/settings", &[]).await;
    assert_eq!(refused.status(), 503);
    let headers = refused.headers().clone();
    assert_eq!(headers["x-request-id"], number);
    for header in ["content-security-policy", "x-frame-options", "x-content-type-options"] {
        assert!(headers.contains_key(header), "{header} is missing");
    }
    assert_eq!(headers["cache-control"], "private, no-cache");
    let log = app.server.log();
    let answered = |line: &&str| line.contains(number) && line.contains("answered status=");
    let said = log.lines().find(answered).unwrap_or_else(|| panic!("no line:\n{log}"));
    assert!(said.contains("503"), "{said}");

    let down = async || {
        let scrape = Scrape::of(&address).await;
        let up = scrape.value("attune_database_up", &[]);
        assert!(scrape.value("process_resident_memory_bytes", &[]).is_some());
        (up == Some(0.0)).then_some(scrape)
    };
    let scrape = eventually(Duration::from_secs(30), down, || "it is not told".to_owned()).await;
    assert_eq!(scrape.value("attune_open_tasks", &[]), None);
    let away = [("route", "/settings"), ("status", "503")];
    assert_eq!(scrape.value("http_requests_total", &away), Some(1.0));
    line.mend();
    let up = async || {
        (Scrape::of(&address).await.value("attune_database_up", &[]) == Some(1.0)).then_some(())
    };
    eventually(Duration::from_secs(30), up, || "it stays down".to_owned()).await;
    drop(app);
}

on_both_databases! {
    async fn a_worker_tells_that_it_lives_and_how_its_runs_ended(database: TestDb) {
        let app = TestApp::start(database, Worker::None).await;
        let project = app.new_project("Worked").await;
        let artifacts = app.database.folder.path().join("artifacts");
        let address = format!("127.0.0.1:{}", free_port());
        let arguments = [
            "worker", "--database-url", &app.database.url,
            "--artifacts", artifacts.to_str().unwrap(),
            "--metrics-listen", &address, "--poll-ms", "50",
        ];
        let mut worker = Leash::start(&binaries::trainer(), arguments, |command| {
            clean(command).stdout(Stdio::null()).stderr(Stdio::null())
        });
        let listens = async || tokio::net::TcpStream::connect(&address).await.ok();
        eventually(Duration::from_secs(60), listens, || "nothing listens".to_owned()).await;
        let looked = async || {
            let at = Scrape::of(&address).await.value("attune_worker_looked_timestamp_seconds", &[])?;
            (at > 1e9).then_some(at)
        };
        eventually(Duration::from_secs(30), looked, || "it does not look".to_owned()).await;

        // A run of nothing fails at once.
        queue_run(&app.rows, project.trim_start_matches("/projects/").parse().unwrap()).await;
        let failed = [("kind", "sample"), ("result", "failed")];
        let ended = async || {
            let scrape = Scrape::of(&address).await;
            (scrape.value("attune_worker_runs_ended_total", &failed) == Some(1.0)).then_some(scrape)
        };
        let scrape = eventually(Duration::from_secs(60), ended, || "it does not end".to_owned()).await;
        assert_documented(&scrape);
        assert_eq!(scrape.value("attune_worker_runs_started_total", &[("kind", "sample")]), Some(1.0));
        assert_eq!(scrape.value("attune_worker_run_active", &[("kind", "sample")]), Some(0.0));
        assert!(scrape.value("attune_worker_lease_renewed_timestamp_seconds", &[]) > Some(1e9));
        assert!(scrape.value("attune_database_statements_total", &[]) > Some(0.0));
        assert!(worker.stop());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_served_model_tells_its_tokens_and_how_long_they_take() {
    let base = tiny_base();
    let address = format!("127.0.0.1:{}", free_port());
    let arguments = [
        "serve",
        "--model",
        base.to_str().unwrap(),
        "--name",
        "tiny",
        "--listen",
        "127.0.0.1:0",
        "--dtype",
        "f32",
        "--metrics-listen",
        &address,
    ];
    let mut server = Leash::start(&binaries::trainer(), arguments, |command| {
        clean(command).stdout(Stdio::piped()).stderr(Stdio::null())
    });
    let line = BufReader::new(server.stdout()).lines().next().expect("a line").expect("a text");
    let told: serde_json::Value = serde_json::from_str(&line).expect("JSON");
    let url = format!("{}/v1/chat/completions", told["listening"].as_str().unwrap());
    let asked = json!({"model": "tiny", "temperature": 0, "max_tokens": 12,
        "messages": [{"role": "user", "content": "Tell me of the red fox by the lake."}]});
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let answer = client.post(&url).json(&asked).send().await.unwrap();
    let answer: serde_json::Value = answer.json().await.unwrap();
    client.get(format!("{}/nowhere", told["listening"].as_str().unwrap())).send().await.unwrap();

    let scrape = Scrape::of(&address).await;
    assert_documented(&scrape);
    let usage = |name: &str| answer["usage"][name].as_f64();
    assert_eq!(scrape.value("attune_serve_prompt_tokens_total", &[]), usage("prompt_tokens"));
    let drawn = scrape.value("attune_serve_generated_tokens_total", &[]).unwrap();
    assert!(drawn >= usage("completion_tokens").unwrap(), "{drawn} of {answer}");
    let timed = scrape.value("attune_serve_token_duration_seconds_count", &[]);
    assert_eq!(timed, Some(drawn - 1.0));
    assert_eq!(scrape.value("attune_serve_answers_total", &[]), Some(1.0));
    assert_eq!(scrape.value("attune_serve_queue_length", &[]), Some(0.0));
    let chats = [("method", "POST"), ("route", "/v1/chat/completions"), ("status", "200")];
    assert_eq!(scrape.value("http_requests_total", &chats), Some(1.0));
    assert_eq!(scrape.value("http_requests_total", &[("route", "unmatched")]), Some(1.0));
    assert!(server.stop());
}
