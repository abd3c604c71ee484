//! What was erased is nowhere: not here, not in a backup taken since, not in what an older backup
//! becomes; and everything that used it says so.

use crate::support::{
    app::{Server, TestApp, Worker},
    backups::{done, elsewhere, files_with, places_with, refused, shown},
    builders::{add_input, add_model, add_run, succeed},
    database::{TestDb, on_both_databases},
    eventually,
    web::{Form, Visitor},
};
use annotator::{
    data::dataset::{self, DatasetContents, PromptSelection},
    keeping::{
        artifacts,
        erasure::finish::{self, Remains},
    },
    people::audit::{self, AuditAction, AuditSubject},
};
use entity::{
    account, artifact, audit_log, draft, erasure,
    hash::sha256_hex,
    ids::{DatasetVersionId, JudgementId, ModelId, ProjectId, RunId},
    judgement, membership, prompt, run, run_event, run_input, session, text,
    time::UnixMillis,
};
use reqwest::StatusCode;
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, EntityTrait, IntoActiveModel, PaginatorTrait,
    QueryFilter, QueryOrder,
};
use serde_json::json;
use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};
use storage::artifact_store::ArtifactStore;
use trainer_base::worker;

/// What Anna wrote, and no test program has in it by chance.
const SECRET: &str = "My neighbour Ignaz Quxtrop\nlives in \"Elmstreet\" 9.";

/// The part of it that stands in every form of it.
const TRACE: &str = "Ignaz Quxtrop";

const PATIENCE: Duration = Duration::from_secs(60);

const SECRET_PROMPT: &str = "Where does Wilhelmine Zarkwob live?";
const PROMPT_TRACE: &str = "Wilhelmine Zarkwob";

/// A project whose people wrote what they should not have, and what came of it.
struct Spilt {
    app: TestApp,
    project: String,
    anna: Visitor,
    password: String,
    judgement: JudgementId,
    version: DatasetVersionId,
    model: ModelId,
    /// A run that reads the version and waits for a worker.
    waiting: RunId,
}

impl Spilt {
    async fn new(database: TestDb) -> Self {
        let app = TestApp::start(database, Worker::None).await;
        let project = app.new_project("Spilt").await;
        let id: ProjectId = project.rsplit('/').next().unwrap().parse().unwrap();
        app.add_prompts(&project, [SECRET_PROMPT.to_owned(), "Who lives where?".to_owned()]).await;
        let password = app.new_account(&project, "anna", &["annotator", "engineer"]).await;
        let anna = Visitor::new(&app.server.url);
        anna.sign_in("anna", &password).await;
        let task = anna.get(&format!("{project}/demonstrate")).await;
        let address = task.url.path().to_owned();
        let next = anna.submit(task.form(&address).with("answer", SECRET)).await;
        let form = next.form(next.url.path()).with("answer", format!("As I said: {SECRET}"));
        anna.submit(Form { action: format!("{}/draft", form.action), ..form }).await;

        let store = store_of(&app.database);
        let freeze = async |contents| {
            let frozen = dataset::freeze(&app.rows, &store, id, contents).await.unwrap();
            frozen.record(&app.rows, None).await.unwrap()
        };
        let version = freeze(DatasetContents::Demonstrations).await;
        let prompts = freeze(DatasetContents::Prompts(PromptSelection::All)).await;
        let base = add_model(&app.rows, &store, id, "the-start").await;
        let run = add_run(&app.rows, id).await;
        read(&app, run, version).await;
        let model = succeed(&app.rows, &store, run, "the-pupil").await;
        let waiting = add_run(&app.rows, id).await;
        add_input(&app.rows, waiting, base).await;
        read(&app, waiting, version).await;
        set_status(&app, waiting, run::RunStatus::Queued).await;
        say_it_elsewhere(&app, run).await;
        sampled(&app, &store, add_run(&app.rows, id).await, prompts).await;
        let said = judgement::Entity::find().one(&app.rows).await.unwrap().expect("the answer");
        Self { app, project, anna, password, judgement: said.id, version, model, waiting }
    }

