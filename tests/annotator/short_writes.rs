//! What is large is written in short transactions: others write between them, whoever is killed leaves
//! nothing half done that anybody sees, and what was cut short goes on.

use super::bench::Bench;
use crate::support::{
    app::{TestApp, Worker},
    database::on_both_databases,
    eventually,
};
use annotator::{
    data::{
        dataset::{self, DatasetContents, FrozenDataset, PromptSelection},
        formats::row::ImportRow,
        import::store,
    },
    keeping::{
        deletion::{hold::HoldError, sweep},
        erasure::{ErasureOrder, finish, people, texts},
    },
    people::accounts,
};
use entity::{
    completion, dataset_version, dataset_version_item,
    erasure::{self, ErasureKind},
    ids::{ProjectId, PromptId, RunId},
    judgement::{self, JudgementPayload},
    model, prompt, run, task, text,
    time::UnixMillis,
};
use sea_orm::{
    ColumnTrait, DatabaseConnection, EntityTrait, PaginatorTrait, QueryFilter, QuerySelect,
    sea_query::Expr,
};
use serde_json::json;
use std::{
    collections::{BTreeSet, HashSet},
    time::Duration,
};
use storage::database::write;

const PATIENCE: Duration = Duration::from_secs(120);

const N_PROMPTS: usize = 1000;

async fn ask_much(db: &DatabaseConnection, project: ProjectId, n_prompts: usize) {
    let row = |n| json!({ "prompt": format!("What is the square of {n}?") }).to_string();
    let rows: Vec<_> = (0..n_prompts).map(|n| ImportRow::parse(&row(n)).unwrap()).collect();
    store::store_all(db, project, &rows).await.unwrap();
}

async fn frozen(bench: &Bench) -> FrozenDataset {
    let contents = DatasetContents::Prompts(PromptSelection::All);
    dataset::freeze(&bench.db, &bench.store, bench.project, contents).await.unwrap()
}

