//! A database that is away while somebody sends a form: nothing that they typed is lost.

use crate::support::{
    app::{TestApp, Worker},
    database::TestDb,
    small_disk::SmallDisk,
    tcp_proxy::TcpProxy,
    web::{Form, Page, Visitor},
};
use entity::{account, text};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use std::{
    fs::{self, File},
    io::Write,
    time::Duration,
};
use storage::database::begin_write;

/// A server whose way to PostgreSQL can be cut.
async fn over_a_line() -> Option<(TestApp, TcpProxy, TestDb)> {
    let database = TestDb::postgres().await?;
    let (start, end) = database.url.split_once('@').unwrap();
    let (host, name) = end.split_once('/').unwrap();
    let line = TcpProxy::start(host).await;
    let by_line = TestDb::at(format!("{start}@{}/{name}", line.address));
    let app = TestApp::start(by_line, Worker::None).await;
    Some((app, line, database))
}

/// What the page shows of a form: the same, under another mask.
fn assert_same(page: &Page, sent: &Form) -> Form {
    assert_eq!(page.status, 503, "{}", page.text());
    let again = page.form(&sent.action);
    let but_token = |form: &Form| {
        let mut fields: Vec<_> =
            form.fields.iter().filter(|(name, _)| name != "csrf").cloned().collect();
        fields.sort();
        fields
    };
    assert_eq!(but_token(&again), but_token(sent));
    assert_ne!(again.value("csrf"), sent.value("csrf"), "the token has a mask of its own");
    again
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_typed_is_on_the_page_that_tells_of_an_outage_and_can_be_sent_from_there() {
    let Some((app, line, database)) = over_a_line().await else { return };
    let project = app.new_project("Outage").await;
    app.add_prompts(&project, (0..3).map(|n| format!("Question {n}"))).await;
    let anna = app.new_person(&project, "anna", &["annotator"]).await;
    let typed =
        "A <b>first</b> line\n\n  \u{ab}\u{442}\u{435}\u{43a}\u{441}\u{442}\u{bb} & \"more\"";
    let long = "\u{441}\u{43b}\u{43e}\u{432}\u{43e} ".repeat(20_000);
    for answer in [typed, &long] {
        let page = anna.get(&format!("{project}/demonstrate")).await;
        let sent = page.form(page.url.path()).with("answer", answer);
        line.cut();
        let page = anna.try_submit(sent.clone()).await;
        line.mend();
        assert!(!page.html.contains("<b>first"), "it is text");
        let again = assert_same(&page, &sent);
        anna.submit(again).await;
        let hash = entity::hash::sha256_hex(answer.trim_end());
        let stored = text::Entity::find_by_id(hash).one(&app.rows).await.unwrap();
        assert!(stored.is_some(), "it is not stored");
    }

    // What no script keeps.
    let sent = app.admin.get("/admin/people").await.form("/admin/people");
    let sent = sent.with("login", "boris").with("name", "Boris the Brave");
    line.cut();
    let page = app.admin.try_submit(sent.clone()).await;
    line.mend();
    app.admin.submit(assert_same(&page, &sent)).await;
    let boris = account::Entity::find().filter(account::Column::Login.eq("boris"));
    assert_eq!(boris.one(&app.rows).await.unwrap().unwrap().display_name, "Boris the Brave");

    // Secrets are not.
    let stranger = Visitor::new(&app.server.url);
    let sign_in = stranger.get("/sign-in").await.form("/sign-in").with("login", "anna");
    let change = anna.get("/settings").await.form("/settings/password");
    line.cut();
    for (sender, form, field) in [(&stranger, sign_in, "password"), (&anna, change, "current")] {
        let page = sender.try_submit(form.with(field, "a secret word")).await;
        assert_eq!(page.status, 503);
        assert!(!page.html.contains("a secret word"), "{}", page.html);
    }
    // A token that nobody gave stays worth nothing.
    let forged = sent.with("csrf", "0".repeat(128));
    let page = app.admin.try_submit(forged).await;
    line.mend();
    let again = page.form("/admin/people");
    assert_eq!(app.admin.try_submit(again).await.status, 400);
    drop((app, database));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_of_an_outage_gets_its_styles_whoever_is_signed_in() {
    let Some((app, line, database)) = over_a_line().await else { return };
    let style = app.admin.get("/").await.links("link[rel=stylesheet]").remove(0);
    line.cut();
    for place in [&*style, "/health"] {
        let answer = app.admin.ask("GET", place, &[]).await;
        assert_eq!(answer.status(), 200, "{place}");
    }
    assert_eq!(app.admin.try_get("/").await.status, 503);
    line.mend();
    drop((app, database));
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_works_while_the_disk_is_full_is_told_so_and_keeps_what_was_typed() {
    let Some(disk) = SmallDisk::mount() else { return };
    let mut database = TestDb::sqlite().await;
    database.url = format!("sqlite://{}?mode=rwc", disk.path().join("attune.db").display());
    let app = TestApp::start(database, Worker::None).await;
    let project = app.new_project("Full").await;
    app.add_prompts(&project, ["A question".to_owned()]).await;
    let page = app.admin.get(&format!("{project}/demonstrate")).await;
    let sent = page.form(page.url.path()).with("answer", "word ".repeat(100_000));
    let filling = disk.path().join("filling");
    let mut file = File::create(&filling).unwrap();
    while file.write_all(&[0; 4096]).is_ok() {}
    // Several times: SQLite ends a transaction by itself then, and those who come later must not be
    // told that they are done within it.
    let mut again = sent.clone();
    for _ in 0..3 {
        let page = app.admin.try_submit(sent.clone()).await;
        again = assert_same(&page, &sent);
        assert!(page.text().contains("The disk of this service is full"), "{}", page.text());
        let draft = format!("{}/draft?quiet=true", page.url.path());
        let draft = app.admin.try_submit(Form { action: draft, ..sent.clone() }).await;
        assert_eq!(draft.status, 503);
    }
    fs::remove_file(&filling).unwrap();
    drop(file);
    app.admin.submit(again).await;
    let hash = entity::hash::sha256_hex("word ".repeat(100_000).trim_end());
    assert!(text::Entity::find_by_id(hash).one(&app.rows).await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_typed_is_on_the_page_of_a_database_that_another_holds() {
    let app = TestApp::start(TestDb::sqlite().await, Worker::None).await;
    let project = app.new_project("Held").await;
    app.add_prompts(&project, ["A question".to_owned()]).await;
    let page = app.admin.get(&format!("{project}/demonstrate")).await;
    let sent = page.form(page.url.path()).with("answer", "Words that took an hour.");
    let held = begin_write(&app.rows).await.unwrap();
    let page = app.admin.try_submit(sent.clone()).await;
    held.rollback().await.unwrap();
    app.admin.submit(assert_same(&page, &sent)).await;
    let hash = entity::hash::sha256_hex("Words that took an hour.");
    assert!(text::Entity::find_by_id(hash).one(&app.rows).await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_choice_of_language_waits_for_whoever_holds_the_database() {
    let app = TestApp::start(TestDb::sqlite().await, Worker::None).await;
    let token = app.admin.token().await;
    let chosen = [("csrf", token.as_str()), ("language", "ru"), ("next", "/")];
    // Longer than one statement waits.
    let held = begin_write(&app.rows).await.unwrap();
    let hold = async {
        tokio::time::sleep(Duration::from_secs(8)).await;
        held.rollback().await.unwrap();
    };
    let (answer, ()) = tokio::join!(app.admin.ask("post", "/language", &chosen), hold);
    assert_eq!(answer.status(), 303);
    let account = account::Entity::find().one(&app.rows).await.unwrap().unwrap();
    assert_eq!(account.language.as_deref(), Some("ru"));
}
