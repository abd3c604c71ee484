//! What becomes of a model that nobody wants: its weights leave the disk, its story stays.

use crate::support::{
    app::{self, Server, TestApp},
    builders::{add_comparisons, add_input, add_model, add_run, add_twin, make_old},
    database::{TestDb, on_both_databases},
    eventually,
    people::{self, Judging},
    tiny_base,
    web::{Page, Visitor},
    world::Subject,
};
use annotator::{
    keeping::deletion::models::{self, DeletionOutcome},
    models::base_folder,
};
use entity::{
    audit_log, completion,
    ids::{ModelId, ProjectId, RunId},
    model, run,
    time::UnixMillis,
};
use reqwest::StatusCode;
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, DatabaseConnection, EntityTrait, QueryFilter,
    sea_query::Expr,
};
use serde_json::{Value, json};
use std::time::Duration;
use storage::artifact_store::ArtifactStore;
use trainer_base::worker::{RunEnding, Worker};

/// A project with a model, and a model that was made from it.
struct Place {
    app: TestApp,
    store: ArtifactStore,
    project: String,
    engineer: Visitor,
    parent: ModelId,
    model: ModelId,
    child: ModelId,
}

impl Place {
    async fn new(database: TestDb) -> Self {
        let app = TestApp::start(database, app::Worker::None).await;
        let project = app.new_project("Housekeeping").await;
        let id: ProjectId = project.rsplit('/').next().unwrap().parse().unwrap();
        app.add_prompts(&project, Subject::all(3).into_iter().take(5).map(Subject::question)).await;
        let engineer = app.new_person(&project, "engineer", &["engineer"]).await;
        let store = ArtifactStore::open(app.database.folder.path().join("artifacts")).unwrap();
        let add = async |name: &str, parent: Option<ModelId>| {
            let id = add_model(&app.rows, &store, id, name).await;
            let row =
                model::ActiveModel { id: Set(id), parent_id: Set(parent), ..Default::default() };
            row.update(&app.rows).await.unwrap();
            id
        };
        let parent = add("the-parent", None).await;
        let model = add("the-model", Some(parent)).await;
        let child = add("the-child", Some(model)).await;
        make_old(&store, &row(&app.rows, model).await.artifact_hash);
        Self { app, store, project, engineer, parent, model, child }
    }

    fn url(&self, model: ModelId) -> String {
        format!("{}/models/{model}", self.project)
    }

    async fn page(&self, model: ModelId) -> Page {
        self.engineer.get(&self.url(model)).await
    }

    async fn delete(&self, model: ModelId) -> Page {
        let page = self.engineer.get(&format!("{}/delete", self.url(model))).await;
        self.engineer.try_submit(page.form("/delete")).await
    }

    async fn is_on_disk(&self, model: ModelId) -> bool {
        self.store.path(&row(&self.app.rows, model).await.artifact_hash).is_dir()
    }

    /// A sample run of the model by its form.
    async fn queue(&self) -> RunId {
        let settings = [("model".to_owned(), self.model.to_string())];
        self.app.queue(&self.engineer, &self.project, "sample", &settings).await
    }

    async fn cancel(&self, run: RunId) {
        let page = self.engineer.get(&format!("{}/runs/{run}", self.project)).await;
        self.engineer.submit(page.form("/cancel")).await;
    }
}

pub(super) async fn row(rows: &DatabaseConnection, id: ModelId) -> model::Model {
    model::Entity::find_by_id(id).one(rows).await.unwrap().expect("the model")
}

async fn n_audited(rows: &DatabaseConnection, action: &str, subject: impl ToString) -> usize {
    let lines = audit_log::Entity::find()
        .filter(audit_log::Column::Action.eq(action))
        .filter(audit_log::Column::Subject.eq(subject.to_string()));
    lines.all(rows).await.unwrap().len()
}

