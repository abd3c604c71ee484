//! Chromium does it as a person would, over a connection that the test can cut.

use crate::support::{
    app::{TestApp, Worker},
    binaries::root,
    browser::{Browser, Key},
    builders::add_comparisons,
    database::TestDb,
    people,
    tcp_proxy::TcpProxy,
    trainer::trainer,
    web::Visitor,
    world::Subject,
};
use entity::{
    dataset_version,
    ids::RunId,
    judgement::{self, ComparisonVerdict, JudgementPayload},
    model, prompt, run, run_event, session,
};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder};
use serde_json::Value;
use std::path::{Path, PathBuf};

const SEVEN: Key = Key { code: "Digit7", key: "7", number: 0x37 };
const ENTER: Key = Key { code: "Enter", key: "Enter", number: 0x0d };
/// The key that is X on an American keyboard, with the Russian layout switched on.
const X_IN_RUSSIAN: Key = Key { code: "KeyX", key: "ч", number: 0x58 };
const X: Key = Key { code: "KeyX", key: "x", number: 0x58 };

#[tokio::test(flavor = "multi_thread")]
async fn a_person_teaches_a_model_in_chromium() {
    let Some(browser) = Browser::start().await else { return };
    let app = TestApp::start(TestDb::sqlite().await, Worker::Local).await;
    let project = app.new_project("The tiny world").await;
    app.add_prompts(&project, Subject::all(3).into_iter().take(60).map(Subject::question)).await;
    let password = app.new_account(&project, "anna", &["annotator", "manager", "engineer"]).await;
    let line = TcpProxy::start(app.server.url.strip_prefix("http://").unwrap()).await;
    let site = format!("http://{}", line.address);

    sign_in(&browser, &site, "anna", &password).await;
    assert!(browser.text().await.contains("The tiny world"));
    demonstrate(&browser, &format!("{site}{project}")).await;
    add_comparisons(&app.rows, &project, [1; 4]).await;
    compare_by_key(&browser, &app, &format!("{site}{project}")).await;

    // The others write enough to train on.
    let others = Visitor::new(&app.server.url);
    others.sign_in("anna", &password).await;
    people::demonstrate(&others, &project, 3, |written| written == 40).await;
    let run = launch_sft(&browser, &format!("{site}{project}")).await;
    watch(&browser, &app, &line, run).await;
    download(&browser, &app, &format!("{site}{project}"), run).await;
    take_pictures(&browser, &app, &site, &project, run).await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_survives_the_end_of_a_session_in_chromium() {
    let Some(browser) = Browser::start().await else { return };
    let app = TestApp::start(TestDb::sqlite().await, Worker::None).await;
    let project = app.new_project("Long answers").await;
    app.add_prompts(&project, Subject::all(5).into_iter().take(2).map(Subject::question)).await;
    let password = app.new_account(&project, "anna", &["annotator"]).await;
    let site = &app.server.url;
    sign_in(&browser, site, "anna", &password).await;
    browser.open(&format!("{site}{project}/demonstrate")).await;
    let task = browser.path().await;
    session::Entity::delete_many().exec(&app.rows).await.unwrap();

    let answer = "An answer that took half an hour.";
    browser.fill("#answer", answer).await;
    let said = "return document.querySelector('[data-draft-status]').textContent";
    browser
        .wait_until("a word about the session", || async {
            browser.run(said).await.as_str().unwrap().starts_with("You have been signed out")
        })
        .await;
    browser.click("main form button.primary").await;
    browser.wait_for("return 'error' in document.body.dataset").await;
    sign_in(&browser, site, "anna", &password).await;
    browser.open(&format!("{site}{task}")).await;
    let kept = browser.run("return document.querySelector('#answer').value").await;
    assert_eq!(kept, answer);
    browser.click("main form button.primary").await;
    browser.wait_until("the next task", || async { browser.path().await != task }).await;
    let kept = browser
        .run("return Object.keys(localStorage).filter((key) => key.startsWith('kept:')).length")
        .await;
    assert_eq!(kept, 0, "what arrived is forgotten");
    browser.close().await;
}

pub(crate) async fn sign_in(browser: &Browser, site: &str, login: &str, password: &str) {
    browser.open(&format!("{site}/")).await;
    browser.fill("[name=login]", login).await;
    browser.fill("[name=password]", password).await;
    browser.click("main form button").await;
    browser.wait_until("signing in", || async { browser.path().await == "/" }).await;
}

/// Writes an answer, sees it as Markdown, sends it, and gets the next task.
async fn demonstrate(browser: &Browser, project: &str) {
    browser.open(&format!("{project}/demonstrate")).await;
    let first = browser.path().await;
    browser.fill("#answer", "The fox runs **gladly** at dawn.").await;
    browser.wait_for("return !!document.querySelector('[data-draft-status]').textContent").await;
    browser.click("[data-show-preview]").await;
    browser
        .wait_for(
            "return document.querySelector('[data-preview-body] strong')?.textContent === 'gladly'",
        )
        .await;
    // The draft is on the server: a reload has it.
    browser.wait_for("const s = document.querySelector('[data-draft-status]'); return s.textContent === s.dataset.saved").await;
    browser.client.refresh().await.unwrap();
    browser.wait_for("return document.querySelector('#answer').value.includes('**gladly**')").await;
    browser.click("#task button.primary").await;
    browser.wait_until("the next task", || async { browser.path().await != first }).await;
    browser.find("#answer").await;
}

/// Judges by keys alone: 7 and Enter, then X in the American and in the Russian layout.
async fn compare_by_key(browser: &Browser, app: &TestApp, project: &str) {
    browser.open(&format!("{project}/compare")).await;
    for (key, value) in [(SEVEN, "7"), (X, "x"), (X_IN_RUSSIAN, "x")] {
        let task = browser.path().await;
        browser.press(key).await;
        browser
            .wait_for(&format!(
                "return document.querySelector('[name=choice]:checked')?.value === '{value}'"
            ))
            .await;
        browser.press(ENTER).await;
        browser.wait_until("the next task", || async { browser.path().await != task }).await;
    }
    let rows = judgement::Entity::find()
        .order_by_asc(judgement::Column::CreatedAt)
        .all(&app.rows)
        .await
        .unwrap();
    let verdicts: Vec<ComparisonVerdict> = rows
        .into_iter()
        .filter_map(|row| match row.payload {
            JudgementPayload::Comparison { verdict, .. } => Some(verdict),
            _ => None,
        })
        .collect();
    assert_eq!(
        verdicts,
        [ComparisonVerdict::Right(3), ComparisonVerdict::BothBad, ComparisonVerdict::BothBad]
    );
}

async fn launch_sft(browser: &Browser, project: &str) -> RunId {
    browser.open(&format!("{project}/runs/new/sft")).await;
    browser
        .run("for (const group of document.querySelectorAll('details')) group.open = true")
        .await;
    for (name, value) in [("learning_rate", "0.001"), ("epochs", "60"), ("max_length", "128")] {
        browser.fill(&format!("[name={name}]"), value).await;
    }
    // What it says of the memory follows what is typed.
    let said =
        "return document.querySelector('[data-facts]').textContent.includes(' of 128 tokens')";
    browser.wait_for(said).await;
    browser.click("main form button.primary").await;
    let id = |path: &str| path.rsplit('/').next().and_then(|id| id.parse().ok());
    browser
        .wait_until("the run's page", || async {
            id(&browser.path().await).is_some_and(|_: RunId| true)
        })
        .await;
    id(&browser.path().await).unwrap()
}

/// How many points the page draws of the loss.
async fn points(browser: &Browser) -> u64 {
    let script = "return Number(document.querySelector('data[value=loss]')?.dataset.points ?? 0)";
    browser.run(script).await.as_u64().unwrap_or(0)
}

/// The curve grows under the person's eyes, and a dropped connection costs and doubles nothing.
async fn watch(browser: &Browser, app: &TestApp, line: &TcpProxy, run: RunId) {
    browser.run("window.theSamePage = true").await;
    browser.wait_until("the first points", || async { points(browser).await >= 3 }).await;
    line.cut();
    let before = (points(browser).await, line.n_accepted());
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    line.mend();
    browser.wait_until("the connection", || async { line.n_accepted() > before.1 }).await;
    browser.wait_until("more points", || async { points(browser).await > before.0 }).await;
    let is_over = "return document.querySelector('#run-status').dataset.status === 'succeeded'";
    browser.wait_for(is_over).await;
    app.wait_for_run(run).await;
    let losses = losses(app, run).await;
    browser
        .wait_until("the last point", || async { points(browser).await >= losses.len() as u64 })
        .await;
    assert_eq!(points(browser).await, losses.len() as u64, "no point is missing or doubled");
    assert_eq!(
        browser.run("return window.theSamePage").await,
        Value::Bool(true),
        "without navigation"
    );
    let shown =
        browser.run("return document.querySelector('data[value=loss]').dataset.lastSequence").await;
    assert_eq!(shown.as_str().and_then(|text| text.parse().ok()), losses.last().copied());
    let percent = browser.run("return document.querySelector('progress').value").await;
    assert_eq!(percent.as_f64(), Some(100.0));
}

/// Sequence numbers of the events that hold a loss.
async fn losses(app: &TestApp, run: RunId) -> Vec<i64> {
    let events = run_event::Entity::find()
        .filter(run_event::Column::RunId.eq(run))
        .order_by_asc(run_event::Column::Sequence)
        .all(&app.rows)
        .await
        .unwrap();
    events
        .iter()
        .filter(|row| row.event["metrics"]["loss"].is_number())
        .map(|row| row.sequence)
        .collect()
}

/// The downloaded folder is a model that the trainer can use.
async fn download(browser: &Browser, app: &TestApp, project: &str, run: RunId) {
    let run = run::Entity::find_by_id(run).one(&app.rows).await.unwrap().unwrap();
    let id = run.output_model_id.unwrap();
    let made = model::Entity::find_by_id(id).one(&app.rows).await.unwrap().unwrap();
    browser.open(&format!("{project}/models")).await;
    let link = format!("main a[href$='/models/{id}']");
    assert_eq!(browser.find(&link).await.text().await.unwrap(), made.name);
    browser.click(&link).await;
    browser.click("main a[href$='/download']").await;
    let folder = browser.downloads.path().to_owned();
    browser.wait_until("the download", || async { downloaded(&folder).is_some() }).await;
    let archive = downloaded(&folder).unwrap();
    let unpacked = unpack(&archive, &folder);
    let (prompts, out) = (folder.join("prompts.jsonl"), folder.join("answers.jsonl"));
    std::fs::write(&prompts, "{\"prompt\": \"There is a red fox\"}\n").unwrap();
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let paths = ["--model", &text(&unpacked), "--prompts", &text(&prompts), "--out", &text(&out)];
    tokio::task::block_in_place(|| trainer(["sample"].into_iter().chain(paths)));
}

/// The finished file, without Chromium's mark of an unfinished one.
fn downloaded(folder: &Path) -> Option<PathBuf> {
    let files: Vec<PathBuf> =
        std::fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path()).collect();
    let is_partial =
        |path: &PathBuf| path.extension().is_some_and(|extension| extension == "crdownload");
    if files.iter().any(is_partial) {
        return None;
    }
    files.into_iter().find(|path| path.is_file())
}

