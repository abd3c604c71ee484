//! What whoever is not signed in can make the service do, which is little; and what their browsers
//! are told.

use crate::support::{
    app::{Server, TestApp, Worker},
    database::{TestDb, on_both_databases},
    eventually,
    small_disk::SmallDisk,
    web::{Page, Visitor},
};
use entity::{assignment, session};
use flate2::{Compression, write::GzEncoder};
use reqwest::{Client, Response, StatusCode, redirect::Policy};
use sea_orm::{ConnectionTrait, EntityTrait, PaginatorTrait};
use serde_json::Value;
use std::{
    io::Write,
    net::Ipv4Addr,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    time::Duration,
};

/// A client that follows nothing and keeps nothing.
fn stranger() -> Client {
    Client::builder().redirect(Policy::none()).no_proxy().build().expect("a client")
}

fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    response.headers().get(name).map_or("", |value| value.to_str().expect("a text"))
}

async fn start_with(database: &TestDb, flags: &[&str]) -> Server {
    tokio::task::block_in_place(|| Server::start_with(database, Worker::None, flags))
}

/// An attempt to sign in; the page that answers.
async fn attempt(visitor: &Visitor, login: &str, password: &str) -> Page {
    let form = visitor.get("/sign-in").await.form("/sign-in");
    visitor.try_submit(form.with("login", login).with("password", password)).await
}

/// Whether attempts are limited: twenty may come at once, and then one every three seconds.
async fn is_refused_in_the_end(mut attempt: impl AsyncFnMut() -> StatusCode) -> bool {
    for _ in 0..200 {
        match attempt().await {
            StatusCode::TOO_MANY_REQUESTS => return true,
            StatusCode::UNPROCESSABLE_ENTITY => {}
            status => panic!("{status}"),
        }
    }
    false
}

on_both_databases! {
    async fn whoever_only_looks_costs_no_session(database: TestDb) {
        let app = TestApp::start(database, Worker::None).await;
        let before = session::Entity::find().count(&app.rows).await.unwrap();
        for path in ["/sign-in", "/", "/nowhere", "/health", "/projects/new"] {
            stranger().get(format!("{}{path}", app.server.url)).send().await.unwrap();
        }
        attempt(&Visitor::new(&app.server.url), "nobody", "a wrong password").await;
        assert_eq!(session::Entity::find().count(&app.rows).await.unwrap(), before);
    }
}

