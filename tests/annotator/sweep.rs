//! What leaves the disk and what does not, and what a deletion and a launch at once come to.

use super::{bench::Bench, deleted_models::row};
use crate::support::{
    builders::{add_model, make_old},
    database::on_both_databases,
};
use annotator::{
    data::dataset::{self, DatasetContents, PromptSelection},
    keeping::deletion::{
        hold::HoldError,
        models::{self, DeletionOutcome},
        sweep,
    },
    training::{
        follow_up,
        launch::{self, LaunchInput, LaunchRequest},
    },
};
use entity::{
    model, run,
    run_config::{PpoConfig, SampleConfig},
    time::UnixMillis,
};
use sea_orm::{ActiveModelTrait, ActiveValue::Set, EntityTrait};
use serde_json::json;
use std::{collections::HashMap, time::Duration};
use storage::artifact_store::StoredFolder;
use storage::database::begin_write;

on_both_databases! {
    async fn the_sweep_leaves_what_is_needed_young_or_unknown(database: TestDb) {
        let bench = Bench::new(database).await;
        bench.prompt("only").await;
        let (db, store) = (&bench.db, &bench.store);
        let contents = DatasetContents::Prompts(PromptSelection::All);
        let frozen = dataset::freeze(db, store, bench.project, contents).await.unwrap();
        let dataset = frozen.record(db, None).await.unwrap();
        bench.prompt("another").await;
        // Of a launch that was refused after it had frozen its rows.
        dataset::freeze(db, store, bench.project, contents).await.unwrap();
        let model = add_model(db, store, bench.project, "kept").await;
        let run = bench.queued_sample(model, dataset).await;
        bench.succeed_with(run, "{}\n").await;
        let answers = run::Entity::find_by_id(run).one(db).await.unwrap().unwrap().output_hash;
        let answers = StoredFolder { hash: answers.unwrap(), n_bytes: 3 };
        annotator::keeping::artifacts::record(db, &answers).await.unwrap();
        let unknown = store.incoming().unwrap();
        std::fs::write(unknown.join("config.json"), "of another installation").unwrap();
        store.adopt(&unknown).unwrap();
        let n_kept = async || {
            sweep::sweep(db, store, UnixMillis::now()).await.unwrap();
            store.hashes().unwrap().len()
        };
        assert_eq!(n_kept().await, 5, "whoever has just added it may be about to need it");
        for hash in store.hashes().unwrap() {
            make_old(store, &hash);
        }
        assert_eq!(n_kept().await, 4, "what was frozen for nothing goes, and nothing else");
    }
}

on_both_databases! {
    async fn a_launch_and_a_deletion_at_once_never_leave_a_run_without_its_model(database: TestDb) {
        let bench = Bench::new(database).await;
        bench.prompt("only").await;
        let contents = DatasetContents::Prompts(PromptSelection::All);
        let frozen = dataset::freeze(&bench.db, &bench.store, bench.project, contents).await;
        let dataset = frozen.unwrap().record(&bench.db, None).await.unwrap();
        let person = entity::account::Entity::find().one(&bench.db).await.unwrap().unwrap().id;
        for round in 0..25 {
            let id = add_model(&bench.db, &bench.store, bench.project, &format!("model-{round}")).await;
            let model = row(&bench.db, id).await;
            let launch = LaunchRequest {
                project: bench.project,
                kind: run::RunKind::Sample,
                config: json!(SampleConfig::default()),
                inputs: vec![
                    LaunchInput::Model(entity::run_input::InputSlot::Model, id),
                    LaunchInput::Rows(dataset),
                ],
                by: None,
            };
            let launching = async {
                let turn = begin_write(&bench.db).await.unwrap();
                let queued = launch::queue(&turn, &launch).await;
                tokio::time::sleep(Duration::from_millis(round % 5)).await;
                if queued.is_ok() {
                    turn.commit().await.unwrap();
                }
                queued
            };
            let deleting = async {
                tokio::time::sleep(Duration::from_millis(round % 3)).await;
                models::delete(&bench.db, &model, person).await.unwrap()
            };
            match tokio::join!(launching, deleting) {
                (Ok(_), DeletionOutcome::Needed) | (Err(HoldError::Model(_)), DeletionOutcome::Deleted) => {}
                (queued, deleted) => panic!("round {round}: {queued:?}, {deleted:?}"),
            }
        }
    }
}

on_both_databases! {
    async fn a_policy_that_was_deleted_before_it_answered_is_not_asked(database: TestDb) {
        let bench = Bench::new(database).await;
        bench.prompt("only").await;
        let contents = DatasetContents::Prompts(PromptSelection::All);
        let frozen = dataset::freeze(&bench.db, &bench.store, bench.project, contents).await;
        let dataset = frozen.unwrap().record(&bench.db, None).await.unwrap();
        let start = bench.model("start", model::ModelKind::Sft).await;
        let ppo = bench.queued(run::RunKind::Ppo, json!(PpoConfig::default()), start, dataset).await;
        let policy = bench.model("policy", model::ModelKind::Policy).await;
        let done = run::ActiveModel {
            id: Set(ppo),
            status: Set(run::RunStatus::Succeeded),
            output_model_id: Set(Some(policy)),
            ..Default::default()
        };
        done.update(&bench.db).await.unwrap();
        let person = entity::account::Entity::find().one(&bench.db).await.unwrap().unwrap().id;
        models::delete(&bench.db, &row(&bench.db, policy).await, person).await.unwrap();
        let mut failed = HashMap::new();
        follow_up::follow_up_all(&bench.db, &bench.store, &mut failed).await.unwrap();
        assert!(failed.is_empty(), "that is no failure, and not tried again");
        let runs = run::Entity::find().all(&bench.db).await.unwrap();
        assert!(matches!(&runs[..], [ppo] if ppo.followed_up_at.is_some()), "{runs:?}");
    }
}