    fn folder(&self) -> &Path {
        self.app.database.folder.path()
    }

    /// An administrator finds the text by its words, and erases it.
    async fn erase_by_the_page(&self) {
        let admin = &self.app.admin;
        let search = admin.get("/admin/erasures").await;
        let form = search.form("/admin/erasures").with("words", TRACE);
        let found = admin
            .get(&format!(
                "/admin/erasures?words={}",
                form.value("words").unwrap().replace(' ', "%20")
            ))
            .await;
        let links = found.links("main li a");
        assert_eq!(links.len(), 1, "{}", found.text());
        let page = admin.get(&links[0]).await;
        let used = page.text();
        for words in ["the-pupil", "One dataset version", "One written answer"] {
            assert!(used.contains(words), "{words}: {used}");
        }
        let without_reason = admin.try_submit(page.form(&links[0]).with("reason", " ")).await;
        assert_eq!(without_reason.status, StatusCode::UNPROCESSABLE_ENTITY);
        admin.submit(page.form(&links[0]).with("reason", "Asked for on paper 17")).await;
    }

    /// What is left of it goes; by the sweep, or here.
    async fn finish(&self) {
        let store = store_of(&self.app.database);
        // Other databases of the cluster may hold an earlier state.
        let done = async || {
            let remains = finish::finish(&self.app.rows, &store).await.unwrap();
            (remains == Remains::Nothing).then_some(())
        };
        eventually(PATIENCE, done, || "something remains".to_owned()).await;
        let waits = erasure::Entity::find().filter(erasure::Column::FinishedAt.is_null());
        assert_eq!(waits.count(&self.app.rows).await.unwrap(), 0);
    }
}

fn store_of(database: &TestDb) -> ArtifactStore {
    ArtifactStore::open(database.folder.path().join("artifacts")).unwrap()
}

async fn read(app: &TestApp, run: RunId, version: DatasetVersionId) {
    let row = run_input::Model {
        run_id: run,
        slot: run_input::InputSlot::Dataset,
        place: 0,
        model_id: None,
        dataset_version_id: Some(version),
    };
    let row = row.into_active_model().reset_all();
    run_input::Entity::insert(row).exec_without_returning(&app.rows).await.unwrap();
}

async fn set_status(app: &TestApp, run: RunId, status: run::RunStatus) {
    let row = run::ActiveModel { id: Set(run), status: Set(status), ..Default::default() };
    row.update(&app.rows).await.unwrap();
}

/// What a run said, its settings, and a line of the audit log.
async fn say_it_elsewhere(app: &TestApp, run_id: RunId) {
    let event = json!({"event": "sample", "step": 1, "prompt": SECRET_PROMPT, "completion": format!("{SECRET} Yes.")});
    let row = run_event::ActiveModel {
        run_id: Set(run_id),
        sequence: Set(1),
        attempt: Set(1),
        event: Set(event),
        created_at: Set(UnixMillis::now()),
    };
    run_event::Entity::insert(row).exec_without_returning(&app.rows).await.unwrap();
    let run = run::ActiveModel {
        id: Set(run_id),
        config: Set(json!({"note": SECRET, "n": 4})),
        error: Set(Some(format!("row 1 is odd: {SECRET}"))),
        ..Default::default()
    };
    run.update(&app.rows).await.unwrap();
    let details = json!({"said": [SECRET]});
    let subject = AuditSubject::of_all(run_id);
    audit::record(&app.rows, None, AuditAction::RunCancel, subject, details).await.unwrap();
}

/// A sample run that answered the prompts.
async fn sampled(app: &TestApp, store: &ArtifactStore, run: RunId, prompts: DatasetVersionId) {
    let folder = store.incoming().unwrap();
    let line = json!({"prompt": SECRET_PROMPT, "completion": "By the lake."});
    fs::write(folder.join("completions.jsonl"), format!("{line}\n")).unwrap();
    let stored = store.adopt(&folder).unwrap();
    artifacts::record(&app.rows, &stored).await.unwrap();
    read(app, run, prompts).await;
    let row = run::ActiveModel {
        id: Set(run),
        output_hash: Set(Some(stored.hash)),
        ..Default::default()
    };
    row.update(&app.rows).await.unwrap();
}

