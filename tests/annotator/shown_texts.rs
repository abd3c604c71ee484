//! Texts as pages show them: monsters in bounded time, plain text as plain text, answers by one rule.

use crate::{
    browser::sign_in,
    support::{
        app::{TestApp, Worker},
        binaries::root,
        browser::{Browser, Key},
        builders::add_comparisons,
        database::{TestDb, on_both_databases},
        web::Visitor,
    },
};
use annotator::data::prompts;
use entity::{
    completion,
    conversation::{ChatMessage, PromptBody},
    hash::sha256_hex,
    text,
    time::UnixMillis,
};
use sea_orm::{ActiveModelTrait, ActiveValue::Set, EntityTrait, IntoActiveModel};
use serde_json::json;

/// Texts that cost a parser of Markdown the square of their length, and long ones.
fn monsters() -> [String; 4] {
    [
        ">".repeat(40_000),
        format!("{}a", "- ".repeat(40_000)),
        "[a](".repeat(200_000),
        "x ".repeat(4 << 20),
    ]
}

async fn ask(app: &TestApp, project: &str, asked: &[PromptBody]) {
    let id = project.rsplit('/').next().unwrap().parse().unwrap();
    prompts::add(&app.rows, id, asked).await.unwrap();
}

fn chat(text: impl Into<String>) -> PromptBody {
    PromptBody::Messages(vec![ChatMessage::user(text)])
}

async fn annotator(app: &TestApp, project: &str) -> Visitor {
    app.new_person(project, "anna", &["annotator", "manager"]).await
}

on_both_databases! {
    async fn a_monstrous_text_is_shown_as_it_was_written_and_can_be_skipped(database: TestDb) {
        let app = TestApp::start(database, Worker::None).await;
        let project = app.new_project("Monsters").await;
        let asked = monsters().map(chat);
        ask(&app, &project, &asked).await;
        let anna = annotator(&app, &project).await;
        let mut page = anna.get(&format!("{project}/demonstrate")).await;
        for _ in &asked {
            let written = page.texts(".turn .written").concat();
            let monster = monsters().into_iter().find(|monster| monster.trim() == written);
            assert!(monster.is_some(), "{} letters of no prompt", written.len());
            assert!(page.texts(".turn .prose").is_empty(), "it is not laid out");
            assert!(page.texts(".turn .hint").concat().starts_with("This text is shown as it was"));
            let skip = page.form("/skip").choosing("reason", "broken");
            page = anna.submit(skip).await;
        }
        assert!(page.text().contains("Nothing is left"), "{}", page.text());
    }
}

on_both_databases! {
    async fn a_conversation_of_thousands_of_turns_is_shown_whole(database: TestDb) {
        let app = TestApp::start(database, Worker::None).await;
        let project = app.new_project("Long talks").await;
        let turns = (0..6000).map(|n| ChatMessage::user(format!("{} *{n}*", "word ".repeat(20))));
        ask(&app, &project, &[PromptBody::Messages(turns.collect())]).await;
        let anna = annotator(&app, &project).await;
        let page = anna.get(&format!("{project}/demonstrate")).await;
        let written = page.texts(".turn .written");
        assert_eq!(written.len(), 6000);
        assert!(written[5999].ends_with("*5999*"));
        assert!(page.texts(".turn .prose em").len() < 6000, "only so much is laid out");
    }
}

on_both_databases! {
    async fn a_conversation_longer_than_any_page_is_shown_as_far_as_one_goes(database: TestDb) {
        let app = TestApp::start(database, Worker::None).await;
        let project = app.new_project("Endless talks").await;
        // As it may stand there from before such rows were refused.
        let turns = (0..10_021).map(|n| ChatMessage::user(format!("word {n}")));
        ask(&app, &project, &[PromptBody::Messages(turns.collect())]).await;
        let anna = annotator(&app, &project).await;
        let page = anna.get(&format!("{project}/demonstrate")).await;
        let turns = page.texts(".turn");
        assert_eq!(turns.len(), 10_001);
        assert!(turns[10_000].contains("21 more messages follow"), "{}", turns[10_000]);
    }
}

on_both_databases! {
    async fn a_prompt_of_plain_text_is_no_markdown(database: TestDb) {
        let app = TestApp::start(database, Worker::None).await;
        let project = app.new_project("Plain").await;
        let text = "  def f(x):\n    return x*2*y  # **not** bold\n\n1) \\[a\\]\r\n";
        ask(&app, &project, &[PromptBody::Text(text.to_owned())]).await;
        let anna = annotator(&app, &project).await;
        let page = anna.get(&format!("{project}/demonstrate")).await;
        assert!(page.texts(".turn .prose").is_empty());
        let written = text.replace('\r', "&#13;");
        assert!(page.html.contains(&format!("<pre class=\"written\" dir=\"auto\">\n{written}</pre>")));
    }
}

