//! What becomes of a project that nobody wants: hidden, restored, and given up but for people's
//! words.

use super::bench::{Bench, prefers};
use crate::support::{
    app::{TestApp, Worker},
    builders::{add_frozen_judgement, add_model, add_twin, make_old},
    database::on_both_databases,
    people,
    web::Visitor,
    world::Subject,
};
use annotator::{
    keeping::deletion::{
        projects::{self, RESTORABLE},
        sweep,
    },
    training::launch::{self, LaunchInput, LaunchRequest},
};
use entity::{
    account, audit_log, dataset_version,
    ids::{ModelId, ProjectId},
    judgement::{self, ComparisonVerdict},
    model, project, run,
    run_config::SampleConfig,
    text,
    time::UnixMillis,
};
use reqwest::StatusCode;
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, DatabaseConnection, EntityTrait,
    PaginatorTrait, QueryFilter,
};
use serde_json::json;
use storage::artifact_store::ArtifactStore;

fn id_of(project: &str) -> ProjectId {
    project.rsplit('/').next().unwrap().parse().unwrap()
}

async fn row(rows: &DatabaseConnection, id: ProjectId) -> project::Model {
    project::Entity::find_by_id(id).one(rows).await.unwrap().expect("the project")
}

/// By its form, with the name typed.
async fn delete(admin: &Visitor, project: &str, name: &str) {
    let form = admin.get(&format!("{project}/delete")).await.form("/delete");
    let page = admin.submit(form.with("name", name)).await;
    assert_eq!(page.url.path(), "/", "{}", page.text());
}

on_both_databases! {
    async fn a_deleted_project_is_gone_for_everybody_and_comes_back_whole(database: TestDb) {
        let app = TestApp::start(database, Worker::None).await;
        let project = app.new_project("The farm").await;
        app.add_prompts(&project, Subject::all(3).into_iter().take(5).map(Subject::question)).await;
        let engineer = app.new_person(&project, "engineer", &["engineer", "annotator"]).await;
        people::demonstrate(&engineer, &project, 1, |written| written == 2).await;
        let store = ArtifactStore::open(app.database.folder.path().join("artifacts")).unwrap();
        add_model(&app.rows, &store, id_of(&project), "the-model").await;
        let run = app.queue(&engineer, &project, "sample", &[]).await;
        let before = engineer.get(&project).await.text();

        let asked = app.admin.get(&format!("{project}/delete")).await;
        for said in [
            "2 people have roles in it.",
            "People have said 2 things about 5 prompts.",
            "One task is in somebody's hands right now",
            "One of them waits or works and will be stopped.",
            "It has one model.",
        ] {
            assert!(asked.text().contains(said), "no {said:?} in\n{}", asked.text());
        }
        let other = asked.form("/delete").with("name", "The barn");
        assert_eq!(app.admin.try_submit(other).await.status, StatusCode::UNPROCESSABLE_ENTITY);
        engineer.get(&project).await;

        delete(&app.admin, &project, "The farm").await;
        let run = run::Entity::find_by_id(run).one(&app.rows).await.unwrap().unwrap();
        assert_eq!(run.status, run::RunStatus::Cancelled);
        for who in [&engineer, &app.admin] {
            for page in ["", "/demonstrate", "/compare", "/models", "/runs"] {
                let path = format!("{project}{page}");
                assert_eq!(who.try_get(&path).await.status, StatusCode::NOT_FOUND, "{path}");
            }
            assert!(who.get("/").await.texts(".card h2").iter().all(|name| name != "The farm"));
        }
        assert!(engineer.get("/").await.texts("#notices").is_empty(), "they are told nothing of it");
        assert!(!engineer.get("/").await.text().contains("The farm"));

        let home = app.admin.get("/").await;
        let restored = app.admin.submit(home.form(&format!("{project}/restore"))).await;
        assert_eq!(restored.url.path(), project);
        assert_eq!(engineer.get(&project).await.text(), before);
        assert!(!app.admin.get("/").await.text().contains("Deleted projects"));
        let actions: Vec<String> = audit_log::Entity::find()
            .filter(audit_log::Column::Subject.eq(id_of(&project).to_string()))
            .filter(audit_log::Column::Action.is_in(["project.delete", "project.restore"]))
            .all(&app.rows)
            .await
            .unwrap()
            .into_iter()
            .map(|line| line.action)
            .collect();
        assert_eq!(actions.len(), 2, "{actions:?}");
    }
}

on_both_databases! {
    async fn what_somebody_was_writing_is_kept_when_the_project_is_deleted(database: TestDb) {
        let app = TestApp::start(database, Worker::None).await;
        let project = app.new_project("Unfinished").await;
        app.add_prompts(&project, ["Who are you?".to_owned()]).await;
        let annotator = app.new_person(&project, "annotator", &["annotator"]).await;
        let task = annotator.get(&format!("{project}/demonstrate")).await;
        delete(&app.admin, &project, "Unfinished").await;

        let form = task.form(task.url.path()).with("answer", "Somebody who was not done.");
        let page = annotator.submit(form).await;
        assert_eq!(page.url.path(), "/");
        assert!(page.text().contains("What you wrote is kept"), "{}", page.text());
        let kept = text::Entity::find()
            .filter(text::Column::Body.eq("Somebody who was not done."))
            .one(&app.rows)
            .await
            .unwrap();
        assert!(kept.is_some());
        assert_eq!(judgement::Entity::find().count(&app.rows).await.unwrap(), 1);
        assert_eq!(annotator.try_get(task.url.path()).await.status, StatusCode::NOT_FOUND);
    }
}