on_both_databases! {
    async fn what_hangs_on_a_model_is_told_with_links(database: TestDb) {
        let place = Place::new(database).await;
        let app = &place.app;
        let id: ProjectId = place.project.rsplit('/').next().unwrap().parse().unwrap();
        let alone = place.engineer.get(&format!("{}/delete", place.url(place.child))).await;
        assert!(alone.text().contains("Nothing: no run has read it"), "{}", alone.text());

        let reader = add_run(&app.rows, id).await;
        add_input(&app.rows, reader, place.model).await;
        add_comparisons(&app.rows, &place.project, [1; 3]).await;
        completion::Entity::update_many()
            .col_expr(completion::Column::ModelId, Expr::value(place.model))
            .exec(&app.rows)
            .await
            .unwrap();
        let annotator = app.new_person(&place.project, "annotator", &["annotator"]).await;
        people::compare(&annotator, &place.project, 1, Judging::ByTaste, |judged| judged == 1).await;

        let page = place.engineer.get(&format!("{}/delete", place.url(place.model))).await;
        let text = page.text();
        for said in [
            "One model was made from it. It keeps working",
            "One run has read it. Its record stays",
            "It has written 6 answers, which stay.",
            "People have judged one comparison with them, and 2 wait for people",
        ] {
            assert!(text.contains(said), "no {said:?} in\n{text}");
        }
        let links = page.links("main a");
        assert!(links.contains(&place.url(place.child)), "{links:?}");
        assert!(links.contains(&format!("{}/runs/{reader}", place.project)), "{links:?}");
    }
}

on_both_databases! {
    async fn a_model_that_a_run_needs_is_not_deleted(database: TestDb) {
        let place = Place::new(database).await;
        let run = place.queue().await;
        let before = place.engineer.get(&format!("{}/delete", place.url(place.model))).await;
        assert!(before.texts("main form button").is_empty(), "there is nothing to press");
        let page = place.delete(place.model).await;
        assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(page.text().contains("a run that waits or works needs it"), "{}", page.text());
        assert!(page.links("main a").contains(&format!("{}/runs/{run}", place.project)));
        assert!(place.is_on_disk(place.model).await);
        assert_eq!(n_audited(&place.app.rows, "model.delete", place.model).await, 0);

        place.cancel(run).await;
        assert!(place.delete(place.model).await.status.is_success());
        assert!(!place.is_on_disk(place.model).await);
    }
}

on_both_databases! {
    async fn a_deleted_model_leaves_the_disk_and_its_story_stays(database: TestDb) {
        let place = Place::new(database).await;
        let run = place.queue().await;
        place.cancel(run).await;
        let checkpoint = place.store.run_folder(run).join("1/output/checkpoint-2");
        std::fs::create_dir_all(checkpoint).unwrap();
        let resume = format!("/runs/{run}/resume");
        let run_page = place.engineer.get(&format!("{}/runs/{run}", place.project)).await;
        let resume_form = run_page.form(&resume);

        let page = place.delete(place.model).await;
        assert_eq!(page.url.path(), place.url(place.model));
        assert!(!place.is_on_disk(place.model).await);
        assert_eq!(n_audited(&place.app.rows, "model.delete", place.model).await, 1);

        let page = place.page(place.model).await;
        assert!(page.text().contains("Deleted by engineer on"), "{}", page.text());
        let links = page.links("main a");
        assert!(links.contains(&place.url(place.parent)) && links.contains(&place.url(place.child)));
        assert!(!links.iter().any(|link| link.contains("download") || link.contains("/new/")), "{links:?}");
        for kin in [place.parent, place.child] {
            let links = place.page(kin).await.links("main a");
            assert!(links.contains(&place.url(place.model)), "{links:?}");
        }
        let download = place.engineer.try_get(&format!("{}/download", place.url(place.model))).await;
        assert_eq!(download.status, StatusCode::GONE);
        assert!(download.text().contains("It was deleted"), "{}", download.text());

        let chat = format!("{}/chat", place.url(place.model));
        assert_eq!(place.engineer.try_get(&chat).await.status, StatusCode::GONE);
        let (api, asked) = (format!("{}/v1/chat/completions", place.url(place.model)), json!({}));
        let refused = place.engineer.send_json(&api, &asked).await;
        assert_eq!(refused.status(), StatusCode::GONE);
        let refused: Value = refused.json().await.unwrap();
        assert_eq!(refused["error"]["code"], "model_deleted");

        let form = place.engineer.get(&format!("{}/runs/new/sample?from={run}", place.project)).await;
        assert!(form.text().contains("The model the-model, which this run used, was deleted"), "{}", form.text());
        assert!(!form.html.contains(&format!("value=\"{}\"", place.model)));
        let forced = form.form("/sample").with("model", place.model);
        assert_eq!(place.engineer.try_submit(forced).await.status, StatusCode::UNPROCESSABLE_ENTITY);
        let run_page = place.engineer.get(&format!("{}/runs/{run}", place.project)).await;
        assert!(run_page.find_form(&resume).is_none());
        place.engineer.submit(resume_form).await;
        let run = run::Entity::find_by_id(run).one(&place.app.rows).await.unwrap().unwrap();
        assert_eq!(run.status, run::RunStatus::Cancelled);
    }
}

