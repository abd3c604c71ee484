//! A project's settings, open in several windows: what somebody has stored is not replaced by a window
//! that does not know of it.

use super::erased_texts::{id_of, keep};
use crate::support::{
    app::{TestApp, Worker},
    backups::done,
    database::on_both_databases,
    web::{Form, Page},
};
use entity::{audit_log, project};
use reqwest::StatusCode;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder};

async fn the_form(app: &TestApp, project: &str) -> Form {
    app.admin.get(project).await.form("/settings")
}

/// The guidelines and the number of people that are stored.
async fn stored(app: &TestApp, project: &str) -> (String, i32) {
    let row = project::Entity::find_by_id(id_of(project)).one(&app.rows).await.unwrap().unwrap();
    (row.guidelines, row.comparison_overlap)
}

/// What each change replaced, the first first.
async fn replaced(app: &TestApp) -> Vec<String> {
    let lines = audit_log::Entity::find()
        .filter(audit_log::Column::Action.eq("project.change"))
        .order_by_asc(audit_log::Column::Id);
    let lines = lines.all(&app.rows).await.unwrap();
    lines.iter().map(|line| line.details["guidelines"].as_str().unwrap().to_owned()).collect()
}

fn assert_overtaken(page: &Page, stored: &str, typed: &str) {
    assert_eq!(page.status, StatusCode::CONFLICT, "{}", page.text());
    assert_eq!(page.texts("#stored-guidelines"), [stored]);
    assert_eq!(page.form("/settings").value("guidelines"), Some(typed));
}

on_both_databases! {
    async fn an_older_window_does_not_write_over_newer_settings(database: TestDb) {
        let app = TestApp::start(database, Worker::None).await;
        let project = app.new_project("Two windows").await;
        app.admin.submit(the_form(&app, &project).await.with("guidelines", "First.")).await;
        let (one, other) = (the_form(&app, &project).await, the_form(&app, &project).await);
        app.admin.submit(one.with("guidelines", "Second, and long.")).await;

        let refused = app.admin.try_submit(other.clone().with("overlap", 3)).await;
        assert_overtaken(&refused, "Second, and long.", "First.");
        assert_eq!(stored(&app, &project).await, ("Second, and long.".to_owned(), 1));
        // A mistake beside it teaches the window nothing.
        let mistaken = app.admin.try_submit(other.with("overlap", 0)).await;
        assert_eq!(mistaken.status, StatusCode::UNPROCESSABLE_ENTITY);
        let again = app.admin.try_submit(mistaken.form("/settings").with("overlap", 3)).await;
        assert_overtaken(&again, "Second, and long.", "First.");
        // Whoever has seen both may store theirs.
        app.admin.submit(refused.form("/settings")).await;
        assert_eq!(stored(&app, &project).await, ("First.".to_owned(), 3));
        let lines = replaced(&app).await;
        assert_eq!(lines, ["", "First.", "Second, and long."]);
    }
}

on_both_databases! {
    async fn of_changes_in_one_moment_one_is_stored_and_no_text_is_lost(database: TestDb) {
        let app = TestApp::start(database, Worker::None).await;
        let project = app.new_project("A crowd").await;
        let form = the_form(&app, &project).await;
        let texts: Vec<String> = (0..6).map(|n| format!("Text {n}.")).collect();
        let sent = texts.iter().map(|text| app.admin.try_submit(form.clone().with("guidelines", text)));
        let pages = futures_util::future::join_all(sent).await;
        let won = pages.iter().position(|page| page.status.is_success()).expect("one is stored");
        assert_eq!(stored(&app, &project).await.0, texts[won]);
        for (page, text) in pages.iter().zip(&texts).filter(|(_, text)| **text != texts[won]) {
            assert_overtaken(page, &texts[won], text);
        }
        assert_eq!(replaced(&app).await, [""]);
    }
}

on_both_databases! {
    async fn words_that_were_erased_meanwhile_do_not_come_back(database: TestDb) {
        const WORDS: &str = "My telephone number is 5550100.";
        let app = TestApp::start(database, Worker::None).await;
        let project = app.new_project("Careless").await;
        let careless = format!("Never say: {WORDS} Done.");
        app.admin.submit(the_form(&app, &project).await.with("guidelines", &careless)).await;
        let open = the_form(&app, &project).await;
        let text = keep(&app.rows, WORDS).await;
        done(&app.database, &["erase", "--text", &text, "--reason", "asked", "--guidelines", "--yes"]);
        let left = "Never say: [erased] Done.";
        let refused = app.admin.try_submit(open.with("overlap", 2)).await;
        assert_overtaken(&refused, left, &careless);
        assert_eq!(stored(&app, &project).await, (left.to_owned(), 1));
    }
}

on_both_databases! {
    async fn whoever_says_nothing_of_what_they_saw_replaces_nothing(database: TestDb) {
        let app = TestApp::start(database, Worker::None).await;
        let project = app.new_project("A script").await;
        app.admin.submit(the_form(&app, &project).await.with("guidelines", "Be brief.")).await;
        let token = app.admin.token().await;
        let address = format!("{project}/settings");
        let send = |guidelines: &'static str| {
            let fields = [("csrf", token.as_str()), ("guidelines", guidelines), ("overlap", "1")];
            let (admin, address) = (&app.admin, &address);
            async move { admin.ask("post", address, &fields).await.status() }
        };
        assert_eq!(send("Be long.").await, StatusCode::CONFLICT);
        assert_eq!(stored(&app, &project).await.0, "Be brief.");
        assert_eq!(send("Be brief.").await, StatusCode::SEE_OTHER, "nothing is replaced");
    }
}