on_both_databases! {
    async fn no_stranger_locks_out_whoever_signed_in_at_this_browser_before(database: TestDb) {
        let server = start_with(&database, &["--trusted-proxies", "127.0.0.1"]).await;
        let password = server.first_password.clone().expect("a password");
        let admin = Visitor::new(&server.url);
        admin.sign_in("admin", &password).await;
        admin.submit(admin.get("/").await.form("/sign-out")).await;

        let guesser = Visitor::new(&server.url);
        assert!(is_refused_in_the_end(async || attempt(&guesser, "admin", "a wrong password").await.status).await);
        let elsewhere = guesser.saying("x-forwarded-for", "203.0.113.9");
        let page = attempt(&elsewhere, "admin", "a wrong password").await;
        assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY, "another address has its own count");
        admin.sign_in("admin", &password).await;

        let settings = admin.get("/settings").await;
        let change = async || {
            let mut form = settings.form("/settings/password");
            for field in ["current", "new", "again"] {
                form = form.with(field, "a wrong password");
            }
            admin.try_submit(form).await.status
        };
        assert_eq!(change().await, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(is_refused_in_the_end(change).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_a_stranger_makes_up_does_not_count() {
    let database = TestDb::sqlite().await;
    let server = start_with(&database, &[]).await;
    let n = AtomicU32::new(0);
    let guess = async || {
        let made_up = Ipv4Addr::from_bits(n.fetch_add(1, Relaxed)).to_string();
        let visitor = Visitor::new(&server.url).saying("x-forwarded-for", &made_up);
        attempt(&visitor, "admin", "a wrong password").await.status
    };
    assert!(is_refused_in_the_end(guess).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_address_in_a_form_or_a_link_leads_to_another_site() {
    let app = TestApp::start(TestDb::sqlite().await, Worker::None).await;
    let token = app.admin.token().await;
    let hostile = [
        "//evil.example",
        "/\\evil.example",
        "/\t/evil.example",
        "/\n/evil.example",
        "/\r\nSet-Cookie: a=b",
        "/x\0",
        "/\u{7f}/evil.example",
        "/\u{85}/evil.example",
        "https://evil.example",
        "\u{1}//evil.example",
        &format!("/{}", "a".repeat(9_000)),
    ];
    for next in hostile {
        let fields = [("csrf", token.as_str()), ("language", "en"), ("next", next)];
        let answer = app.admin.ask("post", "/language", &fields).await;
        assert_eq!(
            (answer.status(), header(&answer, "location")),
            (StatusCode::SEE_OTHER, "/"),
            "{next:?}"
        );
        let query = reqwest::Url::parse_with_params("http://a/sign-in", [("next", next)]).unwrap();
        let address = format!("/sign-in?{}", query.query().unwrap());
        let answer = app.admin.ask("get", &address, &[]).await;
        assert_eq!(
            (answer.status(), header(&answer, "location")),
            (StatusCode::SEE_OTHER, "/"),
            "{next:?}"
        );
        let page = Visitor::new(&app.server.url).get(&address).await;
        assert_eq!(page.form("/sign-in").value("next"), Some("/"), "{next:?}");
    }
    let fields = [("csrf", token.as_str()), ("language", "en"), ("next", "/settings?a=б")];
    let answer = app.admin.ask("post", "/language", &fields).await;
    let leads_to = answer.headers()["location"].as_bytes();
    assert_eq!(leads_to, "/settings?a=б".as_bytes());
    let long =
        Visitor::new(&app.server.url).ask("get", &format!("/?{}", "a".repeat(9_000)), &[]).await;
    assert_eq!(header(&long, "location"), "/sign-in?next=/");
}

on_both_databases! {
    async fn only_a_person_who_asks_is_given_a_task(database: TestDb) {
        let app = TestApp::start(database, Worker::None).await;
        let project = app.new_project("Guessed").await;
        app.add_prompts(&project, ["What is a fox?".to_owned()]).await;
        let write = format!("{project}/demonstrate");
        assert_eq!(app.admin.ask("head", &write, &[]).await.status(), StatusCode::NO_CONTENT);
        let guesses = [
            ("sec-purpose", "prefetch"), ("sec-purpose", "prefetch;prerender"), ("purpose", "Prefetch"),
            ("x-purpose", "preview"), ("x-moz", "prefetch"),
        ];
        for (name, value) in guesses {
            let answer = app.admin.saying(name, value).ask("get", &write, &[]).await;
            assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE, "{name}: {value}");
            assert_eq!(header(&answer, "cache-control"), "no-store");
        }
        assert_eq!(assignment::Entity::find().count(&app.rows).await.unwrap(), 0);
        let style = annotator::web::assets::url("app.css");
        let answer = app.admin.saying("sec-purpose", "prefetch").ask("get", &style, &[]).await;
        assert_eq!(answer.status(), StatusCode::OK, "a file has no effect");
        app.admin.get(&write).await;
        assert_eq!(assignment::Entity::find().count(&app.rows).await.unwrap(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_answers_under_its_own_hash_alone() {
    let database = TestDb::sqlite().await;
    let server = start_with(&database, &[]).await;
    let style = annotator::web::assets::url("app.css");
    let get =
        async |path: &str| stranger().get(format!("{}{path}", server.url)).send().await.unwrap();
    let answer = get(&style).await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert!(header(&answer, "cache-control").contains("immutable"));
    let hash = style.split('/').nth(2).unwrap();
    for other in ["any", "000000000000", &hash[..11], &hash.to_uppercase().replace(hash, "x")] {
        let answer = get(&style.replace(hash, other)).await;
        assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{other}");
        assert!(!header(&answer, "cache-control").contains("immutable"), "{other}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn over_https_cookies_are_secure_and_over_http_the_reason_is_told() {
    let database = TestDb::sqlite().await;
    let server = start_with(&database, &["--secure-cookies"]).await;
    let get = stranger().get(format!("{}/sign-in", server.url)).send().await.unwrap();
    assert_eq!(header(&get, "strict-transport-security"), "max-age=31536000");
    let cookie = header(&get, "set-cookie").to_owned();
    let (kept, html) = (cookie.split(';').next().unwrap().to_owned(), get.text().await.unwrap());
    let token = html.split("name=\"csrf\" value=\"").nth(1).unwrap().split('"').next().unwrap();
    let fields = [("csrf", token), ("language", "ru"), ("login", "a"), ("password", "b")];
    let send = async |path: &str, name: &str, value: &str| {
        let request = stranger().post(format!("{}{path}", server.url)).form(&fields);
        request.header(name, value).send().await.unwrap()
    };
    let answer = send("/language", "cookie", &kept).await;
    for cookie in [cookie.as_str(), header(&answer, "set-cookie")] {
        for needed in ["Secure", "HttpOnly", "SameSite=Lax", "Path=/"] {
            assert!(cookie.contains(needed), "{cookie}");
        }
    }
    let over_http = send("/sign-in", "origin", &server.url).await;
    assert_eq!(over_http.status(), StatusCode::BAD_REQUEST);
    let said = over_http.text().await.unwrap();
    assert!(said.contains("--secure-cookies") && said.contains("https://"), "{said}");
    let without = send("/sign-in", "origin", "https://attune.example").await.text().await.unwrap();
    assert!(
        without.contains("sent no cookie back") && !without.contains("plain HTTP"),
        "{without}"
    );

    let database = TestDb::sqlite().await;
    let plain = start_with(&database, &[]).await;
    let get = stranger().get(format!("{}/sign-in", plain.url)).send().await.unwrap();
    assert!(get.headers().get("strict-transport-security").is_none());
    assert!(!header(&get, "set-cookie").contains("Secure"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pages_token_is_another_text_in_every_answer() {
    let app = TestApp::start(TestDb::sqlite().await, Worker::None).await;
    for visitor in [app.admin.clone(), Visitor::new(&app.server.url)] {
        let (first, second) = (visitor.token().await, visitor.token().await);
        let runs: Vec<_> = first.as_bytes().windows(8).collect();
        let shared = second.as_bytes().windows(8).filter(|run| runs.contains(run)).count();
        assert_eq!(shared, 0, "{first} and {second}");
        for token in [first, second] {
            let fields = [("csrf", token.as_str()), ("language", "en")];
            let answer = visitor.ask("post", "/language", &fields).await;
            assert_eq!(answer.status(), StatusCode::SEE_OTHER);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_is_read_as_far_as_its_sender_may_send() {
    let app = TestApp::start(TestDb::sqlite().await, Worker::None).await;
    let project = app.new_project("Bodies").await;
    let (anybody, admin) = (Visitor::new(&app.server.url), app.admin.clone());
    let send = async |visitor: &Visitor, path: &str, size: usize| {
        let (token, text) = (visitor.token().await, "a".repeat(size));
        let fields = [("csrf", token.as_str()), ("prompts", &text), ("language", "en")];
        visitor.ask("post", path, &fields).await.status()
    };
    assert_eq!(send(&anybody, "/language", 7 << 10).await, StatusCode::SEE_OTHER);
    assert_eq!(send(&anybody, "/language", 9 << 10).await, StatusCode::BAD_REQUEST);
    let prompts = format!("{project}/prompts");
    let taken = send(&admin, &prompts, 4 << 20).await;
    let is_read = matches!(taken, StatusCode::SEE_OTHER | StatusCode::UNPROCESSABLE_ENTITY);
    assert!(is_read, "the handler says what it thinks of it: {taken}");
    assert_eq!(send(&admin, &prompts, 9 << 20).await, StatusCode::PAYLOAD_TOO_LARGE);

    let mut zipped = GzEncoder::new(Vec::new(), Compression::best());
    zipped.write_all(&vec![b'a'; 1 << 20]).unwrap();
    let kind = "application/x-www-form-urlencoded";
    let request =
        stranger().post(format!("{}/sign-in", app.server.url)).header("content-type", kind);
    let answer = request.header("content-encoding", "gzip").body(zipped.finish().unwrap()).send();
    assert_eq!(answer.await.unwrap().status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_form_is_refused_in_the_readers_language() {
    let app = TestApp::start(TestDb::sqlite().await, Worker::None).await;
    let project = app.new_project("Forms").await;
    app.admin.read_in("ru").await;
    let token = app.admin.token().await;
    let upload = format!("{project}/prompts/upload");
    let cut_off = "--b\r\nContent-Disposition: form-data; name=\"csrf\"\r\n\r\nTOKEN\r\n--b\r\n\
        Content-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\nhalf";
    let cut_off = cut_off.replace("TOKEN", &token);
    let cases = [
        (upload.as_str(), "text/plain", "{}"),
        (&upload, "application/x-www-form-urlencoded", "file=a"),
        (&upload, "multipart/form-data", "no boundary"),
        (&upload, "multipart/form-data; boundary=b", &cut_off),
        ("/language", "multipart/form-data; boundary=b", &cut_off),
        ("/language", "application/json", "{}"),
        ("/language", "application/x-www-form-urlencoded", "lang=%FF"),
        (&format!("{project}/prompts"), "application/x-www-form-urlencoded", "wrong=field"),
    ];
    for (path, kind, body) in cases {
        let page = app.admin.send_body(path, kind, &token, body).await;
        assert!(page.status.is_client_error(), "{path}, {kind}: {}", page.status);
        let number = page.texts("main code").concat();
        let said = page.text().replace("multipart/form-data", "").replace(&number, "");
        let words = said.split_whitespace().filter(|word| word.len() > 3 && word.is_ascii());
        let english: Vec<_> = words.filter(|word| word.chars().all(char::is_alphabetic)).collect();
        assert!(english.is_empty(), "{path}, {kind}: {english:?} in {}", page.text());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_strangers_send_is_cut_short_in_the_log() {
    let app = TestApp::start(TestDb::sqlite().await, Worker::None).await;
    let visitor = Visitor::new(&app.server.url);
    let long = "a".repeat(50_000);
    let most = "a".repeat(7_000);
    let page = attempt(&visitor, &most, "a password").await;
    assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(!page.html.contains(&most), "nor is it said back");
    attempt(&visitor, "anna", &most).await;
    attempt(&visitor, &long, &long).await;
    visitor.try_get(&format!("/{long}")).await;
    visitor.try_get(&format!("/sign-in?next={long}")).await;
    visitor.ask(&long, "/sign-in", &[]).await;
    let agent = visitor.saying("user-agent", &long).saying("referer", &long);
    agent.try_get("/nowhere").await;
    visitor.saying("x-request-id", &long).try_get("/nowhere").await;
    let longest = app.server.log().lines().map(str::len).max().unwrap_or_default();
    assert!(longest < 2_000, "a line of {longest} bytes");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_app_listens_at_a_name() {
    let database = TestDb::sqlite().await;
    let server = start_with(&database, &["--listen", "localhost:0"]).await;
    assert!(server.url.starts_with("http://localhost:"), "{}", server.url);
    let health = stranger().get(format!("{}/health", server.url)).send().await.unwrap();
    assert_eq!(health.status(), StatusCode::OK);
}

on_both_databases! {
    async fn a_service_that_cannot_write_is_not_ready(database: TestDb) {
        let is_postgres = database.url.starts_with("postgres");
        let app = TestApp::start(database, Worker::None).await;
        let ready = async || {
            let answer = reqwest::get(format!("{}/ready", app.server.url)).await.unwrap();
            (answer.status(), answer.json::<Value>().await.unwrap()["database"].clone())
        };
        assert_eq!(ready().await, (StatusCode::OK, "ok".into()));
        // Somebody else holds what the check writes, and does not let go.
        let other = app.database.connect().await;
        let held = storage::database::begin_alone(&other).await.unwrap();
        if is_postgres {
            held.execute_unprepared("LOCK TABLE session IN ACCESS EXCLUSIVE MODE").await.unwrap();
        }
        let (status, said) = ready().await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(said.as_str().unwrap().contains("cannot be written to"), "{said}");
        held.rollback().await.unwrap();
        let is_back = async || (ready().await.0 == StatusCode::OK).then_some(());
        eventually(Duration::from_secs(30), is_back, || "it does not come back".to_owned()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_who_asks_at_once_hears_that_the_service_is_ready() {
    let database = TestDb::sqlite().await;
    let server = start_with(&database, &[]).await;
    let ask = || reqwest::get(format!("{}/ready", server.url));
    for answer in futures_util::future::join_all((0..40).map(|_| ask())).await {
        let answer = answer.unwrap();
        let (status, said) = (answer.status(), answer.text().await.unwrap());
        assert_eq!(status, StatusCode::OK, "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_on_a_full_disk_is_not_ready() {
    let Some(disk) = SmallDisk::mount() else { return };
    let place = disk.path();
    let mut database = TestDb::sqlite().await;
    database.url = format!("sqlite://{}?mode=rwc", place.join("attune.db").display());
    let artifacts = place.join("artifacts");
    let server = start_with(&database, &["--artifacts", artifacts.to_str().unwrap()]).await;
    let ready = async || {
        let answer = reqwest::get(format!("{}/ready", server.url)).await.unwrap();
        (answer.status(), answer.json::<Value>().await.unwrap())
    };
    assert_eq!(ready().await.0, StatusCode::OK);
    let filling = place.join("filling");
    let mut file = std::fs::File::create(&filling).unwrap();
    while file.write_all(&[0; 4096]).is_ok() {}
    let (status, said) = ready().await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(said["artifacts"], "the folder cannot be written to", "{said}");
    std::fs::remove_file(&filling).unwrap();
    drop(file);
    assert_eq!(ready().await.0, StatusCode::OK, "nothing was hurt");
    drop(server);
}