on_both_databases! {
    async fn weights_that_another_model_has_stay_until_the_last_is_deleted(database: TestDb) {
        let place = Place::new(database).await;
        let twin = add_twin(&place.app.rows, place.model, "the-twin").await;
        let list = place.engineer.get(&format!("{}/models", place.project)).await;
        assert!(list.texts("tbody tr").iter().filter(|row| row.contains("shared")).count() == 2, "{}", list.text());
        let page = place.engineer.get(&format!("{}/delete", place.url(place.model))).await;
        assert!(page.text().contains("Deleting it frees nothing"), "{}", page.text());
        assert!(page.links("main a").contains(&place.url(twin)));
        place.delete(place.model).await;
        assert!(place.is_on_disk(twin).await);
        place.engineer.get(&format!("{}/download", place.url(twin))).await;
        place.delete(twin).await;
        assert!(!place.is_on_disk(twin).await);
    }
}

on_both_databases! {
    async fn a_base_is_deleted_by_an_administrator_and_comes_back_when_it_is_offered_again(database: TestDb) {
        let place = Place::new(database).await;
        let rows = &place.app.rows;
        let base = base_folder::register(rows, &place.store, tiny_base()).await.unwrap();
        make_old(&place.store, &row(rows, base).await.artifact_hash);
        let delete = format!("{}/delete", place.url(base));
        assert!(!place.page(base).await.links("main a").contains(&delete));
        assert_eq!(place.engineer.try_get(&delete).await.status, StatusCode::FORBIDDEN);
        let token = place.engineer.token().await;
        let refused = place.engineer.ask("post", &delete, &[("csrf", &token)]).await;
        assert_eq!(refused.status(), StatusCode::FORBIDDEN);
        assert!(place.is_on_disk(base).await);

        let admin = &place.app.admin;
        admin.submit(admin.get(&delete).await.form("/delete")).await;
        assert!(!place.is_on_disk(base).await);
        let again = base_folder::register(rows, &place.store, tiny_base()).await.unwrap();
        assert_eq!(again, base, "the same weights are the same model");
        let base = row(rows, base).await;
        assert_eq!((base.deleted_at, base.deleted_by), (None, None));
        assert!(place.store.verify(&base.artifact_hash).unwrap());
        assert_eq!(n_audited(rows, "model.restore", base.id).await, 1);
    }
}

on_both_databases! {
    async fn what_a_crash_left_on_the_disk_goes_at_the_next_start(database: TestDb) {
        let place = Place::new(database).await;
        let model = row(&place.app.rows, place.model).await;
        let admin = entity::account::Entity::find().one(&place.app.rows).await.unwrap().unwrap();
        // Marked, and no more.
        let marked = models::delete(&place.app.rows, &model, admin.id).await.unwrap();
        assert_eq!(marked, DeletionOutcome::Deleted);
        assert!(place.is_on_disk(place.model).await);
        let next = tokio::task::block_in_place(|| Server::start(&place.app.database, app::Worker::None));
        let is_gone = async || (!place.is_on_disk(place.model).await).then_some(());
        eventually(Duration::from_secs(30), is_gone, || next.log()).await;
        assert!(place.is_on_disk(place.parent).await && place.is_on_disk(place.child).await);
    }
}

on_both_databases! {
    async fn a_worker_says_that_the_model_of_its_run_was_deleted(database: TestDb) {
        let place = Place::new(database).await;
        let run = place.queue().await;
        // As no launch leaves it; a database that somebody mended by hand might.
        let deleted = model::ActiveModel {
            id: Set(place.model),
            deleted_at: Set(Some(UnixMillis::now())),
            ..Default::default()
        };
        deleted.update(&place.app.rows).await.unwrap();
        let worker = Worker {
            db: trainer_base::worker::connect(&place.app.database.url).await.unwrap(),
            artifacts: place.store.clone(),
            name: "worker".to_owned(),
            program: "/nowhere".into(),
            vmstat: "/nowhere".into(),
            lease: Duration::from_secs(30),
            keep_checkpoints: Duration::from_secs(30),
        };
        let claimed = worker.claim().await.unwrap().expect("a run waits");
        assert_eq!(claimed.id, run);
        let (_stop, stop) = tokio::sync::watch::channel(false);
        match worker.execute(&claimed, stop).await {
            RunEnding::Failed(reason) => assert!(reason.text.contains("the model the-model was deleted"), "{reason}"),
            ended => panic!("{ended:?}"),
        }
    }
}
