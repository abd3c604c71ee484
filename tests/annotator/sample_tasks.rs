//! What follows a finished run, on both databases.

use super::bench::Bench;
use crate::support::{
    app::{TestApp, Worker},
    builders::{add_comparisons, add_run},
    database::on_both_databases,
};
use annotator::{
    data::dataset::{self, DatasetContents, PromptSelection},
    keeping::erasure::{ErasureOrder, texts},
    training::follow_up,
};
use entity::{
    completion, dataset_version,
    hash::sha256_hex,
    ids::{DatasetVersionId, RunId},
    model,
    run::{self, RunKind, RunStatus},
    run_config::{DpoConfig, PpoConfig, SampleConfig},
    run_input, task, task_completion, text,
    time::UnixMillis,
};
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter,
};
use serde_json::json;
use std::collections::{HashMap, HashSet};

impl Bench {
    async fn follow_up(&self) {
        follow_up::follow_up_all(&self.db, &self.store, &mut HashMap::new()).await.unwrap();
    }

    async fn all_prompts(&self) -> DatasetVersionId {
        let frozen = dataset::freeze(
            &self.db,
            &self.store,
            self.project,
            DatasetContents::Prompts(PromptSelection::All),
        )
        .await;
        frozen.unwrap().record(&self.db, None).await.unwrap()
    }

    async fn was_followed_up(&self, run: RunId) -> bool {
        run::Entity::find_by_id(run).one(&self.db).await.unwrap().unwrap().followed_up_at.is_some()
    }
}

/// A line of `completions.jsonl`.
fn line(index: usize, answers: &[&str]) -> String {
    let completions: Vec<_> = answers
        .iter()
        .map(|text| json!({ "text": text, "token_ids": [1, 2, 3], "finish_reason": "stop" }))
        .collect();
    format!("{}\n", json!({ "index": index, "completions": completions }))
}

on_both_databases! {
    async fn whoever_comes_before_the_tasks_of_a_run_are_made_is_told_that_they_come(database: TestDb) {
        let app = TestApp::start(database, Worker::None).await;
        let project = app.new_project("Early").await;
        let compare = format!("{project}/compare");
        let waits = async || {
            let response = app.admin.ask("get", &compare, &[]).await;
            response.headers().contains_key("refresh")
        };
        assert!(!waits().await, "nothing is on its way");
        let id = add_run(&app.rows, project.rsplit('/').next().unwrap().parse().unwrap()).await;
        let just_ended = run::ActiveModel {
            id: Set(id),
            finished_at: Set(Some(UnixMillis::now())),
            followed_up_at: Set(None),
            ..<run::ActiveModel as Default>::default()
        };
        just_ended.update(&app.rows).await.unwrap();
        assert!(waits().await, "a run has just ended");
    }
}

on_both_databases! {
    async fn answers_become_tasks_once_however_many_look(database: TestDb) {
        let bench = Bench::new(database).await;
        bench.prompt("first").await;
        bench.prompt("second").await;
        let (dataset, model) = (bench.all_prompts().await, bench.model("sft", model::ModelKind::Sft).await);
        let run = bench.queued_sample(model, dataset).await;
        bench.follow_up().await;
        assert!(!bench.was_followed_up(run).await, "a run that is not over is left alone");

        bench.succeed_with(run, &(line(0, &["a", "b", "c", "d"]) + &line(1, &["e", "e", "f", "e"]))).await;
        tokio::join!(bench.follow_up(), bench.follow_up(), bench.follow_up());
        bench.follow_up().await;

        assert!(bench.was_followed_up(run).await);
        assert_eq!(completion::Entity::find().count(&bench.db).await.unwrap(), 8);
        let tasks = task::Entity::find().all(&bench.db).await.unwrap();
        assert_eq!(tasks.len(), 3);
        for task in &tasks {
            assert_eq!((task.kind, task.overlap, task.open_slots, task.run_id), (task::TaskKind::Compare, 2, 2, Some(run)));
        }
        let compared = task_completion::Entity::find().all(&bench.db).await.unwrap();
        let distinct: HashSet<_> = compared.iter().map(|row| row.completion_id).collect();
        assert_eq!((compared.len(), distinct.len()), (6, 6), "no answer is read twice");
    }
}

