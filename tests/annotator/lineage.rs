//! From a judgement to the models that learnt from it, and back, as people walk it.

use crate::{
    browser::sign_in,
    support::{
        app::{TestApp, Worker},
        browser::Browser,
        builders::{add_comparisons, add_model, succeed},
        database::{TestDb, on_both_databases},
        people::{self, Judging},
        web::{Page, Visitor},
        world::Subject,
    },
};
use entity::{
    completion,
    ids::{ModelId, ProjectId, RunId},
    model, run,
};
use sea_orm::{ActiveModelTrait, ActiveValue::Set, EntityTrait, sea_query::Expr};
use storage::artifact_store::ArtifactStore;

const ANNA: [&str; 3] = ["annotator", "manager", "engineer"];

/// A project in which a model learnt from three answers; the first of them was changed once.
struct Taught {
    app: TestApp,
    project: String,
    anna: Visitor,
    password: String,
    run: RunId,
    model: ModelId,
}

impl Taught {
    async fn by_anna(database: TestDb) -> Self {
        let app = TestApp::start(database, Worker::None).await;
        let project = app.new_project("Lineage").await;
        app.add_prompts(&project, Subject::all(3).into_iter().take(3).map(Subject::question)).await;
        let password = app.new_account(&project, "anna", &ANNA).await;
        let anna = Visitor::new(&app.server.url);
        anna.sign_in("anna", &password).await;

        let first = anna.get(&format!("{project}/demonstrate")).await;
        let form = first.form(first.url.path()).with("answer", "A hasty answer.");
        anna.submit(form).await;
        let again = anna.get(first.url.path()).await;
        anna.submit(again.form(first.url.path()).with("answer", "A better answer.")).await;
        people::demonstrate(&anna, &project, 3, |_| false).await;

        let (store, id) = (store(&app), id_of(&project));
        add_model(&app.rows, &store, id, "the-start").await;
        let run = app.queue(&anna, &project, "sft", &[]).await;
        let model = succeed(&app.rows, &store, run, "the-pupil").await;
        Self { app, project, anna, password, run, model }
    }

    async fn get(&self, path: &str) -> Page {
        self.anna.get(&format!("{}{path}", self.project)).await
    }
}

fn store(app: &TestApp) -> ArtifactStore {
    ArtifactStore::open(app.database.folder.path().join("artifacts")).unwrap()
}

fn id_of(project: &str) -> ProjectId {
    project.rsplit('/').next().unwrap().parse().unwrap()
}

on_both_databases! {
    async fn a_version_names_its_rows_its_runs_and_its_models(database: TestDb) {
        let taught = Taught::by_anna(database).await;
        let list = taught.get("/datasets").await;
        let version = list.links("main a[href*='/datasets/']").remove(0);
        let page = taught.anna.get(&version).await;
        for said in ["demonstrations", "anna", "the-pupil", "A better answer."] {
            assert!(page.text().contains(said), "no {said:?} in\n{}", page.text());
        }
        assert!(!page.text().contains("A hasty answer."), "{}", page.text());
        assert_eq!(page.links("main a[href*='/judgements/']").len(), 3);
        assert!(page.links("main a").contains(&format!("{}/runs/{}", taught.project, taught.run)));
        for of in ["/runs/", "/models/"] {
            let id = if of == "/runs/" { taught.run.to_string() } else { taught.model.to_string() };
            let other = taught.get(&format!("{of}{id}")).await;
            assert!(other.links("main a").contains(&version), "{of} does not lead to the version");
        }
    }
}

on_both_databases! {
    async fn every_revision_has_its_page_and_says_whether_it_counts(database: TestDb) {
        let taught = Taught::by_anna(database).await;
        let prompts = taught.get("/prompts").await.links("main a[href*='/prompts/']");
        let mut revised = None;
        for prompt in prompts {
            let page = taught.anna.get(&prompt).await;
            if page.text().contains("A hasty answer.") {
                revised = Some(page);
            }
        }
        let said = revised.expect("the prompt that was answered twice").links("main a[href*='/judgements/']");
        let [newer, older] = &said[..] else { panic!("two revisions: {said:?}") };
        let newer = taught.anna.get(newer).await;
        assert!(newer.text().contains("A better answer.") && newer.text().contains("the-pupil"), "{}", newer.text());
        assert!(newer.links("main a").contains(older), "the newer leads to the older");
        let older = taught.anna.get(older).await;
        assert!(older.text().contains("A newer revision has replaced this one."), "{}", older.text());
        assert!(older.text().contains("No dataset version contains it."), "{}", older.text());
    }
}

on_both_databases! {
    async fn what_was_made_from_a_pupil_is_told_with_the_judgement_that_it_learnt_from(database: TestDb) {
        let taught = Taught::by_anna(database).await;
        let store = store(&taught.app);
        let reward = add_model(&taught.app.rows, &store, id_of(&taught.project), "the-judge").await;
        let kind = model::ActiveModel { id: Set(reward), kind: Set(model::ModelKind::Reward), ..Default::default() };
        kind.update(&taught.app.rows).await.unwrap();
        let settings = [("model", taught.model), ("reward_model", reward)].map(|(name, id)| (name.to_owned(), id.to_string()));
        let run = taught.app.queue(&taught.anna, &taught.project, "ppo", &settings).await;
        let policy = succeed(&taught.app.rows, &store, run, "the-policy").await;

        let version = taught.get("/datasets").await.links("main a[href*='/datasets/']");
        let mut judgement = None;
        for version in version {
            let rows = taught.anna.get(&version).await.links("main a[href*='/judgements/']");
            judgement = judgement.or(rows.first().cloned());
        }
        let page = taught.anna.get(&judgement.expect("a judgement")).await;
        let address = format!("{}/models/{policy}", taught.project);
        assert!(page.links("main p a").contains(&address), "{}", page.text());
        let page = taught.anna.get(&address).await;
        let judge = format!("{}/models/{reward}", taught.project);
        assert!(page.links("dl.pairs a").contains(&judge), "a policy names its reward model: {}", page.text());
    }
}

