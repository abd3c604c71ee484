//! Which rows a run learnt from: on its page, and wherever a row leads to models.

use crate::support::{
    app::{TestApp, Worker},
    builders::{add_frozen_judgement, add_model, succeed},
    database::{TestDb, on_both_databases},
    web::Visitor,
};
use entity::{
    dataset_version_item,
    ids::{DatasetVersionId, JudgementId, ProjectId, RunId},
    report::{LogLevel, RunReport, RunSummary},
    row_use::{LeftOutReason, RowUse},
    run, run_event,
    time::UnixMillis,
};
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, DatabaseConnection, EntityTrait, QueryFilter,
};
use serde_json::json;
use storage::artifact_store::ArtifactStore;

/// A project with a frozen version of several demonstrations and a run that learnt from it.
struct Taught {
    app: TestApp,
    project: String,
    engineer: Visitor,
    run: RunId,
    /// The rows of the version.
    items: Vec<dataset_version_item::Model>,
}

impl Taught {
    async fn with_answers(database: TestDb, n: usize) -> Self {
        let app = TestApp::start(database, Worker::None).await;
        let project = app.new_project("Rows").await;
        let id: ProjectId = project.rsplit('/').next().unwrap().parse().unwrap();
        let store = ArtifactStore::open(app.database.folder.path().join("artifacts")).unwrap();
        let mut version = None;
        for at in 0..n {
            let name = format!("thing {at}");
            version = Some(add_frozen_judgement(&app.rows, &store, id, &name).await.2);
        }
        let version: DatasetVersionId = version.expect("a version");
        let engineer = app.new_person(&project, "engineer", &["engineer"]).await;
        add_model(&app.rows, &store, id, "the-start").await;
        let settings = [("dataset".to_owned(), version.to_string())];
        let run = app.queue(&engineer, &project, "sft", &settings).await;
        succeed(&app.rows, &store, run, "the-pupil").await;
        let items = dataset_version_item::Entity::find()
            .filter(dataset_version_item::Column::DatasetVersionId.eq(version))
            .all(&app.rows)
            .await
            .unwrap();
        Self { app, project, engineer, run, items }
    }

    async fn judgement_page(&self, judgement: JudgementId) -> String {
        let page = self.engineer.get(&format!("{}/judgements/{judgement}", self.project)).await;
        page.text()
    }
}

/// What a worker stores of a run that left a row out.
async fn say(rows: &DatabaseConnection, run: RunId, used: &RowUse) {
    let event = |sequence: i64, event: RunReport| run_event::ActiveModel {
        run_id: Set(run),
        sequence: Set(sequence),
        attempt: Set(1),
        event: Set(json!(event)),
        created_at: Set(UnixMillis::now()),
    };
    let message = entity::message::KeyedMessage::plain("It has begun.");
    let said = [
        event(1, RunReport::Rows { rows: used.clone() }),
        event(2, RunReport::Log { level: LogLevel::Info, message }),
    ];
    run_event::Entity::insert_many(said).exec_without_returning(rows).await.unwrap();
    let summary = RunSummary {
        kind: "sft".to_owned(),
        steps: 1,
        tokens: 1,
        seconds: 1.0,
        tokens_per_second: 1.0,
        peak_rss_mb: 1,
        expected_mb: None,
        rows: vec![used.clone()],
        last: serde_json::Map::new(),
    };
    let done = run::ActiveModel {
        id: Set(run),
        summary: Set(Some(json!(summary))),
        ..<run::ActiveModel as Default>::default()
    };
    done.update(rows).await.unwrap();
}

on_both_databases! {
    async fn a_row_that_a_run_left_out_claims_no_model(database: TestDb) {
        let taught = Taught::with_answers(database, 14).await;
        let train: Vec<_> = taught.items.iter()
            .filter(|item| item.split == dataset_version_item::DatasetSplit::Train)
            .collect();
        let [dropped, kept] = [0, 1].map(|position| {
            train.iter().find(|item| item.position == position).unwrap().judgement_id.unwrap()
        });
        let before = taught.judgement_page(dropped).await;
        assert!(before.contains("the-pupil"), "{before}");

        let n = train.len() as u64;
        let mut used = RowUse {
            file: "train.jsonl".to_owned(), rows: n, used: n, max_length: 70, ..RowUse::default()
        };
        used.leave_out(0, LeftOutReason::TooLong);
        (used.split, used.tokens, used.learnt) = (2, 400, 92);
        say(&taught.app.rows, taught.run, &used).await;
        let page = taught.judgement_page(dropped).await;
        assert!(!page.contains("the-pupil"), "{page}");
        assert!(page.contains("not used: longer than the run allowed"), "{page}");
        let page = taught.judgement_page(kept).await;
        assert!(page.contains("the-pupil") && !page.contains("not used"), "{page}");

        let path = format!("{}/runs/{}", taught.project, taught.run);
        let page = taught.engineer.get(&path).await;
        let told = format!(
            "{} of {n} used. 1 is left out, longer than 70 tokens. 2 conversations are read as several, \
             one for each answer. 23 % of the tokens are learnt, the others are only read.",
            n - 1
        );
        assert_eq!(page.texts("#run-rows"), [told.as_str()]);
        assert!(page.text().contains("1 row was left out"), "{}", page.text());
        let page = taught.engineer.get(&page.links("main a[href*='/datasets/']")[0]).await;
        assert!(page.text().contains(&told), "{}", page.text());
    }
}

on_both_databases! {
    async fn what_is_held_out_was_measured_on_and_taught_nothing(database: TestDb) {
        let taught = Taught::with_answers(database, 30).await;
        let held_out = taught.items.iter()
            .find(|item| item.split == dataset_version_item::DatasetSplit::Eval)
            .expect("about a tenth is held out");
        let page = taught.judgement_page(held_out.judgement_id.unwrap()).await;
        assert!(page.contains("measured on it: the-pupil"), "{page}");
    }
}
