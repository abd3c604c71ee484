//! What guards a session and the forms sent in it.

use crate::support::{
    app::{TestApp, Worker},
    database::{TestDb, on_both_databases},
    web::{Form, Visitor},
};

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