on_both_databases! {
    async fn what_was_erased_is_nowhere_here_and_nowhere_in_what_is_restored_elsewhere(database: TestDb) {
        let spilt = Spilt::new(database).await;
        let database = &spilt.app.database;
        let (old, new) = (spilt.folder().join("old"), spilt.folder().join("new"));
        done(database, &["backup", "--out", shown(&old)]);
        let words = [TRACE, PROMPT_TRACE];
        assert!(places_with(database, &[TRACE]).await.len() >= 2, "it is there, and found");
        assert!(places_with(database, &[PROMPT_TRACE]).await.len() >= 2);

        spilt.erase_by_the_page().await;
        let order = ["erase", "--containing", PROMPT_TRACE, "--reason", "the same"];
        let told = done(database, &order);
        assert!(told.contains("Nothing was changed"), "{told}");
        assert!(!places_with(database, &[PROMPT_TRACE]).await.is_empty());
        done(database, &[&order[..], &["--yes"]].concat());
        spilt.finish().await;
        assert_eq!(places_with(database, &words).await, Vec::<PathBuf>::new());

        done(database, &["backup", "--out", shown(&new)]);
        assert_eq!(files_with(&new, &words), Vec::<PathBuf>::new());
        let erasures = spilt.folder().join("artifacts/erasures.jsonl");
        for target in elsewhere().await {
            done(&target, &["restore", shown(&new)]);
            assert_eq!(places_with(&target, &words).await, Vec::<PathBuf>::new());
            check_what_stays(&spilt, &target).await;
        }
        for target in elsewhere().await {
            let said = done(&target, &["restore", shown(&old), "--erasures", shown(&erasures)]);
            assert!(said.contains("2 texts and people"), "{said}");
            assert_eq!(places_with(&target, &words).await, Vec::<PathBuf>::new());
            check_what_stays(&spilt, &target).await;
        }
    }
}

/// Hash, reason and the list of what used the text, and a new version without it.
async fn check_what_stays(spilt: &Spilt, target: &TestDb) {
    let rows = target.connect().await;
    let hash = sha256_hex(SECRET);
    let text = text::Entity::find_by_id(&hash).one(&rows).await.unwrap().expect("its hash");
    assert_eq!(text.body, None);
    let kept = erasure::Entity::find().filter(erasure::Column::Subject.eq(&hash)).one(&rows).await;
    assert_eq!(kept.unwrap().expect("the reason").reason, "Asked for on paper 17");
    let server = tokio::task::block_in_place(|| Server::start(target, Worker::None));
    let anna = Visitor::new(&server.url);
    anna.sign_in("anna", &spilt.password).await;
    let model = anna.get(&format!("{}/models/{}", spilt.project, spilt.model)).await;
    assert!(model.text().contains("the-pupil"));
    let version = anna.get(&format!("{}/datasets/{}", spilt.project, spilt.version)).await;
    assert!(version.text().contains("Texts of this version were removed on"), "{}", version.text());
}

on_both_databases! {
    async fn a_conversation_of_a_thousand_turns_can_be_erased(database: TestDb) {
        let app = TestApp::start(database, Worker::None).await;
        let turn = |n| {
            let role = if n % 2 == 0 { "user" } else { "assistant" };
            json!({ "role": role, "content": format!("Ignaz Quxtrop said this as number {n}.") })
        };
        let body = serde_json::to_string(&(0..1001).map(turn).collect::<Vec<_>>()).unwrap();
        let hash = sha256_hex(&body);
        let row = text::ActiveModel {
            hash: Set(hash.clone()),
            body: Set(Some(body)),
            created_at: Set(UnixMillis::now()),
        };
        text::Entity::insert(row).exec_without_returning(&app.rows).await.unwrap();
        let address = format!("/admin/erasures/texts/{hash}");
        let page = app.admin.get(&address).await;
        app.admin.submit(page.form(&address).with("reason", "Asked for on paper 18")).await;
        let gone = text::Entity::find_by_id(&hash).one(&app.rows).await.unwrap().unwrap();
        assert_eq!(gone.body, None);
    }
}