on_both_databases! {
    async fn an_answer_with_byte_0_in_it_is_compared_like_any_other(database: TestDb) {
        let bench = Bench::new(database).await;
        bench.prompt("only").await;
        let (dataset, model) = (bench.all_prompts().await, bench.model("sft", model::ModelKind::Sft).await);
        let run = bench.queued_sample(model, dataset).await;
        bench.succeed_with(run, &line(0, &["a\0b", "c"])).await;
        bench.follow_up().await;
        assert!(bench.was_followed_up(run).await);
        assert_eq!(task::Entity::find().count(&bench.db).await.unwrap(), 1);
        let texts = text::Entity::find().filter(text::Column::Body.eq("a\u{FFFD}b")).count(&bench.db);
        assert_eq!(texts.await.unwrap(), 1);
    }
}

on_both_databases! {
    async fn an_answer_that_was_erased_before_is_compared_by_nobody(database: TestDb) {
        let bench = Bench::new(database).await;
        bench.prompt("only").await;
        let (dataset, model) = (bench.all_prompts().await, bench.model("sft", model::ModelKind::Sft).await);
        let first = bench.queued_sample(model, dataset).await;
        bench.succeed_with(first, &line(0, &["erased", "b"])).await;
        bench.follow_up().await;
        let order = ErasureOrder::now("asked", None);
        texts::erase(&bench.db, &bench.store, &[sha256_hex("erased")], &order).await.unwrap();

        let again = bench.queued_sample(model, dataset).await;
        bench.succeed_with(again, &line(0, &["erased", "b", "c", "erased"])).await;
        bench.follow_up().await;
        assert!(bench.was_followed_up(again).await);
        let own = completion::Entity::find().filter(completion::Column::RunId.eq(again));
        let answers = own.all(&bench.db).await.unwrap();
        assert_eq!(answers.iter().map(|answer| answer.sample_index).collect::<HashSet<_>>(), HashSet::from([1, 2]));
        let tasks = task::Entity::find().filter(task::Column::RunId.eq(again));
        assert_eq!(tasks.count(&bench.db).await.unwrap(), 1);
        let body = text::Entity::find_by_id(sha256_hex("erased")).one(&bench.db).await.unwrap().unwrap().body;
        assert_eq!(body, None);
    }
}

on_both_databases! {
    async fn a_run_whose_output_cannot_be_read_leaves_nothing_behind(database: TestDb) {
        let bench = Bench::new(database).await;
        bench.prompt("only").await;
        let (dataset, model) = (bench.all_prompts().await, bench.model("sft", model::ModelKind::Sft).await);
        let run = bench.queued_sample(model, dataset).await;
        bench.succeed_with(run, &(line(0, &["a", "b"]) + "{broken\n")).await;
        let mut failed = HashMap::new();
        follow_up::follow_up_all(&bench.db, &bench.store, &mut failed).await.unwrap();
        assert!(failed.contains_key(&run));
        assert!(!bench.was_followed_up(run).await);
        assert_eq!(completion::Entity::find().count(&bench.db).await.unwrap(), 0);
        assert_eq!(task::Entity::find().count(&bench.db).await.unwrap(), 0);
    }
}

