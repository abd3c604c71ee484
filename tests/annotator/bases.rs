//! A base that an engineer names in the app, and a worker fetches from a hub of the test's own.

// Killed, cancelled, or left by its worker in the middle.
mod cut_off;

use crate::support::{
    app::{self, TestApp, clean, run_of},
    binaries,
    builders::make_old,
    database::{TestDb, on_both_databases},
    eventually,
    hub::{self, Hub, Repository},
    leash::Leash,
    tiny_base,
    web::{Page, Visitor},
};
use entity::{
    ids::{ModelId, RunId},
    model,
    run::{self, RunStatus},
};
use migrations::{Migrator, MigratorTrait};
use reqwest::StatusCode;
use sea_orm::{ActiveModelTrait, ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter};
use serde_json::{Value, json};
use std::{fs, path::Path, process::Stdio, time::Duration};
use storage::{
    artifact_store::{ArtifactStore, StoredFolder},
    base_model::{self, NewBase},
};

pub(super) const NAME: &str = "people/tiny-base";
const WEIGHTS: &str = "model.safetensors";
const PATIENCE: Duration = Duration::from_secs(60);

/// A project with an engineer, a hub, and a worker that knows it.
pub(super) struct House {
    pub(super) app: TestApp,
    pub(super) hub: Hub,
    pub(super) store: ArtifactStore,
    pub(super) project: String,
    pub(super) engineer: Visitor,
    worker: Leash,
}

impl House {
    pub(super) async fn new(database: TestDb) -> Self {
        let app = TestApp::start(database, app::Worker::None).await;
        let project = app.new_project("Bases").await;
        let engineer = app.new_person(&project, "engineer", &["engineer"]).await;
        let store = ArtifactStore::open(app.database.folder.path().join("artifacts")).unwrap();
        let hub = Hub::start(NAME, Repository::tiny());
        let worker = start_worker(&app.database, &hub);
        Self { app, hub, store, project, engineer, worker }
    }

    /// Names a base in the form; the page that answers.
    pub(super) async fn name(&self, who: &Visitor, source: &str) -> Page {
        let form = who.get(&format!("{}/models/new", self.project)).await.form("/models/new");
        who.try_submit(form.with("source", source)).await
    }

    pub(super) async fn fetch(&self, source: &str) -> run::Model {
        let run = run_of(&self.name(&self.engineer, source).await);
        self.app.wait_for_run(run).await
    }

    pub(super) async fn page(&self, run: RunId) -> Page {
        self.engineer.get(&format!("{}/runs/{run}", self.project)).await
    }

    /// Presses a button of a run's page.
    async fn press(&self, run: RunId, action: &str) {
        self.engineer.submit(self.page(run).await.form(action)).await;
    }

    /// Waits until a run has this status.
    pub(super) async fn comes_to(&self, run: RunId, status: RunStatus) {
        let rows = &self.app.rows;
        let row = async || run::Entity::find_by_id(run).one(rows).await.unwrap();
        let look = async || row().await.filter(|run| run.status == status);
        eventually(PATIENCE, look, || format!("{run} does not come to {status:?}")).await;
    }

    async fn bases(&self) -> Vec<model::Model> {
        let bases = model::Entity::find().filter(model::Column::Kind.eq(model::ModelKind::Base));
        bases.all(&self.app.rows).await.unwrap()
    }

    /// The bases that a project's form of fine-tuning offers.
    async fn offered(&self, project: &str) -> Vec<String> {
        let page = self.app.admin.get(&format!("{project}/runs/new/sft")).await;
        let names = page.texts("#model option");
        names.iter().map(|text| text.split(" · ").next().unwrap().to_owned()).collect()
    }

    async fn model(&self, run: &run::Model) -> model::Model {
        let id: ModelId = run.output_model_id.expect("a model came of it");
        model::Entity::find_by_id(id).one(&self.app.rows).await.unwrap().expect("the model")
    }
}