on_both_databases! {
    async fn the_name_of_a_deleted_project_is_free(database: TestDb) {
        let app = TestApp::start(database, Worker::None).await;
        let first = app.new_project("The farm").await;
        delete(&app.admin, &first, "The farm").await;
        let second = app.new_project("The farm").await;
        assert_ne!(first, second);
        delete(&app.admin, &second, "The farm").await;
        let third = app.new_project("The farm").await;
        let home = app.admin.get("/").await;
        app.admin.submit(home.form(&format!("{first}/restore"))).await;
        let names = app.admin.get("/").await.texts(".card h2");
        assert_eq!(names.iter().filter(|name| *name == "The farm").count(), 1, "{names:?}");
        assert_eq!(names.iter().filter(|name| name.starts_with("The farm-")).count(), 1, "{names:?}");
        assert_eq!(row(&app.rows, id_of(&third)).await.name, "The farm");
    }
}

on_both_databases! {
    async fn after_thirty_days_the_files_go_and_what_people_said_stays(database: TestDb) {
        let bench = Bench::new(database).await;
        let (db, store) = (&bench.db, &bench.store);
        let (_, _, version) = add_frozen_judgement(db, store, bench.project, "a fox").await;
        let prompt = bench.prompt("A question?").await;
        let asked = bench.comparison(prompt, ["one", "two"]).await;
        bench.say(asked, 1, prefers(ComparisonVerdict::Left(2)), false).await;
        let elsewhere = annotator::people::projects::create(db, "elsewhere", "").await.unwrap().id;
        let alone = add_model(db, store, bench.project, "alone").await;
        let shared = add_model(db, store, bench.project, "shared").await;
        let twin = add_twin(db, shared, "twin").await;
        let moved = model::ActiveModel { id: Set(twin), project_id: Set(Some(elsewhere)), ..Default::default() };
        moved.update(db).await.unwrap();
        let by = account::Entity::find().one(db).await.unwrap().unwrap().id;
        let n_judgements = judgement::Entity::find().count(db).await.unwrap();
        assert_eq!(n_judgements, 2);
        assert!(projects::delete(db, &row(db, bench.project).await, by).await.unwrap());
        let hash_of = async |id: ModelId| {
            model::Entity::find_by_id(id).one(db).await.unwrap().unwrap().artifact_hash
        };
        let version = dataset_version::Entity::find_by_id(version).one(db).await.unwrap().unwrap();
        let (alone, shared) = (hash_of(alone).await, hash_of(shared).await);
        let old = || store.hashes().unwrap().iter().for_each(|hash| make_old(store, hash));

        old();
        let deleted_at = row(db, bench.project).await.deleted_at.unwrap();
        let just_before = UnixMillis(deleted_at.plus(RESTORABLE).0 - 1);
        sweep::sweep(db, store, just_before).await.unwrap();
        assert_eq!(store.hashes().unwrap().len(), 3, "all is there until the last moment");

        sweep::sweep(db, store, deleted_at.plus(RESTORABLE)).await.unwrap();
        assert!(!store.path(&alone).exists() && !store.path(&version.hash).exists());
        assert!(store.path(&shared).is_dir(), "another project needs it");
        assert_eq!(judgement::Entity::find().count(db).await.unwrap(), n_judgements);
        let texts = text::Entity::find().all(db).await.unwrap();
        assert!(texts.iter().all(|text| text.body.is_some()), "every word is there");
        assert!(!projects::restore(db, &row(db, bench.project).await, by).await.unwrap());
        let purged = audit_log::Entity::find().filter(audit_log::Column::Action.eq("project.purge"));
        assert_eq!(purged.count(db).await.unwrap(), 1);
    }
}

on_both_databases! {
    async fn no_run_is_queued_in_a_deleted_project(database: TestDb) {
        let bench = Bench::new(database).await;
        let (db, store) = (&bench.db, &bench.store);
        let (_, _, dataset) = add_frozen_judgement(db, store, bench.project, "a fox").await;
        let model = add_model(db, store, bench.project, "the-model").await;
        let by = account::Entity::find().one(db).await.unwrap().unwrap().id;
        let project = row(db, bench.project).await;
        let launch = LaunchRequest {
            project: project.id,
            kind: run::RunKind::Sample,
            config: json!(SampleConfig::default()),
            inputs: vec![
                LaunchInput::Model(entity::run_input::InputSlot::Model, model),
                LaunchInput::Rows(dataset),
            ],
            by: None,
        };
        for _ in 0..10 {
            let launching = async {
                let turn = storage::database::begin_write(db).await.unwrap();
                let queued = launch::queue(&turn, &launch).await;
                if queued.is_ok() {
                    turn.commit().await.unwrap();
                }
            };
            let (_, deleted) = tokio::join!(launching, projects::delete(db, &project, by));
            assert!(deleted.unwrap());
            let live = run::Entity::find().filter(run::Column::Status.eq(run::RunStatus::Queued));
            assert_eq!(live.count(db).await.unwrap(), 0, "a run waits in a deleted project");
            assert!(projects::restore(db, &project, by).await.unwrap());
        }
    }
}