on_both_databases! {
    async fn a_ppo_run_queues_the_sample_run_of_its_policy_once(database: TestDb) {
        let bench = Bench::new(database).await;
        bench.prompt("only").await;
        let (dataset, sft) = (bench.all_prompts().await, bench.model("sft", model::ModelKind::Sft).await);
        let ppo = bench.queued(RunKind::Ppo, json!(PpoConfig::default()), sft, dataset).await;
        let policy = bench.model("policy", model::ModelKind::Policy).await;
        let done = run::ActiveModel {
            id: Set(ppo),
            status: Set(RunStatus::Succeeded),
            output_model_id: Set(Some(policy)),
            ..<run::ActiveModel as Default>::default()
        };
        done.update(&bench.db).await.unwrap();
        tokio::join!(bench.follow_up(), bench.follow_up());

        let samples = run::Entity::find().filter(run::Column::Kind.eq(RunKind::Sample)).all(&bench.db).await.unwrap();
        let [sample] = &samples[..] else { panic!("{} sample runs", samples.len()) };
        assert_eq!(sample.status, RunStatus::Queued);
        let config: SampleConfig = serde_json::from_value(sample.config.clone()).unwrap();
        assert_eq!(config.max_new_tokens, PpoConfig::default().response_length);
        let inputs = run_input::Entity::find()
            .filter(run_input::Column::RunId.eq(sample.id))
            .all(&bench.db)
            .await
            .unwrap();
        let models: Vec<_> = inputs.iter().filter_map(|input| input.model_id).collect();
        let datasets: Vec<_> = inputs.iter().filter_map(|input| input.dataset_version_id).collect();
        assert_eq!((models, datasets), (vec![policy], vec![dataset]));
    }
}

on_both_databases! {
    async fn the_policy_of_a_dpo_run_answers_the_prompts_of_the_project(database: TestDb) {
        let bench = Bench::new(database).await;
        for prompt in ["one", "two", "three", "four"] {
            bench.prompt(prompt).await;
        }
        let (read, sft) = (bench.all_prompts().await, bench.model("sft", model::ModelKind::Sft).await);
        let dpo = bench.queued(RunKind::Dpo, json!(DpoConfig::default()), sft, read).await;
        let policy = bench.model("policy", model::ModelKind::Policy).await;
        let done = run::ActiveModel {
            id: Set(dpo),
            status: Set(RunStatus::Succeeded),
            output_model_id: Set(Some(policy)),
            ..<run::ActiveModel as Default>::default()
        };
        done.update(&bench.db).await.unwrap();
        tokio::join!(bench.follow_up(), bench.follow_up());

        let samples = run::Entity::find().filter(run::Column::Kind.eq(RunKind::Sample)).all(&bench.db).await.unwrap();
        let [sample] = &samples[..] else { panic!("{} sample runs", samples.len()) };
        let inputs =
            run_input::Entity::find().filter(run_input::Column::RunId.eq(sample.id)).all(&bench.db).await.unwrap();
        assert!(inputs.iter().any(|input| input.model_id == Some(policy)));
        let version = inputs.iter().find_map(|input| input.dataset_version_id).unwrap();
        let version = dataset_version::Entity::find_by_id(version).one(&bench.db).await.unwrap().unwrap();
        assert_eq!(version.kind, dataset_version::DatasetKind::Prompts);
        assert!(version.counts.train > 0, "{:?}", version.counts);
    }
}

on_both_databases! {
    async fn an_answer_that_was_cut_off_is_marked_where_it_is_compared(database: TestDb) {
        let app = TestApp::start(database, Worker::None).await;
        let project = app.new_project("Cut").await;
        let annotator = app.new_person(&project, "annotator", &["annotator"]).await;
        add_comparisons(&app.rows, &project, [1]).await;
        let page = annotator.get(&format!("{project}/compare")).await;
        assert!(!page.text().contains("It was cut off here"), "{}", page.text());
        let one = completion::Entity::find().one(&app.rows).await.unwrap().unwrap();
        let cut = completion::ActiveModel { id: Set(one.id), finish_reason: Set(Some(entity::report::FinishReason::Length)), ..Default::default() };
        cut.update(&app.rows).await.unwrap();
        let page = annotator.get(&format!("{project}/compare")).await;
        assert_eq!(page.text().matches("It was cut off here").count(), 1, "{}", page.text());
    }
}
