//! What a person types is not lost: two windows, "Back", a lost project, an expired session, a forgotten
//! form, somebody else at the same machine.

use crate::{
    browser::sign_in,
    support::{
        app::{TestApp, Worker},
        backups::done,
        browser::{Browser, Key},
        builders::add_comparisons,
        database::TestDb,
        tcp_proxy::TcpProxy,
    },
};
use entity::{draft, membership, session};
use sea_orm::{DatabaseConnection, EntityTrait};

/// A project with two prompts, and anna at the first task.
pub(crate) async fn at_a_task(browser: &Browser, roles: &[&str]) -> (TestApp, String, String) {
    let app = TestApp::start(TestDb::sqlite().await, Worker::None).await;
    let project = app.new_project("Words").await;
    app.add_prompts(&project, ["Why?".to_owned(), "When?".to_owned()]).await;
    let password = app.new_account(&project, "anna", roles).await;
    sign_in(browser, &app.server.url, "anna", &password).await;
    browser.open(&format!("{}{project}/demonstrate", app.server.url)).await;
    (app, project, password)
}

pub(crate) async fn wait_for_status(browser: &Browser, name: &str) {
    let script = format!(
        "const s = document.querySelector('[data-draft-status]'); \
         return s.textContent !== '' && s.textContent === s.dataset.{name}"
    );
    browser.wait_for(&script).await;
}

async fn the_draft(rows: &DatabaseConnection) -> String {
    draft::Entity::find().one(rows).await.unwrap().map(|draft| draft.body).unwrap_or_default()
}

async fn answer_in_the_form(browser: &Browser) -> String {
    let value = browser.run("return document.querySelector('#answer').value").await;
    value.as_str().unwrap().to_owned()
}

