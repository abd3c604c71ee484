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

/// Sends a form again after its answer, and again as a browser that never saw that answer; each time
/// somebody is signed in afterwards.
async fn send_thrice(visitor: &Visitor, form: Form) {
    let lost = visitor.twin();
    let (first, at_once) =
        tokio::join!(visitor.try_submit(form.clone()), visitor.try_submit(form.clone()));
    for page in [&first, &at_once] {
        assert!(page.status.is_success(), "{}: {}", form.action, page.text());
        assert_ne!(page.url.path(), "/sign-in", "{}", form.action);
    }
    for sender in [visitor, &lost] {
        let page = sender.try_submit(form.clone()).await;
        assert!(page.status.is_success(), "{}: {}", form.action, page.text());
        let page = sender.get("/settings").await;
        assert_eq!(page.url.path(), "/settings", "{}: nobody is signed in", form.action);
    }
}

on_both_databases! {
    async fn a_double_click_on_a_form_that_signs_in_ends_signed_in(database: TestDb) {
        let app = TestApp::start(database, Worker::None).await;
        let project = app.new_project("Double clicks").await;
        let password = app.new_account(&project, "anna", &["annotator"]).await;
        let anna = Visitor::new(&app.server.url);
        let form = anna.get("/sign-in").await.form("/sign-in");
        send_thrice(&anna, form.with("login", "anna").with("password", &password)).await;

        let form = anna.get("/settings").await.form("/settings/password");
        let form = form.with("current", &password).with("new", "a longer password");
        send_thrice(&anna, form.with("again", "a longer password")).await;

        let people = app.admin.get(&format!("{project}/people")).await;
        let form = people.form("/people").with("login", "boris").with("name", "Boris");
        let link = app.admin.submit(form.choosing("role", "annotator")).await.secret();
        let boris = Visitor::new(&app.server.url);
        let form = boris.get(&link).await.form("/welcome").with("new", "another password");
        send_thrice(&boris, form.with("again", "another password")).await;
    }
}

on_both_databases! {
    async fn a_double_click_on_sign_out_ends_signed_out(database: TestDb) {
        let app = TestApp::start(database, Worker::None).await;
        let lost = app.admin.twin();
        let form = app.admin.get("/").await.form("/sign-out");
        for sender in [&app.admin, &app.admin, &lost] {
            let page = sender.try_submit(form.clone()).await;
            assert!(page.status.is_success(), "{}", page.text());
            assert_eq!(page.url.path(), "/sign-in");
            assert_eq!(sender.get("/settings").await.url.path(), "/sign-in");
        }
    }
}

on_both_databases! {
    async fn a_sign_in_page_in_another_window_still_signs_in(database: TestDb) {
        let app = TestApp::start(database, Worker::None).await;
        let project = app.new_project("Windows").await;
        let anna = app.new_account(&project, "anna", &["annotator"]).await;
        let boris = app.new_account(&project, "boris", &["annotator"]).await;
        let browser = Visitor::new(&app.server.url);
        let first = browser.get("/sign-in").await.form("/sign-in");
        let second = browser.get("/sign-in").await.form("/sign-in");
        browser.submit(first.with("login", "anna").with("password", &anna)).await;
        browser.submit(second.clone().with("login", "boris").with("password", &boris)).await;
        assert!(browser.get("/").await.html.contains("boris"), "the last one to sign in");
        // A form of somebody who is signed in takes no token of the browser's.
        let token = second.value("csrf").unwrap().to_owned();
        let form = browser.get("/settings").await.form("/settings/password").with("csrf", token);
        assert_eq!(browser.try_submit(form).await.status, 400);
    }
}

on_both_databases! {
    async fn a_link_that_is_followed_again_leads_on_whoever_is_signed_in(database: TestDb) {
        let app = TestApp::start(database, Worker::None).await;
        let project = app.new_project("Followed again").await;
        let people = app.admin.get(&format!("{project}/people")).await;
        let form = people.form("/people").with("login", "boris").with("name", "Boris");
        let link = app.admin.submit(form.choosing("role", "annotator")).await.secret();
        let boris = Visitor::new(&app.server.url);
        boris.accept(&link, "another password").await;

        let again = boris.try_get(&link).await;
        assert!(again.text().contains("You are signed in as Boris"), "{}", again.text());
        assert_eq!(again.links("main a.primary"), ["/"]);
        assert!(!again.text().contains("Ask whoever sent it"), "{}", again.text());

        let elsewhere = Visitor::new(&app.server.url).try_get(&link).await;
        assert!(elsewhere.text().contains("Ask whoever sent it"), "{}", elsewhere.text());
        assert_eq!(elsewhere.links("main a.primary"), ["/sign-in"]);
    }
}