/// Does a long thing until some of it is there, and stops it where it is, as a kill would.
async fn cut_short<T>(long: impl Future<Output = T>, is_there: impl AsyncFn() -> bool) {
    let partly = async {
        while !is_there().await {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::select! {
        biased;
        () = partly => {}
        _ = long => panic!("all of it was there at once"),
    }
}

/// Somebody else's change; others wait for no more than a portion.
async fn somebody_writes(db: &DatabaseConnection) {
    write(db, |turn| async move {
        entity::account::Entity::update_many()
            .col_expr(entity::account::Column::Language, Expr::value("ru"))
            .exec(&*turn)
            .await
    })
    .await
    .unwrap();
}

async fn n_items(db: &DatabaseConnection) -> u64 {
    dataset_version_item::Entity::find().count(db).await.unwrap()
}

on_both_databases! {
    async fn a_version_is_seen_when_all_its_rows_are_there_and_one_cut_short_goes_on(database: TestDb) {
        let bench = Bench::new(database).await;
        let db = &bench.db;
        ask_much(db, bench.project, 2 * N_PROMPTS).await;
        let begun = frozen(&bench).await;
        cut_short(begun.record(db, None), async || {
            let n = n_items(db).await;
            assert_eq!(n % 500, 0, "so many at once");
            let is_begun = n > 0;
            if is_begun {
                somebody_writes(db).await;
                assert_eq!(dataset::versions_of(bench.project).count(db).await.unwrap(), 0);
            }
            is_begun
        })
        .await;
        assert!(n_items(db).await < 2 * N_PROMPTS as u64);
        assert_eq!(dataset::versions_of(bench.project).count(db).await.unwrap(), 0);
        let cut = dataset_version::Entity::find().one(db).await.unwrap().expect("it was begun");

        let version = frozen(&bench).await.record(db, None).await.unwrap();
        assert_eq!(version, cut.id, "the same content is one version");
        assert_eq!(n_items(db).await, 2 * N_PROMPTS as u64);
        assert_eq!(dataset::versions_of(bench.project).count(db).await.unwrap(), 1);
        assert_eq!(dataset_version::Entity::find().count(db).await.unwrap(), 1);
    }
}

on_both_databases! {
    async fn a_version_that_nobody_goes_on_with_is_swept_away(database: TestDb) {
        let bench = Bench::new(database).await;
        let db = &bench.db;
        ask_much(db, bench.project, N_PROMPTS).await;
        let begun = frozen(&bench).await;
        cut_short(begun.record(db, None), async || n_items(db).await > 0).await;
        sweep::sweep(db, &bench.store, UnixMillis::now()).await.unwrap();
        assert!(n_items(db).await > 0, "somebody may be at it");
        let days_later = UnixMillis::now().plus(Duration::from_secs(2 * 24 * 60 * 60));
        sweep::sweep(db, &bench.store, days_later).await.unwrap();
        assert_eq!(n_items(db).await, 0);
        assert_eq!(dataset_version::Entity::find().count(db).await.unwrap(), 0);
        frozen(&bench).await.record(db, None).await.unwrap();
        sweep::sweep(db, &bench.store, days_later).await.unwrap();
        assert_eq!(n_items(db).await, N_PROMPTS as u64, "what is whole stays");
    }
}

on_both_databases! {
    async fn a_version_that_was_being_written_while_a_text_was_erased_is_not_published(database: TestDb) {
        let bench = Bench::new(database).await;
        let db = &bench.db;
        ask_much(db, bench.project, N_PROMPTS).await;
        let begun = frozen(&bench).await;
        let asked = prompt::Entity::find().one(db).await.unwrap().unwrap();
        let order = ErasureOrder::now("asked for", None);
        texts::erase(db, &bench.store, &[asked.text_hash], &order).await.unwrap();
        let refused = begun.record(db, None).await;
        assert!(matches!(refused, Err(HoldError::Rows)), "{refused:?}");
        assert_eq!(dataset::versions_of(bench.project).count(db).await.unwrap(), 0);
        tokio::time::sleep(Duration::from_millis(2)).await;
        frozen(&bench).await.record(db, None).await.unwrap();
        assert_eq!(n_items(db).await, (2 * N_PROMPTS - 1) as u64, "the old rows are to be swept away");
    }
}

on_both_databases! {
    async fn the_texts_of_a_person_go_one_by_one_and_an_erasure_that_was_cut_short_is_finished(database: TestDb) {
        let bench = Bench::new(database).await;
        let db = &bench.db;
        let prompt = bench.prompt("Who are you?").await;
        let mut said = Vec::new();
        for n in 0..30 {
            let asked = bench.demonstration(prompt).await;
            let hash = bench.text(&format!("I am nobody, number {n}.")).await;
            let payload = JudgementPayload::Demonstration { text_hash: hash.clone() };
            bench.say(asked, 1, payload, false).await;
            said.push(hash);
        }
        let n_left = async || {
            let left = text::Entity::find()
                .filter(text::Column::Hash.is_in(said.clone()))
                .filter(text::Column::Body.is_not_null());
            left.count(db).await.unwrap()
        };
        let order = ErasureOrder::now("asked for", None);
        let erasing = people::erase(db, &bench.store, bench.person, people::WrittenTexts::Go, &order);
        cut_short(erasing, async || {
            let is_begun = (1..30).contains(&n_left().await);
            if is_begun {
                somebody_writes(db).await;
            }
            is_begun
        })
        .await;
        assert!(n_left().await > 0);
        let person = accounts::name(db, Some(bench.person)).await.unwrap().unwrap();
        assert!(person.stored().starts_with("Erased person"), "{person:?}");

        finish::finish(db, &bench.store).await.unwrap();
        assert_eq!(n_left().await, 0);
        let erased = erasure::Entity::find().all(db).await.unwrap();
        let n_texts = erased.iter().filter(|row| row.kind == ErasureKind::Text).count();
        assert_eq!((n_texts, erased.len()), (30, 31));
        assert!(erased.iter().all(|row| !row.texts_left));
    }
}

async fn followed(db: &DatabaseConnection, run: RunId) -> run::Model {
    run::Entity::find_by_id(run).one(db).await.unwrap().unwrap()
}

/// When the first and the last task of a run was made.
async fn task_times(db: &DatabaseConnection, run: RunId) -> (UnixMillis, UnixMillis) {
    let times = task::Entity::find()
        .select_only()
        .column_as(task::Column::CreatedAt.min(), "first")
        .column_as(task::Column::CreatedAt.max(), "last")
        .filter(task::Column::RunId.eq(run));
    let (first, last) = times.into_tuple::<(i64, i64)>().one(db).await.unwrap().unwrap();
    (UnixMillis(first), UnixMillis(last))
}

on_both_databases! {
    async fn answers_become_tasks_in_portions_while_people_work_and_through_a_kill(database: TestDb) {
        let mut app = TestApp::start(database, Worker::None).await;
        let project = app.new_project("Many answers").await;
        let anna = app.new_person(&project, "anna", &["annotator"]).await;
        let bench = Bench::beside(&app, &project).await;
        let db = &app.rows.clone();
        ask_much(db, bench.project, N_PROMPTS).await;
        let dataset = frozen(&bench).await.record(db, None).await.unwrap();
        let policy = bench.model("the-policy", model::ModelKind::Policy).await;
        let run = bench.queued_sample(policy, dataset).await;
        let answer = |index, n| json!({"text": format!("{index} times {n}"), "token_ids": [1], "finish_reason": "stop"});
        let line = |index| {
            let completions: Vec<_> = (0..8).map(|n| answer(index, n)).collect();
            format!("{}\n", json!({ "index": index, "completions": completions }))
        };
        let page = anna.get(&format!("{project}/demonstrate")).await;
        let form = page.form(page.url.path()).with("answer", "It is its own square.");
        bench.succeed_with(run, &(0..N_PROMPTS).map(line).collect::<String>()).await;

        let begun = async || (followed(db, run).await.lines_followed_up > 0).then_some(());
        eventually(PATIENCE, begun, || "nothing follows the run".to_owned()).await;
        anna.submit(form).await;
        let cut = followed(db, run).await;
        app.kill_and_start(Worker::None);
        assert!(cut.followed_up_at.is_none(), "others waited until all was written");
        assert_eq!(cut.lines_followed_up % 25, 0, "200 answers at once, 8 to a line");

        let is_done = async || followed(db, run).await.followed_up_at;
        eventually(PATIENCE, is_done, || "it does not go on".to_owned()).await;
        let (first, last) = task_times(db, run).await;
        let said = judgement::Entity::find().one(db).await.unwrap().expect("it was acknowledged");
        assert!(first < said.created_at && said.created_at < last, "it came in between");
        let tasks = task::Entity::find().filter(task::Column::RunId.eq(run)).all(db).await.unwrap();
        let asked: HashSet<&String> = tasks.iter().map(|task| &task.origin).collect();
        assert_eq!((tasks.len(), asked.len()), (4 * N_PROMPTS, 4 * N_PROMPTS));
        let answers: Vec<(PromptId, i32)> = completion::Entity::find()
            .select_only()
            .columns([completion::Column::PromptId, completion::Column::SampleIndex])
            .filter(completion::Column::RunId.eq(run))
            .into_tuple()
            .all(db)
            .await
            .unwrap();
        assert_eq!(answers.len(), 8 * N_PROMPTS);
        assert_eq!(answers.into_iter().collect::<BTreeSet<_>>().len(), 8 * N_PROMPTS, "each once");
    }
}