on_both_databases! {
    async fn compared_answers_are_shown_by_the_same_rules(database: TestDb) {
        let app = TestApp::start(database, Worker::None).await;
        let project = app.new_project("Alike").await;
        add_comparisons(&app.rows, &project, [1]).await;
        let answers = completion::Entity::find().all(&app.rows).await.unwrap();
        for (answer, said) in answers.into_iter().zip(["**short**".to_owned(), ">".repeat(40_000)]) {
            let hash = sha256_hex(&said);
            let row = text::Model { hash: hash.clone(), body: Some(said), created_at: UnixMillis::now() };
            text::Entity::insert(row.into_active_model()).exec_without_returning(&app.rows).await.unwrap();
            let mut answer = answer.into_active_model();
            answer.text_hash = Set(hash);
            answer.update(&app.rows).await.unwrap();
        }
        let anna = annotator(&app, &project).await;
        let page = anna.get(&format!("{project}/compare")).await;
        assert_eq!(page.texts(".side .written").len(), 2);
        assert!(page.texts(".side .prose").is_empty(), "neither is laid out");
        assert_eq!(page.texts(".side .hint").len(), 2, "and both say so");
    }
}

const W: Key = Key { code: "KeyW", key: "ц", number: 0x57 };

/// What people and models write: formulas, a table of numbers, code, long words, three directions.
const WRITTEN: &str = "Solve \\(x^2 = \\frac{a*b*c}{2}\\) over \\{1, 2\\}:\n\n\\[\n\\begin{aligned} x &= \\sqrt{\\frac{abc}{2}} \\\\ y &= \\int_0^1 t\\,dt \\end{aligned}\n\\]\n\n\
| City | Жителей | 2020 | 2021 | 2022 | 2023 | 2024 |\n|---|:-:|--:|--:|--:|--:|--:|\n| Владивосток | 600 000 | 1234567890 | 1234567890 | 1234567890 | 1234567890 | 1234567890 |\n\n\
def f(x):\n    if x:\n        return x*2*y\n\n\
- English first\n- שלום עולם, זה טקסט\n- مرحبا بالعالم\n\n\
1. one\n1. one again\n\nمرحبا بك في عالم التدريب.\n\n> اقتباس قصير\n\n\
https://example.org/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn texts_are_laid_out_and_one_key_shows_what_was_written_in_chromium() {
    let Some(browser) = Browser::start().await else { return };
    let app = TestApp::start(TestDb::sqlite().await, Worker::None).await;
    let project = app.new_project("عالم صغير").await;
    ask(&app, &project, &[chat(WRITTEN)]).await;
    let password = app.new_account(&project, "anna", &["annotator"]).await;
    let site = &app.server.url;
    sign_in(&browser, site, "anna", &password).await;
    browser.open(&format!("{site}{project}/demonstrate")).await;

    let of = |css: &str, what: &str| {
        format!("const found = document.querySelector('.turn .prose {css}'); return {what}")
    };
    for (css, what, wanted) in [
        ("math msup", "found.getBoundingClientRect().height > 5", json!(true)),
        ("math mtd.right", "getComputedStyle(found).textAlign", json!("right")),
        (
            "td:nth-child(3)",
            "found.getClientRects().length === 1 && found.offsetHeight < 60",
            json!(true),
        ),
        ("table", "found.scrollWidth >= found.clientWidth", json!(true)),
        ("li:nth-child(2)", "getComputedStyle(found).direction", json!("rtl")),
        ("li:nth-child(1)", "getComputedStyle(found).direction", json!("ltr")),
        ("blockquote", "getComputedStyle(found).direction", json!("rtl")),
        ("ol li:nth-child(2)", "found.value", json!(1)),
    ] {
        assert_eq!(browser.run(&of(css, what)).await, wanted, "{css}: {what}");
    }
    let text = browser.find(".turn .prose").await.text().await.unwrap();
    assert!(text.contains("return x*2*y") && text.contains("\\{1, 2\\}"), "{text}");
    assert_eq!(
        browser.run("return getComputedStyle(document.querySelector('#answer')).unicodeBidi").await,
        "plaintext"
    );

    let is_shown =
        |css: &str| format!("return document.querySelector('.turn {css}').offsetHeight > 0");
    assert_eq!(browser.run(&is_shown(".written")).await, false);
    browser.press(W).await;
    browser.wait_for(&is_shown(".written")).await;
    assert_eq!(browser.run(&is_shown(".prose")).await, false);
    let written = browser.run("return document.querySelector('.turn .written').textContent").await;
    assert_eq!(written, WRITTEN, "byte for byte");
    browser.client.refresh().await.unwrap();
    browser.wait_for(&is_shown(".written")).await;
    browser.click(".title-row label").await;
    browser.wait_for(&is_shown(".prose")).await;

    // Keys that are typed are text.
    browser.click("#answer").await;
    browser.press(W).await;
    assert_eq!(browser.run(&is_shown(".prose")).await, true);
    take_pictures(&browser).await;
    browser.close().await;
}

/// Into `target/screenshots`; nothing is wider than the window.
async fn take_pictures(browser: &Browser) {
    let folder = root().join("target/screenshots");
    for language in ["en", "ru"] {
        browser.speak(language).await;
        browser.client.refresh().await.unwrap();
        for width in [390, 1280, 1920] {
            for (dark, colours) in [(false, "light"), (true, "dark")] {
                let file = format!("shown-{width}-{colours}-{language}.png");
                browser.screenshot(width, dark, &folder.join(file)).await;
            }
            let script = "return document.documentElement.scrollWidth - window.innerWidth";
            assert!(browser.run(script).await.as_i64().unwrap_or(0) <= 0, "too wide at {width}");
        }
    }
}
