//! Freezing a dataset version, on both databases.

use super::bench::{Bench, prefers, skips};
use crate::support::database::on_both_databases;
use annotator::data::dataset::{self, DatasetContents, FrozenDataset, PromptSelection};
use entity::{
    dataset_version::{self, DatasetCounts},
    dataset_version_item::{self, DatasetSplit},
    ids::{DatasetVersionId, PromptId},
    judgement::{ComparisonVerdict, JudgementPayload},
};
use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter};
use serde_json::{Value, json};
use std::collections::HashMap;

impl Bench {
    async fn freeze(&self, contents: DatasetContents) -> FrozenDataset {
        dataset::freeze(&self.db, &self.store, self.project, contents).await.unwrap()
    }

    async fn version(&self, contents: DatasetContents) -> DatasetVersionId {
        self.freeze(contents).await.record(&self.db, None).await.unwrap()
    }

    async fn rows(&self, version: DatasetVersionId, file: &str) -> Vec<Value> {
        let version =
            dataset_version::Entity::find_by_id(version).one(&self.db).await.unwrap().unwrap();
        let text = std::fs::read_to_string(self.store.path(&version.hash).join(file)).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    async fn items(&self, version: DatasetVersionId) -> Vec<dataset_version_item::Model> {
        dataset_version_item::Entity::find()
            .filter(dataset_version_item::Column::DatasetVersionId.eq(version))
            .all(&self.db)
            .await
            .unwrap()
    }
}

on_both_databases! {
    async fn the_latest_revision_counts_and_what_prefers_nothing_is_left_out_and_counted(database: TestDb) {
        let bench = Bench::new(database).await;
        let prompt = bench.prompt("Which is better?").await;
        let changed_mind = bench.comparison(prompt, ["good", "bad"]).await;
        bench.say(changed_mind, 1, prefers(ComparisonVerdict::Left(3)), true).await;
        bench.say(changed_mind, 2, prefers(ComparisonVerdict::Right(1)), true).await;
        for payload in [prefers(ComparisonVerdict::Tie), prefers(ComparisonVerdict::Tie), prefers(ComparisonVerdict::BothBad), skips()] {
            let asked = bench.comparison(prompt, ["one", "two"]).await;
            bench.say(asked, 1, payload, false).await;
        }

        let frozen = bench.freeze(DatasetContents::Preferences).await;
        assert_eq!(frozen.counts.train + frozen.counts.eval, 1);
        let left_out = DatasetCounts { train: 0, eval: 0, ..frozen.counts.clone() };
        assert_eq!(left_out, DatasetCounts { ties: 2, both_bad: 1, skipped: 1, ..DatasetCounts::default() });

        let version = frozen.record(&bench.db, None).await.unwrap();
        let mut rows = bench.rows(version, "train.jsonl").await;
        rows.extend(bench.rows(version, "eval.jsonl").await);
        // Swapped: right was position 0.
        assert_eq!(
            rows,
            [json!({
                "prompt": [{"role": "user", "content": "Which is better?"}],
                "chosen": [{"role": "assistant", "content": "good"}],
                "rejected": [{"role": "assistant", "content": "bad"}]
            })]
        );
        assert_eq!(bench.rows(version, "ids.jsonl").await.len(), 5);
    }
}

on_both_databases! {
    async fn the_same_content_is_the_same_version_and_a_new_answer_makes_a_new_one(database: TestDb) {
        let bench = Bench::new(database).await;
        let hello = bench.text("hello").await;
        for question in ["a", "b", "c"] {
            let asked = bench.demonstration(bench.prompt(question).await).await;
            bench.say(asked, 1, JudgementPayload::Demonstration { text_hash: hello.clone() }, false).await;
        }
        let first = bench.version(DatasetContents::Demonstrations).await;
        assert_eq!(bench.version(DatasetContents::Demonstrations).await, first);
        assert_eq!(dataset_version::Entity::find().count(&bench.db).await.unwrap(), 1);
        assert_eq!(bench.items(first).await.len(), 3);

        let asked = bench.demonstration(bench.prompt("d").await).await;
        bench.say(asked, 1, JudgementPayload::Demonstration { text_hash: hello }, false).await;
        assert_ne!(bench.version(DatasetContents::Demonstrations).await, first);
        assert_eq!(bench.items(first).await.len(), 3, "the old version stays as it was");
    }
}

on_both_databases! {
    async fn a_prompt_is_on_the_same_side_in_every_version(database: TestDb) {
        let bench = Bench::new(database).await;
        let mut prompts = Vec::new();
        for n in 0..60 {
            prompts.push(bench.prompt(&format!("question {n}")).await);
        }
        let train = bench.version(DatasetContents::Prompts(PromptSelection::Train)).await;
        let held_out = bench.version(DatasetContents::Prompts(PromptSelection::HeldOut)).await;
        let all = bench.version(DatasetContents::Prompts(PromptSelection::All)).await;
        let mut side: HashMap<PromptId, DatasetSplit> = HashMap::new();
        side.extend(bench.items(train).await.iter().map(|item| (item.prompt_id, item.split)));
        assert_eq!(side.len(), prompts.len(), "the held-out ones are there to measure on");
        let n_held_out = bench.rows(held_out, "train.jsonl").await.len();
        assert_eq!(bench.rows(train, "eval.jsonl").await.len(), n_held_out);
        side.extend(bench.items(held_out).await.iter().map(|item| (item.prompt_id, DatasetSplit::Eval)));
        assert_eq!(side.len(), prompts.len());
        assert_eq!(bench.rows(all, "train.jsonl").await.len(), prompts.len());

        for (n, prompt) in prompts.iter().enumerate() {
            let asked = bench.comparison(*prompt, [&format!("yes {n}"), &format!("no {n}")]).await;
            bench.say(asked, 1, prefers(ComparisonVerdict::Left(1)), false).await;
        }
        let preferences = bench.version(DatasetContents::Preferences).await;
        let items = bench.items(preferences).await;
        assert_eq!(items.len(), prompts.len());
        for item in items {
            assert_eq!(item.split, side[&item.prompt_id]);
            assert!(item.judgement_id.is_some());
        }
    }
}

on_both_databases! {
    async fn how_much_better_a_person_found_an_answer_is_a_margin_where_that_is_asked_for(database: TestDb) {
        let bench = Bench::new(database).await;
        let prompt = bench.prompt("Which is better?").await;
        let said = [ComparisonVerdict::Left(3), ComparisonVerdict::Right(2), ComparisonVerdict::Left(1)];
        for (n, verdict) in said.into_iter().enumerate() {
            let asked = bench.comparison(prompt, [&format!("{n}"), &format!("{n}")]).await;
            bench.say(asked, 1, prefers(verdict), false).await;
        }
        // Nobody was asked how much better: a file says which is.
        let asked = bench.comparison(prompt, ["imported", "imported"]).await;
        bench.import(asked, prefers(ComparisonVerdict::Left(2))).await;

        let rows = async |contents| {
            let frozen = bench.freeze(contents).await;
            let (version, n) = (frozen.record(&bench.db, None).await.unwrap(), frozen.counts.margins);
            let mut rows = bench.rows(version, "train.jsonl").await;
            rows.extend(bench.rows(version, "eval.jsonl").await);
            let margin = |row: &Value| (row["chosen"][0]["content"].as_str().unwrap().to_owned(), row["margin"].as_f64());
            (n, rows.iter().map(margin).collect::<HashMap<_, _>>())
        };
        let (n, margins) = rows(DatasetContents::PreferencesWithMargins).await;
        // Touvron et al. 2023, table 27: 1, 2/3, 1/3.
        let expected = [("0", Some(1.0)), ("1", Some(2.0 / 3.0)), ("2", Some(1.0 / 3.0)), ("imported", None)];
        assert_eq!((n, margins), (3, expected.map(|(text, margin)| (text.to_owned(), margin)).into()));
        let (n, margins) = rows(DatasetContents::Preferences).await;
        assert_eq!(n, 0);
        assert!(margins.len() == 4 && margins.values().all(Option::is_none));
    }
}
