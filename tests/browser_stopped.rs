//! A form was sent and the page stays all the same: the browser was told to stop, the server does not
//! answer. The page works on, and nothing that was typed is lost.

use crate::{
    browser_drafts::{at_a_task, n_kept, wait_for_status},
    support::{
        app::{Server, TestApp},
        browser::Browser,
        leash::signal,
    },
};
use entity::{judgement, text};
use sea_orm::{EntityTrait, QueryOrder};

/// Clicks while the server does not answer, waits a moment and presses Esc.
async fn click_and_stop(browser: &Browser, server: &Server, clicks: &str) {
    let process = server.process().to_string();
    signal("STOP", &process);
    let stop = "setTimeout(() => { window.stop(); window.isStopped = true; }, 500)";
    browser.run(&format!("{clicks}; {stop}")).await;
    browser.wait_for("return window.isStopped === true").await;
    signal("CONT", &process);
}

const SUBMIT: &str = "document.querySelector('#task button.primary').click()";

/// What was answered, the first first.
async fn the_answers(app: &TestApp) -> Vec<String> {
    let said = judgement::Entity::find().order_by_asc(judgement::Column::Revision);
    let mut texts = Vec::new();
    for said in said.all(&app.rows).await.unwrap() {
        let judgement::JudgementPayload::Demonstration { text_hash } = said.payload else {
            panic!("no answer: {said:?}");
        };
        let text = text::Entity::find_by_id(text_hash).one(&app.rows).await.unwrap();
        texts.extend(text.and_then(|text| text.body));
    }
    texts
}

/// Submits and waits for the next task.
async fn submit(browser: &Browser) {
    let task = browser.path().await;
    browser.click("#task button.primary").await;
    browser.wait_until("the next task", || async { browser.path().await != task }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_submit_that_was_stopped_a_task_goes_on_in_chromium() {
    let Some(browser) = Browser::start().await else { return };
    let (app, ..) = at_a_task(&browser, &["annotator"]).await;
    browser.fill("#answer", "sent in vain").await;
    click_and_stop(&browser, &app.server, SUBMIT).await;
    browser.fill("#answer", "sent in vain, and typed on").await;
    wait_for_status(&browser, "saved").await;
    submit(&browser).await;
    let answers = the_answers(&app).await;
    assert_eq!(answers.last().map(String::as_str), Some("sent in vain, and typed on"));
    assert_eq!(n_kept(&browser).await, 0);
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_double_click_sends_once_and_a_page_that_stays_saves_again_in_chromium() {
    let Some(browser) = Browser::start().await else { return };
    let (app, ..) = at_a_task(&browser, &["annotator"]).await;
    browser.fill("#answer", "once").await;
    let counted = "window.nSent = 0; window.addEventListener('submit', \
                   (event) => { window.nSent += !event.defaultPrevented; })";
    browser.run(counted).await;
    click_and_stop(&browser, &app.server, &format!("{SUBMIT}; {SUBMIT}")).await;
    assert_eq!(browser.run("return window.nSent").await, 1);
    // Nobody types: "Saving…" is not the last word.
    wait_for_status(&browser, "saved").await;
    submit(&browser).await;
    assert_eq!(the_answers(&app).await, ["once"]);
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_arrived_though_the_browser_stopped_is_no_other_text_in_chromium() {
    let Some(browser) = Browser::start().await else { return };
    let (app, ..) = at_a_task(&browser, &["annotator"]).await;
    browser.fill("#answer", "arrived").await;
    // The form goes out, and no page comes.
    let unheard = "taskForm.addEventListener('submit', async (event) => { \
                     event.preventDefault(); \
                     await fetch(taskForm.getAttribute('action'), {method: 'POST', redirect: 'manual', \
                       body: new URLSearchParams(new FormData(taskForm))}); \
                     window.isSent = true; \
                   }, {once: true})";
    browser.run(&format!("{unheard}; {SUBMIT}")).await;
    browser.wait_for("return window.isSent === true").await;
    browser.fill("#answer", "arrived, and typed on").await;
    wait_for_status(&browser, "saved").await;
    let told = "return ['revision', 'expired', 'other'].filter((mark) => \
                document.querySelector(`[data-${mark}]`)?.checkVisibility())";
    assert_eq!(browser.run(told).await, serde_json::json!(["revision"]));
    submit(&browser).await;
    assert_eq!(the_answers(&app).await, ["arrived", "arrived, and typed on"]);
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_that_was_stopped_and_left_is_not_taken_for_stored_in_chromium() {
    let Some(browser) = Browser::start().await else { return };
    let (app, project, _) = at_a_task(&browser, &["manager", "annotator"]).await;
    let site = &app.server.url;
    browser.open(&format!("{site}{project}")).await;
    browser.run("document.querySelector('#guidelines').closest('details').open = true").await;
    browser.fill("#guidelines", "Be brief, and kind.").await;
    let save = "document.querySelector('form[data-keep] button.primary').click()";
    click_and_stop(&browser, &app.server, save).await;
    // What the next page, to which a redirect leads, says is not said of the form.
    browser.open(&format!("{site}{project}/demonstrate")).await;
    assert!(browser.path().await.contains("/tasks/"));
    assert_eq!(n_kept(&browser).await, 1);
    browser.close().await;
}