/// Unpacks the archive; the folder in it that holds `config.json`.
fn unpack(archive: &Path, folder: &Path) -> PathBuf {
    let target = folder.join("unpacked");
    let mut zip = zip::ZipArchive::new(std::fs::File::open(archive).unwrap()).unwrap();
    zip.extract(&target).unwrap();
    let inside = std::fs::read_dir(&target).unwrap().flatten().map(|entry| entry.path());
    inside
        .chain([target.clone()])
        .find(|path| path.join("config.json").is_file())
        .expect("a model's folder")
}

/// Every page, as an engineer, as the administrator and as nobody sees it.
async fn take_pictures(browser: &Browser, app: &TestApp, site: &str, project: &str, run: RunId) {
    let run = run::Entity::find_by_id(run).one(&app.rows).await.unwrap().unwrap();
    let made = run.output_model_id.unwrap();
    let of_project = |path: &str| format!("{site}{project}{path}");
    let version = dataset_version::Entity::find().one(&app.rows).await.unwrap().unwrap().id;
    let said = judgement::Entity::find().all(&app.rows).await.unwrap();
    let compared =
        said.iter().find(|row| matches!(row.payload, JudgementPayload::Comparison { .. }));
    let of_run = prompt::Column::ProjectId.eq(run.project_id); // not of the demo
    let prompt = prompt::Entity::find().filter(of_run).one(&app.rows).await.unwrap().unwrap().id;
    let mut album = Album { browser, too_wide: Vec::new() };
    let everybodys = [
        ("home", format!("{site}/")),
        ("settings", format!("{site}/settings")),
        ("project", of_project("")),
        ("people", of_project("/people")),
        ("project-log", of_project("/audit")),
        ("prompts", of_project("/prompts")),
        ("demonstrate", of_project("/demonstrate")),
        ("compare", of_project("/compare")),
        ("runs", of_project("/runs")),
        ("new-sample", of_project("/runs/new/sample")),
        ("new-sft", of_project("/runs/new/sft")),
        ("new-reward", of_project("/runs/new/reward")),
        ("new-ppo", of_project("/runs/new/ppo")),
        ("new-grpo", of_project("/runs/new/grpo")),
        ("new-base", of_project("/models/new")),
        ("run", of_project(&format!("/runs/{}", run.id))),
        ("prompt", of_project(&format!("/prompts/{prompt}"))),
        ("demonstration", of_project(&format!("/judgements/{}", said[0].id))),
        ("comparison", of_project(&format!("/judgements/{}", compared.unwrap().id))),
        ("datasets", of_project("/datasets")),
        ("dataset", of_project(&format!("/datasets/{version}"))),
        ("models", of_project("/models")),
        ("model", of_project(&format!("/models/{made}"))),
        ("chat", of_project(&format!("/models/{made}/chat"))),
        ("not-found", format!("{site}/nowhere")),
    ];
    album.take(&everybodys).await;
    browser.client.delete_all_cookies().await.unwrap();
    album.take(&[("sign-in", format!("{site}/sign-in"))]).await;
    sign_in(browser, site, "admin", app.server.first_password.as_deref().unwrap()).await;
    let administrators = [
        ("accounts", format!("{site}/admin/people")),
        ("log", format!("{site}/admin/audit")),
        ("new-project", format!("{site}/projects/new")),
    ];
    album.take(&administrators).await;
    assert!(album.too_wide.is_empty(), "pages wider than the window: {:#?}", album.too_wide);
}

/// Pictures at two widths, light and dark, in both languages, into `target/screenshots`.
struct Album<'a> {
    browser: &'a Browser,
    /// Pages that do not fit into the window.
    too_wide: Vec<String>,
}

impl Album<'_> {
    async fn take(&mut self, pages: &[(&str, String)]) {
        let folder = root().join("target/screenshots");
        for language in ["en", "ru"] {
            self.browser.speak(language).await;
            for (name, url) in pages {
                self.browser.open(url).await;
                for width in [1280, 390] {
                    for (dark, colours) in [(false, "light"), (true, "dark")] {
                        let file = format!("{name}-{width}-{colours}-{language}.png");
                        self.browser.screenshot(width, dark, &folder.join(&file)).await;
                    }
                    let script = "return document.documentElement.scrollWidth - window.innerWidth";
                    let pixels = self.browser.run(script).await.as_i64().unwrap_or(0);
                    if pixels > 0 {
                        self.too_wide.push(format!("{name} in {language} at {width}: by {pixels}"));
                    }
                }
            }
        }
    }
}