on_both_databases! {
    async fn a_manager_is_not_told_which_model_wrote_an_answer(database: TestDb) {
        let app = TestApp::start(database, Worker::None).await;
        let project = app.new_project("Blind").await;
        let annotator = app.new_person(&project, "annotator", &["annotator"]).await;
        let manager = app.new_person(&project, "manager", &["manager", "annotator"]).await;
        let engineer = app.new_person(&project, "engineer", &["engineer"]).await;
        add_comparisons(&app.rows, &project, [1]).await;
        let author = add_model(&app.rows, &store(&app), id_of(&project), "the-author").await;
        completion::Entity::update_many()
            .col_expr(completion::Column::ModelId, Expr::value(author))
            .exec(&app.rows)
            .await
            .unwrap();
        assert_eq!(people::compare(&annotator, &project, 1, Judging::ByTaste, |_| false).await, 1);
        let prompts = manager.get(&format!("{project}/prompts")).await;
        let prompt = manager.get(&prompts.links("main a[href*='/prompts/']").remove(0)).await;
        let judgement = prompt.links("main a[href*='/judgements/']").remove(0);
        let seen = manager.get(&judgement).await;
        assert!(seen.html.contains("annotator"), "who judged is no secret: {}", seen.text());
        assert!(!seen.html.contains("the-author") && !seen.html.contains(&author.to_string()));
        let links = seen.links("main a");
        let is_closed = |link: &String| ["/runs/", "/models/", "/datasets/"].iter().any(|part| link.contains(part));
        assert!(!links.iter().any(is_closed), "{links:?}");
        assert!(engineer.get(&judgement).await.text().contains("the-author"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_version_is_read_page_by_page() {
    let app = TestApp::start(TestDb::sqlite().await, Worker::None).await;
    let project = app.new_project("Large").await;
    app.add_prompts(&project, Subject::all(7).into_iter().take(60).map(Subject::question)).await;
    add_model(&app.rows, &store(&app), id_of(&project), "the-start").await;
    let all = [("prompts".to_owned(), "all".to_owned())];
    let run = app.queue(&app.admin, &project, "sample", &all).await;
    let list = app.admin.get(&format!("{project}/datasets")).await;
    let version = list.links("main a[href*='/datasets/']").remove(0);
    let mut seen = Vec::new();
    for (number, n_rows) in [(1, 50), (2, 10), (3, 10)] {
        let page = app.admin.get(&format!("{version}?page={number}")).await;
        let rows = page.links("main tbody a[href*='/prompts/']");
        assert_eq!(rows.len(), n_rows, "page {number}; there is no third, so the second is shown");
        seen.extend(rows);
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 60);
    let cancel = app.admin.get(&format!("{project}/runs/{run}")).await.form("/cancel");
    app.admin.submit(cancel).await;
    let run = run::Entity::find_by_id(run).one(&app.rows).await.unwrap().unwrap();
    assert_eq!(run.status, run::RunStatus::Cancelled);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_walks_from_a_judgement_to_its_models_and_back_in_chromium() {
    let Some(browser) = Browser::start().await else { return };
    let taught = Taught::by_anna(TestDb::sqlite().await).await;
    let site = &taught.app.server.url;
    sign_in(&browser, site, "anna", &taught.password).await;
    // There: project, prompts, a prompt, what was said of it, the model that learnt from it.
    browser.click("main .card h2 a").await;
    browser.click("nav.place a[href$='/prompts']").await;
    browser.click("main a[href*='/prompts/']").await;
    browser.click("main a[href*='/judgements/']").await;
    let judgement = browser.path().await;
    let answer = browser.find(".card .prose").await.text().await.unwrap();
    browser.click("main a[href*='/models/']").await;
    assert_eq!(browser.path().await, format!("{}/models/{}", taught.project, taught.model));
    // And back: its run, what that read, the row, what was said.
    browser.click("main a[href*='/runs/']:not([href*='new'])").await;
    assert_eq!(browser.path().await, format!("{}/runs/{}", taught.project, taught.run));
    browser.click("main a[href*='/datasets/']").await;
    browser.click(&format!("main a[href='{judgement}']")).await;
    assert_eq!(browser.path().await, judgement);
    assert_eq!(browser.find(".card .prose").await.text().await.unwrap(), answer);
    // There again, over the version and the run.
    browser.click("main a[href*='/datasets/']").await;
    browser.click("main a[href*='/runs/']").await;
    browser.click("#run-output a[href*='/models/']").await;
    assert_eq!(browser.path().await, format!("{}/models/{}", taught.project, taught.model));
    browser.close().await;
}