on_both_databases! {
    async fn pages_say_that_a_text_is_gone_and_nothing_can_be_trained_on_it_any_more(database: TestDb) {
        let spilt = Spilt::new(database).await;
        let page = spilt.anna.get(&format!("{}/judgements/{}", spilt.project, spilt.judgement)).await;
        assert!(page.text().contains(TRACE) && !page.text().contains("were removed on"));
        spilt.erase_by_the_page().await;
        let page = spilt.anna.get(&format!("{}/judgements/{}", spilt.project, spilt.judgement)).await;
        let shown = page.text();
        assert!(shown.contains("were removed on") && !shown.contains(TRACE), "{shown}");
        assert!(shown.contains("the-pupil"), "the models that learnt from it stay named: {shown}");

        let rows = &spilt.app.rows;
        let waiting = run::Entity::find_by_id(spilt.waiting).one(rows).await.unwrap().unwrap();
        assert_eq!(waiting.status, run::RunStatus::Cancelled);
        let address = format!("{}/runs/new/sft", spilt.project);
        let form = spilt.anna.get(&address).await;
        assert!(!form.html.contains(&spilt.version.to_string()), "the version is offered still");
        let form = form.form(&address).with("dataset", spilt.version);
        let refusal = spilt.anna.try_submit(form).await;
        assert_eq!(refusal.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(refusal.text().contains("Texts of this dataset version were removed"), "{}", refusal.text());

        let event = run_event::Entity::find().one(rows).await.unwrap().unwrap();
        assert_eq!(event.event["completion"], "[erased] Yes.");
        assert_eq!(event.event["prompt"], SECRET_PROMPT, "another text is left alone");
        let draft = draft::Entity::find().one(rows).await.unwrap().unwrap();
        assert!(draft.body.contains("As I said: [erased]"), "{}", draft.body);
        let told = audit_log::Entity::find().filter(audit_log::Column::Action.eq("text.erase"));
        assert_eq!(told.count(rows).await.unwrap(), 1);
        // The same words written again are not kept either, and whoever writes them is told.
        let task = spilt.anna.get(&format!("{}/demonstrate", spilt.project)).await;
        let said = judgement::Entity::find().count(rows).await.unwrap();
        let again = spilt.anna.try_submit(task.form(task.url.path()).with("answer", SECRET)).await;
        assert_eq!(again.status, StatusCode::UNPROCESSABLE_ENTITY);
        let told = again.texts("#answer-error").concat();
        assert!(told.contains("removed for the law before and is not kept again"), "{}", again.text());
        assert_eq!(again.form(task.url.path()).value("answer").unwrap().trim(), SECRET);
        assert_eq!(judgement::Entity::find().count(rows).await.unwrap(), said);
        let text = text::Entity::find_by_id(sha256_hex(SECRET)).one(rows).await.unwrap().unwrap();
        assert_eq!(text.body, None);
    }
}

on_both_databases! {
    async fn a_run_that_a_worker_takes_up_reads_no_version_that_is_gone(database: TestDb) {
        let spilt = Spilt::new(database).await;
        spilt.erase_by_the_page().await;
        let rows = &spilt.app.rows;
        // As if it had been queued by a service of an older version.
        set_status(&spilt.app, spilt.waiting, run::RunStatus::Queued).await;
        let uncancelled =
            run::ActiveModel { id: Set(spilt.waiting), kind: Set(run::RunKind::Sft), cancel_requested: Set(false), ..Default::default() };
        uncancelled.update(rows).await.unwrap();
        let store = store_of(&spilt.app.database);
        let worker = worker::Worker {
            db: worker::connect(&spilt.app.database.url).await.unwrap(),
            artifacts: store,
            name: "worker".to_owned(),
            program: "/nowhere".into(),
            vmstat: "/nowhere".into(),
            lease: Duration::from_secs(30),
            keep_checkpoints: Duration::from_secs(30),
        };
        let claimed = worker.claim().await.unwrap().expect("a run waits");
        let (_stop, stop) = tokio::sync::watch::channel(false);
        worker.execute(&claimed, stop).await;
        let run = run::Entity::find_by_id(spilt.waiting).one(rows).await.unwrap().unwrap();
        assert_eq!(run.status, run::RunStatus::Failed);
        let error = run.error.unwrap();
        assert!(error.contains("texts of the dataset version were removed for good"), "{error}");
    }
}

on_both_databases! {
    async fn who_somebody_was_goes_and_their_work_stays_or_goes_by_choice(database: TestDb) {
        let spilt = Spilt::new(database).await;
        let (app, rows) = (&spilt.app, &spilt.app.rows);
        let anna = account::Entity::find().filter(account::Column::Login.eq("anna")).one(rows).await;
        let anna = anna.unwrap().unwrap();
        let admin = account::Entity::find().filter(account::Column::Login.eq("admin")).one(rows).await;
        let own = app.admin.get(&format!("/admin/people/{}/erase", admin.unwrap().unwrap().id)).await;
        let own = app.admin.try_submit(own.form("/erase").with("reason", "x")).await;
        assert_eq!(own.status, StatusCode::BAD_REQUEST, "{}", own.text());

        let exported = spilt.folder().join("anna.jsonl");
        done(&app.database, &["export-person", "--login", "anna", "--out", shown(&exported)]);
        let of_page = spilt.anna.get("/settings/export.jsonl").await.html;
        let of_shell = fs::read_to_string(&exported).unwrap();
        for lines in [&of_page, &of_shell] {
            for kept in ["\"what\":\"account\"", "\"login\":\"anna\"", "Elmstreet", "As I said:", "session.create", "\"role\":\"annotator\""] {
                assert!(lines.contains(kept), "{kept}: {lines}");
            }
        }

        let last = refused(&app.database, &["erase", "--person", "admin", "--reason", "x", "--yes"]);
        assert!(last.contains("last administrator"), "{last}");
        done(&app.database, &["erase", "--person", "anna", "--reason", "She asked", "--yes"]);
        let gone = account::Entity::find_by_id(anna.id).one(rows).await.unwrap().unwrap();
        assert_eq!(gone.display_name, format!("Erased person {}", anna.id.short()));
        assert!(gone.disabled_at.is_some() && gone.password_hash.is_empty());
        let theirs = session::Entity::find().filter(session::Column::AccountId.eq(anna.id));
        assert_eq!(theirs.count(rows).await.unwrap(), 0);
        let roles = membership::Entity::find().filter(membership::Column::AccountId.eq(anna.id));
        assert_eq!(roles.count(rows).await.unwrap(), 0);
        assert_eq!(draft::Entity::find().count(rows).await.unwrap(), 0);
        assert_eq!(spilt.anna.get("/").await.url.path(), "/sign-in");
        let page = app.admin.get(&format!("{}/judgements/{}", spilt.project, spilt.judgement)).await;
        assert!(page.text().contains("Erased person") && page.text().contains(TRACE), "{}", page.text());
        let told = audit_log::Entity::find().order_by_asc(audit_log::Column::Id).all(rows).await.unwrap();
        let named: Vec<_> = told.iter().filter(|line| line.details.to_string().contains("\"anna\"")).collect();
        assert!(named.is_empty(), "{named:?}");

        let form = app.admin.get(&format!("/admin/people/{}/erase", anna.id)).await.form("/erase");
        app.admin.submit(form.with("reason", "And the rest")).await;
        let text = text::Entity::find_by_id(sha256_hex(SECRET)).one(rows).await.unwrap().unwrap();
        assert_eq!(text.body, None);
        let prompts = prompt::Entity::find().filter(prompt::Column::WithdrawnAt.is_not_null());
        assert_eq!(prompts.count(rows).await.unwrap(), 0, "prompts are not theirs");
        let gone = artifact::Entity::find().filter(artifact::Column::ErasedAt.is_not_null());
        assert_eq!(gone.count(rows).await.unwrap(), 1);
        set_status(app, spilt.waiting, run::RunStatus::Cancelled).await;
    }
}
