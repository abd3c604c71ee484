//! What a launch form says of a run before it begins: its rows in tokens, its memory and its time.

use crate::support::{
    app::{TestApp, Worker},
    builders::add_input,
    database::{TestDb, on_both_databases},
    tiny_base,
    web::{Page, Visitor},
};
use annotator::data::{
    dataset::{self, DatasetContents},
    formats::row::ImportRow,
    import::store::store_all,
};
use entity::{
    conversation::PromptBody,
    dataset_version::{self, DatasetKind},
    ids::{DatasetVersionId, ModelId, ProjectId, RunId},
    report::RunSummary,
    row_use::RowUse,
    run::{self, RunKind, RunStatus},
    run_config::{LossOn, SftConfig},
    time::UnixMillis,
};
use sea_orm::{ActiveModelTrait, ActiveValue::Set, EntityTrait};
use serde_json::{Map, json};
use std::{fs, ops::ControlFlow, path::PathBuf, time::Duration};
use storage::artifact_store::ArtifactStore;
use trainer_base::{
    memory::RowLengths,
    rows::{LoadedRows, SupervisedExample, load_demonstrations},
    tokenizer::Tokenizer,
};

/// A project with demonstrations of mixed lengths, and the tiny base.
struct Place {
    app: TestApp,
    project: String,
    id: ProjectId,
    store: ArtifactStore,
    engineer: Visitor,
    model: ModelId,
}

impl Place {
    async fn new(database: TestDb, n_rows: usize) -> Self {
        let app = TestApp::start(database, Worker::None).await;
        let project = app.new_project("Forecasts").await;
        let id: ProjectId = project.rsplit('/').next().unwrap().parse().unwrap();
        let store = ArtifactStore::open(app.database.folder.path().join("artifacts")).unwrap();
        let model = annotator::models::base_folder::register(&app.rows, &store, tiny_base());
        let model = model.await.unwrap();
        let rows: Vec<_> = (0..n_rows).map(row).collect();
        if !rows.is_empty() {
            store_all(&app.rows, id, &rows).await.unwrap();
        }
        let engineer = app.new_person(&project, "engineer", &["engineer"]).await;
        Self { app, project, id, store, engineer, model }
    }

    async fn frozen(&self) -> (DatasetVersionId, PathBuf) {
        let rows = &self.app.rows;
        let contents = DatasetContents::Demonstrations;
        let frozen = dataset::freeze(rows, &self.store, self.id, contents).await.unwrap();
        let id = frozen.record(rows, None).await.unwrap();
        let version = dataset_version::Entity::find_by_id(id).one(rows).await.unwrap().unwrap();
        (id, self.store.path(&version.hash))
    }

    async fn facts(&self, typed: &str) -> Page {
        let address = format!("{}/runs/new/sft/facts?model={}&{typed}", self.project, self.model);
        self.engineer.get(&address).await
    }

