//! The table of pages and people: who may open what.

use crate::support::{
    app::{TestApp, Worker},
    database::{TestDb, on_both_databases},
    web::{Form, Visitor},
};
use reqwest::StatusCode;

/// What somebody gets to see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    /// The page.
    Yes,
    /// 403: you are in the project, and this is not for you.
    No,
    /// 404: there is no such project as far as you can tell.
    Nothing,
    /// The sign-in page.
    SignIn,
}

use Answer::{No, Nothing, SignIn, Yes};

/// The columns of the table, each somebody with that role alone.
const PEOPLE: [&str; 6] =
    ["nobody", "stranger", "annotator", "manager", "engineer", "administrator"];

/// A page (below the project, unless it begins with `=`) and each person's answer.
#[rustfmt::skip]
const PAGES: &[(&str, [Answer; 6])] = &[
    ("=/",               [SignIn, Yes,     Yes, Yes, Yes, Yes]),
    ("=/settings",       [SignIn, Yes,     Yes, Yes, Yes, Yes]),
    ("=/projects/new",   [SignIn, No,      No,  No,  No,  Yes]),
    ("=/admin/people",   [SignIn, No,      No,  No,  No,  Yes]),
    ("",                 [SignIn, Nothing, Yes, Yes, Yes, Yes]),
    ("/people",          [SignIn, Nothing, No,  Yes, No,  Yes]),
    ("/prompts",         [SignIn, Nothing, No,  Yes, No,  Yes]),
    ("/demonstrate",     [SignIn, Nothing, Yes, No,  No,  Yes]),
    ("/compare",         [SignIn, Nothing, Yes, No,  No,  Yes]),
    ("/runs",            [SignIn, Nothing, No,  No,  Yes, Yes]),
    ("/runs/new/sample", [SignIn, Nothing, No,  No,  Yes, Yes]),
    ("/runs/new/sft",    [SignIn, Nothing, No,  No,  Yes, Yes]),
    ("/runs/new/reward", [SignIn, Nothing, No,  No,  Yes, Yes]),
    ("/runs/new/ppo",    [SignIn, Nothing, No,  No,  Yes, Yes]),
    ("/models",          [SignIn, Nothing, No,  No,  Yes, Yes]),
];

on_both_databases! {
    async fn a_page_opens_to_those_it_is_for(database: TestDb) {
        let app = TestApp::start(database, Worker::None).await;
        let project = app.new_project("Private").await;
        let elsewhere = app.new_project("Elsewhere").await;
        let people = [
            Visitor::new(&app.server.url),
            app.new_person(&elsewhere, "stranger", &["annotator", "manager", "engineer"]).await,
            app.new_person(&project, "annotator", &["annotator"]).await,
            app.new_person(&project, "manager", &["manager"]).await,
            app.new_person(&project, "engineer", &["engineer"]).await,
            app.admin.clone(),
        ];
        let mut wrong = Vec::new();
        for (page, expected) in PAGES {
            let path = page.strip_prefix('=').map_or_else(|| format!("{project}{page}"), str::to_owned);
            for ((who, visitor), expected) in PEOPLE.iter().zip(&people).zip(expected) {
                let got = visitor.try_get(&path).await;
                let answer = match got.status {
                    StatusCode::FORBIDDEN => No,
                    StatusCode::NOT_FOUND => Nothing,
                    StatusCode::OK if got.url.path() == "/sign-in" => SignIn,
                    StatusCode::OK => Yes,
                    status => panic!("{who} at {path}: {status}\n{}", got.text()),
                };
                if answer != *expected {
                    wrong.push(format!("{who} at {page:?}: {answer:?}, not {expected:?}"));
                }
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
    }
}

on_both_databases! {
    async fn a_form_without_its_sessions_token_changes_nothing(database: TestDb) {
        let app = TestApp::start(database, Worker::None).await;
        let form = app.admin.get("/projects/new").await.form("/projects/new").with("name", "Forged");
        let another = Visitor::new(&app.server.url).get("/sign-in").await.form("/sign-in");
        let forged = another.value("csrf").expect("a token").to_owned();
        let without: Vec<_> = form.fields.iter().filter(|(name, _)| name != "csrf").cloned().collect();
        for fields in [without, form.clone().with("csrf", &forged).fields] {
            let page = app.admin.try_submit(Form { fields, ..form.clone() }).await;
            assert!(page.status.is_client_error(), "{}", page.status);
        }
        assert!(!app.admin.get("/").await.text().contains("Forged"));
        app.admin.submit(form).await;
        assert!(app.admin.get("/").await.text().contains("Forged"));
    }
}

on_both_databases! {
    async fn a_password_is_changed_and_the_old_one_is_worth_nothing(database: TestDb) {
        let app = TestApp::start(database, Worker::None).await;
        let project = app.new_project("Passwords").await;
        let old = app.new_account(&project, "anna", &["annotator"]).await;
        let anna = Visitor::new(&app.server.url);
        anna.sign_in("anna", &old).await;
        let form = anna.get("/settings").await.form("/settings/password");
        let names: Vec<String> = form.fields.iter().map(|(name, _)| name.clone()).collect();
        let mut form = form;
        for name in names.iter().filter(|name| *name != "csrf") {
            let is_old = name.contains("old") || name.contains("current");
            form = form.with(name, if is_old { old.as_str() } else { "a longer password" });
        }
        anna.submit(form).await;
        let refused = Visitor::new(&app.server.url);
        let page = refused.get("/sign-in").await;
        let form = page.form("/sign-in").with("login", "anna").with("password", &old);
        assert!(refused.try_submit(form).await.status.is_client_error());
        Visitor::new(&app.server.url).sign_in("anna", "a longer password").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_forbids_inline_script_and_framing() {
    let app = TestApp::start(TestDb::sqlite().await, Worker::None).await;
    for path in ["/sign-in", "/nowhere"] {
        let response = reqwest::get(format!("{}{path}", app.server.url)).await.unwrap();
        let policy = response.headers()["content-security-policy"].to_str().unwrap().to_owned();
        assert!(policy.contains("default-src 'self'"), "{policy}");
        assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
        for hole in ["unsafe-inline", "unsafe-eval", "*", "data:"] {
            assert!(!policy.contains(hole), "{path}: {policy}");
        }
    }
}