fn start_worker(database: &TestDb, hub: &Hub) -> Leash {
    let folder = database.folder.path();
    let artifacts = folder.join("artifacts");
    let arguments = ["worker", "--lease-seconds", "2", "--poll-ms", "50"];
    let given = ["--database-url", &database.url, "--artifacts", artifacts.to_str().unwrap()];
    Leash::start(&binaries::trainer(), arguments.into_iter().chain(given), |command| {
        hub::client(clean(command), &hub.endpoint(), &folder.join("home"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
    })
}

fn copy_tiny_base(folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    for entry in fs::read_dir(tiny_base()).unwrap().flatten() {
        fs::copy(entry.path(), folder.join(entry.file_name())).unwrap();
    }
}

/// A repository whose config says this.
fn changed(change: Value) -> Repository {
    let mut repository = Repository::tiny();
    let config = repository.files.get_mut("config.json").unwrap();
    let mut settings: Value = serde_json::from_slice(config).unwrap();
    settings.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    *config = settings.to_string().into_bytes();
    repository
}

on_both_databases! {
    async fn a_base_that_an_engineer_names_is_offered_to_every_project(database: TestDb) {
        let house = House::new(database).await;
        let other = house.app.new_project("Another").await;
        let models = house.engineer.get(&format!("{}/models", house.project)).await;
        assert_eq!(models.links("main .actions a"), [format!("{}/models/new", house.project)]);

        let run = house.fetch(NAME).await;
        let base = house.model(&run).await;
        assert_eq!((&*base.name, base.kind, base.project_id), (NAME, model::ModelKind::Base, None));
        assert_eq!((base.run_id, base.parent_id), (Some(run.id), None));
        assert_eq!(run.output_hash.as_deref(), Some(&*base.artifact_hash));
        let weights = fs::read(house.store.path(&base.artifact_hash).join(WEIGHTS)).unwrap();
        assert!(weights == fs::read(tiny_base().join(WEIGHTS)).unwrap());
        assert!(!house.store.run_folder(run.id).exists(), "what it worked in is gone");

        let page = house.page(run.id).await;
        assert!(page.text().contains("The base is there, for every project"), "{}", page.text());
        let to_model = format!("{}/models/{}", house.project, base.id);
        assert_eq!(page.links("#run-output a"), [to_model]);
        assert!(page.texts("#run-glance .figure").len() == 1, "how long, and nothing of learning");
        for empty in ["#run-curves figure", "#run-samples h2", "#run-metrics"] {
            assert!(page.texts(empty).is_empty(), "{empty}");
        }
        for project in [&house.project, &other] {
            assert_eq!(house.offered(project).await, [NAME]);
        }
        let there = house.app.admin.get(&format!("{other}/models/{}", base.id)).await;
        assert!(!there.html.contains(&run.id.to_string()), "another project's run is not linked");
    }
}

on_both_databases! {
    async fn a_fetch_is_in_the_list_and_its_form_comes_back(database: TestDb) {
        let house = House::new(database).await;
        let run = house.fetch(NAME).await;
        let runs = house.engineer.get(&format!("{}/runs", house.project)).await;
        assert_eq!(runs.texts("tbody td a")[0], "Fetching a base");
        let base = house.page(run.id).await.texts("#run-output a").pop().expect("the base");
        assert_eq!(runs.texts("tbody td")[2], format!("{NAME} → {base}"));
        assert!(!runs.links("main .actions a").iter().any(|link| link.contains("fetch")));
        let launch = format!("{}/runs/new/fetch", house.project);
        assert_eq!(house.engineer.try_get(&launch).await.status, StatusCode::NOT_FOUND);

        let again = format!("{}/models/new?from={}", house.project, run.id);
        assert!(house.page(run.id).await.links("#run-actions a").contains(&again));
        let form = house.engineer.get(&again).await.form("/models/new");
        assert_eq!((form.value("source"), form.value("revision")), (Some(NAME), Some("")));
        let revision = form.with("revision", "refs/pr/1");
        let run = run_of(&house.engineer.submit(revision).await);
        house.app.wait_for_run(run).await;
        let asked = house.hub.asked();
        assert!(asked.iter().any(|asked| asked.path.contains("refs%2Fpr%2F1")), "{asked:?}");
        let settings = house.page(run).await.text();
        assert!(settings.contains("refs/pr/1"), "{settings}");
    }
}

on_both_databases! {
    async fn the_same_base_is_registered_once_and_comes_back_when_it_was_deleted(database: TestDb) {
        let house = House::new(database).await;
        house.hub.add("others/copy", Repository::tiny());
        let first = house.fetch(NAME).await;
        let second = house.fetch("others/copy").await;
        assert_eq!(first.output_model_id, second.output_model_id);
        assert_eq!(house.bases().await.len(), 1);
        let said = house.page(second.id).await.text();
        assert!(said.contains("The same base was here already, and is not kept twice: people/"));
        assert!(said.contains("is registered already, as people/tiny-base"), "{said}");

        let base = house.model(&first).await;
        let folder = house.store.path(&base.artifact_hash);
        make_old(&house.store, &base.artifact_hash);
        let delete = format!("{}/models/{}/delete", house.project, base.id);
        let page = house.app.admin.get(&delete).await;
        house.app.admin.submit(page.form("/delete")).await;
        assert!(!folder.exists());
        assert!(house.offered(&house.project).await.is_empty());

        let third = house.fetch("others/copy").await;
        assert_eq!(third.output_model_id, Some(base.id));
        assert!(folder.is_dir());
        assert_eq!(house.offered(&house.project).await, [NAME]);
        let said = house.page(third.id).await.text();
        assert!(said.contains("people/tiny-base, which was deleted and is there again"), "{said}");
    }
}

on_both_databases! {
    async fn another_base_of_the_same_name_is_told_apart(database: TestDb) {
        let house = House::new(database).await;
        house.fetch(NAME).await;
        house.hub.add(NAME, changed(json!({"_name_or_path": "a newer state"})));
        let run = house.fetch(NAME).await;
        let base = house.model(&run).await;
        assert_eq!(base.name, format!("{NAME}-{}", &base.artifact_hash[..8]));
        assert_eq!(house.bases().await.len(), 2);
    }
}

on_both_databases! {
    async fn what_the_hub_refuses_is_read_on_the_runs_page(database: TestDb) {
        let house = House::new(database).await;
        house.hub.add("people/gated", Repository { gate: Some("hf_x".into()), ..Repository::tiny() });
        let mamba = json!({"model_type": "mamba", "architectures": ["MambaForCausalLM"]});
        house.hub.add("people/mamba", changed(mamba));
        for (source, words) in [
            ("people/nothing", ["there is no repository people/nothing", "check how it is spelt"]),
            ("people/gated", ["people/gated is gated", "set HF_TOKEN"]),
            ("people/mamba", ["people/mamba cannot be trained here", "model_type is \"mamba\""]),
        ] {
            let run = run_of(&house.name(&house.engineer, source).await);
            house.comes_to(run, RunStatus::Failed).await;
            let told = house.page(run).await.texts(".error-text").join("\n");
            assert!(words.iter().all(|word| told.contains(word)), "{source}: {told}");
            assert!(!told.contains("/runs/"), "the worker's folders are not the reader's: {told}");
        }
        assert!(house.bases().await.is_empty());
    }
}

on_both_databases! {
    async fn bases_that_come_in_at_once_are_registered_once(database: TestDb) {
        let rows = database.connect().await;
        Migrator::up(&rows, None).await.unwrap();
        let stored = StoredFolder { hash: "5".repeat(64), n_bytes: 7 };
        annotator::keeping::artifacts::record(&rows, &stored).await.unwrap();
        let comes_in = || async {
            let turn = storage::database::begin_write(&rows).await.unwrap();
            let base = NewBase { name: NAME, stored: &stored, n_parameters: 1, run: None };
            let registered = base_model::register(&turn, base).await.unwrap();
            turn.commit().await.unwrap();
            registered.id()
        };
        let (one, other) = tokio::join!(comes_in(), comes_in());
        assert_eq!(one, other);
        assert_eq!(model::Entity::find().all(&rows).await.unwrap().len(), 1);
    }
}

on_both_databases! {
    async fn a_folder_of_the_workers_machine_is_for_administrators(database: TestDb) {
        let house = House::new(database).await;
        let folder = house.app.database.folder.path().join("my-base");
        copy_tiny_base(&folder);
        let folder = folder.to_str().unwrap();
        let refused = house.name(&house.engineer, folder).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
        let told = refused.texts("#source-error").join("");
        assert!(told.starts_with("Only administrators may name a folder"), "{told}");
        assert_eq!(refused.form("/models/new").value("source"), Some(folder));
        assert!(run::Entity::find().one(&house.app.rows).await.unwrap().is_none());

        let run = run_of(&house.name(&house.app.admin, folder).await);
        let run = house.app.wait_for_run(run).await;
        assert_eq!(house.model(&run).await.name, "my-base");
        assert!(house.hub.asked().is_empty());

        // Nor may anybody else have it read again.
        let cancelled = run::ActiveModel { id: Set(run.id), status: Set(run::RunStatus::Cancelled), ..Default::default() };
        cancelled.update(&house.app.rows).await.unwrap();
        fs::create_dir_all(house.store.run_folder(run.id).join("1/output.partial")).unwrap();
        let page = format!("{}/runs/{}", house.project, run.id);
        assert!(house.engineer.get(&page).await.find_form("/resume").is_none());
        let token = house.engineer.token().await;
        let asked = house.engineer.ask("post", &format!("{page}/resume"), &[("csrf", token.as_str())]).await;
        assert_eq!(asked.status(), StatusCode::FORBIDDEN);
        assert!(house.app.admin.get(&page).await.find_form("/resume").is_some());
    }
}

on_both_databases! {
    async fn what_is_no_base_is_told_beside_its_field(database: TestDb) {
        let house = House::new(database).await;
        for (source, told) in [
            (" ", "Say which model: ORG/NAME"),
            ("qwen3", "This is no name of the hub."),
            ("a/b/c", "This is no name of the hub."),
        ] {
            let page = house.name(&house.engineer, source).await;
            assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY, "{source}");
            assert!(page.texts("#source-error")[0].starts_with(told), "{}", page.text());
            assert_eq!(page.links(".error-summary a"), ["#source"]);
        }
        let form = house.engineer.get(&format!("{}/models/new", house.project)).await;
        let form = form.form("/models/new").with("source", NAME).with("revision", "two words");
        let page = house.engineer.try_submit(form).await;
        assert!(page.texts("#revision-error")[0].starts_with("Enter a branch"), "{}", page.text());
        assert!(run::Entity::find().one(&house.app.rows).await.unwrap().is_none());
    }
}