    /// Once the rows are counted, as a browser asks.
    async fn counted(&self, typed: &str) -> Page {
        loop {
            let page = self.facts(typed).await;
            if page.texts("[data-counting]").is_empty() {
                return page;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// An SFT run of the base that is over and took so many seconds for so many tokens.
    async fn done(&self, tokens: u64, seconds: f64, rows: u64) {
        let config = SftConfig { eval_every: 1000, ..SftConfig::default() };
        let of_file =
            |file: &str, n| RowUse { file: file.to_owned(), rows: n, used: n, ..RowUse::default() };
        let summary = RunSummary {
            kind: "sft".to_owned(),
            steps: 1,
            tokens,
            seconds,
            tokens_per_second: tokens as f64 / seconds,
            peak_rss_mb: 1,
            expected_mb: None,
            rows: vec![of_file("train.jsonl", rows)],
            last: Map::new(),
        };
        let id = RunId::new();
        let run = run::ActiveModel {
            id: Set(id),
            project_id: Set(self.id),
            kind: Set(RunKind::Sft),
            config: Set(json!(config)),
            status: Set(RunStatus::Succeeded),
            attempt: Set(1),
            cancel_requested: Set(false),
            progress: Set(1.0),
            step: Set(1),
            n_steps: Set(1),
            created_at: Set(UnixMillis::now()),
            finished_at: Set(Some(UnixMillis::now())),
            summary: Set(Some(json!(summary))),
            ..<run::ActiveModel as Default>::default()
        };
        run.insert(&self.app.rows).await.unwrap();
        add_input(&self.app.rows, id, self.model).await;
    }
}

/// A few of them are long.
fn row(at: usize) -> ImportRow {
    let n_sentences = if at % 10 == 3 { 30 } else { 1 + at % 4 };
    let answer = "The fox runs gladly at dawn. ".repeat(n_sentences);
    let prompt = PromptBody::Text(format!("Tell me of fox number {at}."));
    ImportRow::new(DatasetKind::Demonstrations, prompt, [answer])
}

/// As the trainer reads a file with the tiny base.
fn loaded(file: PathBuf, max_length: usize) -> LoadedRows<SupervisedExample> {
    let tokenizer = Tokenizer::load(&tiny_base()).unwrap();
    let deaf = &mut |_| ControlFlow::Continue(());
    load_demonstrations(&file, &tokenizer, max_length, LossOn::Auto, deaf).unwrap()
}

/// What stands beside a term.
fn fact(page: &Page, term: &str) -> Option<String> {
    let at = page.texts("dt").iter().position(|text| text == term)?;
    Some(page.texts("dd")[at].clone())
}

fn gigabytes(page: &Page) -> f64 {
    let memory = fact(page, "Memory, about").expect("the memory");
    let (before, _) = memory.split_once(" GB in all").expect("all of it");
    before.rsplit(' ').next().unwrap().parse().unwrap()
}

on_both_databases! {
    async fn a_form_tells_rows_lengths_and_memory_of_the_data_that_is_chosen(database: TestDb) {
        let place = Place::new(database, 120).await;
        let (version, folder) = place.frozen().await;
        let all = loaded(folder.join("train.jsonl"), 1024);
        let lengths: RowLengths = all.rows.iter().collect();
        let held_out = fs::read_to_string(folder.join("eval.jsonl")).unwrap().lines().count();
        let told = format!(
            "{} to work on, {held_out} held out. Median length {}, 95 % up to {}, longest {} tokens. \
             {:.0} % of the tokens are learnt, the others are only read.",
            all.rows.len(),
            lengths.quantile(0.5),
            lengths.quantile(0.95),
            lengths.quantile(1.0),
            100.0 * all.counts.of_file.learnt as f64 / all.counts.of_file.tokens as f64
        );
        let settings = "max_length=1024&batch_size=64";
        for chosen in ["dataset=new".to_owned(), format!("dataset={version}")] {
            let typed = format!("{settings}&{chosen}");
            // The answer does not wait for the count.
            let worst = place.facts(&typed).await;
            assert!(!worst.texts("[data-counting]").is_empty(), "{}", worst.text());
            let known = place.counted(&typed).await;
            assert_eq!(fact(&known, "Rows").as_ref(), Some(&told), "{chosen}");
            assert!(gigabytes(&known) < gigabytes(&worst) / 2.0, "{}", known.text());
            let longest = format!("up to {} tokens", lengths.quantile(1.0));
            assert!(fact(&known, "Memory, about").unwrap().contains(&longest), "{}", known.text());
        }

        let short = loaded(folder.join("train.jsonl"), 40).counts.of_file;
        assert!(short.cut > 1, "{short:?}");
        let cut = place.counted(&format!("max_length=40&dataset={version}")).await;
        let told = format!("{} are cut at the end to the maximum length.", short.cut);
        assert!(fact(&cut, "Rows").unwrap().contains(&told), "{}", cut.text());
        let none = place.counted(&format!("max_length=2&dataset={version}")).await;
        let told = format!("{} are left out: too long", all.rows.len());
        assert!(fact(&none, "Rows").unwrap().contains(&told), "{}", none.text());
    }
}

on_both_databases! {
    async fn rows_beyond_what_is_looked_at_leave_the_worst_case_and_every_page_at_work(database: TestDb) {
        let place = Place::new(database, 20).await;
        let (version, folder) = place.frozen().await;
        let counted = place.counted(&format!("dataset={version}")).await;
        assert!(fact(&counted, "Rows").unwrap().contains("Median"), "{}", counted.text());
        // What no form would take.
        let row = json!({"prompt": "x", "completion": "y ".repeat(1 << 20)}).to_string() + "\n";
        let mut permissions = fs::metadata(folder.join("train.jsonl")).unwrap().permissions();
        #[expect(clippy::permissions_set_readonly_false, reason = "a folder of the test alone")]
        permissions.set_readonly(false);
        let _ = fs::set_permissions(folder.join("train.jsonl"), permissions);
        fs::write(folder.join("train.jsonl"), row.repeat(20)).unwrap();
        let typed = format!("dataset={version}&max_length=500");
        let page = place.counted(&typed).await;
        let told = "They are too large for their lengths to be counted here. \
                    The memory is that for rows as long as they may be.";
        assert_eq!(fact(&page, "Rows").as_deref(), Some(told));
        assert!(fact(&page, "Memory, about").unwrap().contains("of 500 tokens"), "{}", page.text());
    }
}

on_both_databases! {
    async fn the_time_is_that_of_a_run_like_it_or_not_known_yet(database: TestDb) {
        let place = Place::new(database, 60).await;
        let (version, folder) = place.frozen().await;
        let settings = format!("dataset={version}&eval_every=1000&epochs=3&batch_size=8");
        let page = place.counted(&settings).await;
        let told = "Known after the first step: no run like it has ended here yet.";
        assert_eq!(fact(&page, "Time, about").as_deref(), Some(told));

        // Three passes took 100 s.
        let all = loaded(folder.join("train.jsonl"), 1024);
        let n_tokens: usize = all.rows.iter().map(|row| row.ids.len()).sum();
        place.done(3 * n_tokens as u64, 100.0, all.rows.len() as u64).await;
        let eval = loaded(folder.join("eval.jsonl"), 1024);
        let held_out: usize = eval.rows.iter().map(|row| row.ids.len()).sum();
        // Measured at start and end, which costs a third of learning.
        let measured = 100.0 * 2.0 / 3.0 * held_out as f64 / (3 * n_tokens) as f64;
        let seconds = (200.0 + measured).round() as u64;
        let page = place.counted(&settings.replace("epochs=3", "epochs=6")).await;
        let time = fact(&page, "Time, about").unwrap();
        let wanted = format!("{} min {} s, if it is as fast as", seconds / 60, seconds % 60);
        assert!(time.starts_with(&wanted), "{time}, not {wanted}");
        // Another device is another pace.
        let page = place.counted(&format!("{settings}&device=cpu")).await;
        assert_eq!(fact(&page, "Time, about").as_deref(), Some(told));
    }
}