pub(crate) async fn n_kept(browser: &Browser) -> u64 {
    let script = "return Object.keys(localStorage).filter((key) => key.startsWith('kept:')).length";
    browser.run(script).await.as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_window_does_not_write_over_a_newer_draft_in_chromium() {
    let Some(browser) = Browser::start().await else { return };
    let (app, ..) = at_a_task(&browser, &["annotator"]).await;
    let task = browser.client.current_url().await.unwrap();
    browser.fill("#answer", "first").await;
    wait_for_status(&browser, "saved").await;
    let old = browser.client.window().await.unwrap();
    let new = browser.client.new_window(true).await.unwrap().handle;
    browser.client.switch_to_window(new.clone()).await.unwrap();
    browser.open(task.as_str()).await;
    assert_eq!(answer_in_the_form(&browser).await, "first");
    browser.fill("#answer", "first and second").await;
    wait_for_status(&browser, "saved").await;

    // The sign of life of a window where nothing was typed since brings it up to date.
    browser.client.switch_to_window(old.clone()).await.unwrap();
    browser.run("taskDraft.save(true)").await;
    wait_for_status(&browser, "adopted").await;
    assert_eq!(answer_in_the_form(&browser).await, "first and second");

    // Where something was typed in both, both are there until the person has chosen. The windows
    // stand side by side: none comes into sight, which would bring it up to date.
    let side_by_side = "window.addEventListener('visibilitychange', \
                        (event) => event.stopImmediatePropagation(), true)";
    browser.run(side_by_side).await;
    browser.client.switch_to_window(new).await.unwrap();
    browser.fill("#answer", "third").await;
    wait_for_status(&browser, "saved").await;
    browser.client.switch_to_window(old).await.unwrap();
    browser.fill("#answer", "of the old window").await;
    wait_for_status(&browser, "choose").await;
    assert!(the_draft(&app.rows).await.contains("third"));
    assert_eq!(answer_in_the_form(&browser).await, "of the old window");
    assert_eq!(
        browser.run("return document.querySelector('[data-other]').textContent").await,
        "third"
    );
    browser.client.refresh().await.unwrap();
    assert_eq!(answer_in_the_form(&browser).await, "third");
    assert_eq!(
        browser.run("return document.querySelector('[data-other]').textContent").await,
        "of the old window"
    );
    browser.click("[data-take]").await;
    wait_for_status(&browser, "saved").await;
    assert!(the_draft(&app.rows).await.contains("of the old window"));
    assert_eq!(n_kept(&browser).await, 0);
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_back_a_task_saves_again_in_chromium() {
    let Some(browser) = Browser::start().await else { return };
    let (app, ..) = at_a_task(&browser, &["annotator"]).await;
    let task = browser.path().await;
    browser.fill("#answer", "sent").await;
    browser.click("#task button.primary").await;
    browser.wait_until("the next task", || async { browser.path().await != task }).await;
    browser.client.back().await.unwrap();
    browser.wait_until("the task before", || async { browser.path().await == task }).await;
    browser.wait_for("return document.querySelector('[data-revision]').checkVisibility()").await;
    browser.fill("#answer", "sent, and a second thought").await;
    wait_for_status(&browser, "saved").await;
    assert!(the_draft(&app.rows).await.contains("a second thought"));

    // The same where the browser shows the page as it was left, without asking the server.
    let shown = "taskDraft.submitted(); window.dispatchEvent(new PageTransitionEvent('pageshow', {persisted: true})); \
                 window.isOld = true";
    browser.run(shown).await;
    browser.wait_for("return window.isOld === undefined && typeof taskDraft === 'object'").await;
    browser.fill("#answer", "sent, and a third thought").await;
    wait_for_status(&browser, "saved").await;
    assert!(the_draft(&app.rows).await.contains("a third thought"));
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_removed_while_writing_keeps_the_text_in_chromium() {
    let Some(browser) = Browser::start().await else { return };
    let (app, ..) = at_a_task(&browser, &["annotator"]).await;
    membership::Entity::delete_many().exec(&app.rows).await.unwrap();
    browser.fill("#answer", "half an hour of work").await;
    wait_for_status(&browser, "gone").await;
    assert!(browser.find("[data-copy-text]").await.is_displayed().await.unwrap());
    browser.click("#task button.primary").await;
    browser.wait_for("return 'error' in document.body.dataset").await;
    assert!(browser.text().await.contains("half an hour of work"));
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_typed_offline_is_saved_later_and_does_not_replace_what_came_meanwhile_in_chromium()
 {
    let Some(browser) = Browser::start().await else { return };
    let app = TestApp::start(TestDb::sqlite().await, Worker::None).await;
    let project = app.new_project("Words").await;
    app.add_prompts(&project, ["Why?".to_owned()]).await;
    let password = app.new_account(&project, "anna", &["annotator"]).await;
    let line = TcpProxy::start(app.server.url.strip_prefix("http://").unwrap()).await;
    let site = format!("http://{}", line.address);
    sign_in(&browser, &site, "anna", &password).await;
    browser.open(&format!("{site}{project}/demonstrate")).await;
    let path = browser.path().await;
    line.cut();
    browser.fill("#answer", "on the train").await;
    wait_for_status(&browser, "local").await;
    // At another machine, meanwhile.
    let elsewhere = crate::support::web::Visitor::new(&app.server.url);
    elsewhere.sign_in("anna", &password).await;
    let form = elsewhere.get(&path).await.form(&path).with("answer", "at home");
    elsewhere.submit(crate::support::web::Form { action: format!("{path}/draft"), ..form }).await;
    line.mend();
    browser.run("window.dispatchEvent(new Event('online'))").await;
    wait_for_status(&browser, "choose").await;
    assert!(the_draft(&app.rows).await.contains("at home"));
    browser.click("[data-mine]").await;
    wait_for_status(&browser, "saved").await;
    assert!(the_draft(&app.rows).await.contains("on the train"));
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_that_keeps_nothing_says_so_in_chromium() {
    let Some(browser) = Browser::start().await else { return };
    let (app, ..) = at_a_task(&browser, &["annotator"]).await;
    browser.run("Storage.prototype.setItem = () => { throw new DOMException('full', 'QuotaExceededError'); }").await;
    membership::Entity::delete_many().exec(&app.rows).await.unwrap();
    browser.fill("#answer", "nowhere").await;
    wait_for_status(&browser, "nowhere").await;
    assert!(browser.find("[data-copy-text]").await.is_displayed().await.unwrap());
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_form_survives_a_reload_and_an_expired_session_in_chromium() {
    let Some(browser) = Browser::start().await else { return };
    let (app, project, password) = at_a_task(&browser, &["manager", "annotator"]).await;
    let site = &app.server.url;
    let address = format!("{site}{project}");
    let open = "document.querySelector('#guidelines').closest('details').open = true";
    let value = "return document.querySelector('#guidelines').value";
    browser.open(&address).await;
    browser.run(open).await;
    browser.fill("#guidelines", "Be brief, and kind.").await;
    browser.client.refresh().await.unwrap();
    assert_eq!(browser.run(value).await, "Be brief, and kind.");
    session::Entity::delete_many().exec(&app.rows).await.unwrap();
    browser.run(open).await;
    browser.click("form[data-keep] button.primary").await;
    browser.wait_for("return 'error' in document.body.dataset").await;
    assert!(
        browser.text().await.contains("Be brief, and kind.") || browser.run(value).await.is_null()
    );
    sign_in(&browser, site, "anna", &password).await;
    assert!(browser.text().await.contains("Be brief, and kind."), "the start page lists it");
    browser.open(&address).await;
    assert_eq!(browser.run(value).await, "Be brief, and kind.");
    browser.run(open).await;
    browser.click("form[data-keep] button.primary").await;
    browser.wait_for("return document.querySelector('main .note.success') !== null").await;
    assert_eq!(n_kept(&browser).await, 0, "what arrived is forgotten");
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_out_warns_of_unsent_text_and_leaves_nothing_in_chromium() {
    let Some(browser) = Browser::start().await else { return };
    let (app, project, _) = at_a_task(&browser, &["annotator", "manager"]).await;
    let site = &app.server.url;
    browser.open(&format!("{site}{project}/prompts")).await;
    browser.fill("#prompts", "A question for tomorrow").await;
    browser.click("form[data-sign-out] button").await;
    browser.wait_for("return !document.querySelector('[data-kept]').hidden").await;
    assert!(browser.text().await.contains("A question for tomorrow"));
    browser.click("[data-leave]").await;
    browser.wait_until("signing out", || async { browser.path().await == "/sign-in" }).await;
    assert_eq!(n_kept(&browser).await, 0);
    browser.client.back().await.unwrap();
    browser.wait_until("the way to sign in", || async { browser.path().await == "/sign-in" }).await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_those_that_a_person_reads_in_chromium() {
    let Some(browser) = Browser::start().await else { return };
    let (app, project, _) = at_a_task(&browser, &["annotator"]).await;
    add_comparisons(&app.rows, &project, [1]).await;
    browser.open(&format!("{}{project}/compare", app.server.url)).await;
    let chosen = "return document.querySelector('[name=choice]:checked')?.value ?? 'none'";
    let key = |code, key, number| Key { code, key, number };
    // On Dvorak, the key with X is where B is printed, and where X is printed is Q.
    browser.press(key("KeyX", "q", 0x51)).await;
    assert_eq!(browser.run(chosen).await, "none");
    for (pressed, value) in [
        (key("KeyB", "x", 0x58), "x"),
        (key("Digit1", "&", 0x31), "1"), // French, without the shift key
        (key("KeyX", "χ", 0x58), "x"),   // Greek
        (key("Numpad7", "7", 0x67), "7"),
    ] {
        browser.press(pressed).await;
        assert_eq!(browser.run(chosen).await, value, "{pressed:?}");
    }
    let composing = "document.dispatchEvent(new KeyboardEvent('keydown', {key: 'x', code: 'KeyX', isComposing: true, bubbles: true}))";
    browser
        .run(&format!(
            "document.querySelector('h1').tabIndex = 0; {}",
            composing.replace("document.dispatch", "document.body.dispatch")
        ))
        .await;
    assert_eq!(browser.run(chosen).await, "7", "a word that is being composed is left alone");
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_typed_into_a_launch_form_is_kept_for_that_form_alone_in_chromium() {
    let Some(browser) = Browser::start().await else { return };
    let app = TestApp::start(TestDb::sqlite().await, Worker::None).await;
    let [first, second] = [app.new_project("First").await, app.new_project("Second").await];
    let password = app.new_account(&first, "anna", &["engineer"]).await;
    let form = app.admin.get(&format!("{second}/people")).await.form("/people");
    app.admin.submit(form.with("login", "anna").choosing("role", "engineer")).await;
    let site = &app.server.url;
    sign_in(&browser, site, "anna", &password).await;
    let address = |project: &str, kind: &str| format!("{site}{project}/runs/new/{kind}");
    let value = "return document.querySelector('[name=epochs]').value";
    browser.open(&address(&first, "kto")).await;
    let open = "for (const group of document.querySelectorAll('details')) group.open = true";
    browser.run(open).await;
    browser.fill("[name=epochs]", "seventeen").await;
    browser.fill("[name=max_length]", "99").await;
    browser.click("main form button.primary").await;
    browser.wait_for("return document.querySelector('.error-summary') !== null").await;
    assert_eq!(n_kept(&browser).await, 1);
    for elsewhere in [address(&second, "sft"), address(&first, "sft"), address(&second, "kto")] {
        browser.open(&elsewhere).await;
        assert_ne!(browser.run(value).await, "seventeen", "{elsewhere}");
        let offered = browser.run("return document.querySelector('[data-other]') !== null").await;
        assert_eq!(offered, false, "{elsewhere}");
    }
    // There it is offered, each value with its label.
    browser.open(&address(&first, "kto")).await;
    let offered = browser.run("return document.querySelector('[data-other]').textContent").await;
    assert!(offered.as_str().unwrap().contains("Epochs: seventeen"), "{offered}");
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_is_open_says_that_something_of_its_task_was_erased_in_chromium() {
    let Some(browser) = Browser::start().await else { return };
    let (app, ..) = at_a_task(&browser, &["annotator"]).await;
    let shown = "return ['expired', 'erased'].filter((mark) => \
                 document.querySelector(`[data-${mark}]`)?.checkVisibility())";
    assert_eq!(browser.run(shown).await, serde_json::json!([]));
    done(&app.database, &["erase", "--containing", "Why?", "--reason", "asked", "--yes"]);
    browser.fill("#answer", "half an answer").await;
    wait_for_status(&browser, "saved").await;
    assert_eq!(browser.run(shown).await, serde_json::json!(["erased"]));
    browser.close().await;
}
