//! **The taste test**: the whole loop through the real programs and the real forms. Simulated people
//! share a hidden taste ([`crate::support::world::taste`]); nothing but their comparisons carries it.
//! If the policy's answers to questions that nobody ever asked suit that taste better, every part
//! between a person's key press and the last weight works.
//!
//! The negative control is the same with a coin in place of the taste.

use crate::support::{
    app::{TestApp, Worker},
    database::TestDb,
    eventually,
    people::{self, Judging},
    statistics::{deviation, mean},
    trainer::{read_lines, trainer, write_lines},
    web::Visitor,
    world::{Subject, taste},
};
use entity::{
    ids::{ModelId, RunId},
    model, run, task,
};
use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter};
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};
use storage::artifact_store::ArtifactStore;

/// Questions in the project; others are never shown to anybody until the end.
const N_ASKED: usize = 600;
const N_HELD_OUT: usize = 160;
const N_DEMONSTRATIONS: usize = 200;
const N_PEOPLE: usize = 3;

/// Sizes and learning rates; every other setting is the form's default.
const SFT: &[(&str, &str)] = &[("learning_rate", "0.003"), ("max_length", "128")];
const SAMPLE: &[(&str, &str)] = &[("n", "2"), ("max_new_tokens", "48"), ("prompts", "all")];
const REWARD: &[(&str, &str)] = &[("learning_rate", "0.001"), ("max_length", "128")];
const PPO: &[(&str, &str)] = &[
    ("learning_rate", "0.0003"),
    ("batch_size", "48"),
    ("episodes", "1536"),
    ("response_length", "48"),
    ("max_length", "128"),
];

/// What came out.
#[derive(Debug)]
struct Measured {
    /// Pairs of held-out questions on which the reward model and the taste agree, of how many.
    agreed: usize,
    n_pairs: usize,
    sft: Scored,
    policy: Scored,
    /// Nats per response, after the last step.
    kl: f64,
}

/// Hidden scores of answers to the held-out questions.
#[derive(Debug)]
struct Scored {
    mean: f64,
    deviation: f64,
    n_distinct: usize,
}

impl Measured {
    fn accuracy(&self) -> f64 {
        self.agreed as f64 / self.n_pairs as f64
    }

    /// How far the policy moved, in standard deviations of the SFT model's scores.
    fn gain(&self) -> f64 {
        assert!(self.sft.deviation > 0.05, "the SFT model's answers are all alike: {self:?}");
        (self.policy.mean - self.sft.mean) / self.sft.deviation
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn comparisons_teach_a_hidden_taste_with_seed_1_on_sqlite() {
    taught(measure(TestDb::sqlite().await, 1, Judging::ByTaste).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn comparisons_teach_a_hidden_taste_with_seed_2_on_sqlite() {
    taught(measure(TestDb::sqlite().await, 2, Judging::ByTaste).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn comparisons_teach_a_hidden_taste_with_seed_3_on_sqlite() {
    taught(measure(TestDb::sqlite().await, 3, Judging::ByTaste).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn comparisons_teach_a_hidden_taste_on_postgresql() {
    if let Some(database) = TestDb::postgres().await {
        taught(measure(database, 1, Judging::ByTaste).await);
    }
}

fn taught(measured: Measured) {
    assert!(
        measured.accuracy() >= 0.85,
        "held-out accuracy {:.3}: {measured:?}",
        measured.accuracy()
    );
    assert!(
        measured.gain() >= 1.0,
        "the policy gained {:.2} deviations: {measured:?}",
        measured.gain()
    );
    assert!(
        measured.kl <= 20.0,
        "the policy is {:.1} nats from its reference: {measured:?}",
        measured.kl
    );
    assert!(
        2 * measured.policy.n_distinct >= measured.sft.n_distinct,
        "the policy repeats itself: {measured:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_coin_teaches_nothing() {
    let measured = measure(TestDb::sqlite().await, 1, Judging::ByCoin).await;
    assert!(
        (measured.accuracy() - 0.5).abs() < 0.1,
        "held-out accuracy {:.3}: {measured:?}",
        measured.accuracy()
    );
    assert!(
        measured.gain().abs() < 0.25,
        "the policy moved {:.2} deviations: {measured:?}",
        measured.gain()
    );
}

/// The loop from the first demonstration to the policy's own comparison tasks.
async fn measure(database: TestDb, seed: u64, judging: Judging) -> Measured {
    let started = Instant::now();
    let told = |what: &str| {
        eprintln!("[{judging:?} {seed}] {:4.0} s  {what}", started.elapsed().as_secs_f64());
    };
    let app = TestApp::start(database, Worker::Local).await;
    let project = app.new_project("The tiny world").await;
    let mut subjects = Subject::all(seed);
    let held_out = subjects.split_off(N_ASKED).into_iter().take(N_HELD_OUT).collect::<Vec<_>>();
    app.add_prompts(&project, subjects.iter().map(|subject| subject.question())).await;
    let mut people = Vec::new();
    for person in 0..N_PEOPLE {
        people.push(app.new_person(&project, &format!("person{person}"), &["annotator"]).await);
    }
    let engineer = app.new_person(&project, "engineer", &["engineer"]).await;

    demonstrate(&people, &project, seed).await;
    told("demonstrations are written");
    let sft = app.launch(&engineer, &project, "sft", &with_seed(SFT, seed)).await;
    told("SFT");
    let from_sft = |settings: &[(&str, &str)]| {
        let model = sft.output_model_id.expect("the run made a model").to_string();
        [with_seed(settings, seed), vec![("model".to_owned(), model)]].concat()
    };
    let sampled = app.launch(&engineer, &project, "sample", &from_sft(SAMPLE)).await;
    wait_for_tasks(&app, sampled.id).await;
    told("sampled");
    let judged = compare(&people, &project, seed, judging).await;
    assert!(judged > N_ASKED * 8 / 10, "only {judged} comparisons");
    told("comparisons are made");
    let reward = app.launch(&engineer, &project, "reward", &from_sft(REWARD)).await;
    told(&format!("reward model: {}", last(&reward)));
    let ppo = app.launch(&engineer, &project, "ppo", &from_sft(PPO)).await;
    told(&format!("PPO: {}", last(&ppo)));
    policys_answers_wait(&app, &people[0], &project, &ppo).await;
    told("the policy's answers wait for people");

    let scratch = tempfile::tempdir().expect("a temporary folder");
    let bench = Bench { scratch: scratch.path(), held_out: &held_out, seed };
    let (sft, reward, policy) =
        (folder_of(&app, &sft).await, folder_of(&app, &reward).await, folder_of(&app, &ppo).await);
    let measured = tokio::task::block_in_place(|| {
        let before = bench.sample(&sft, "sft");
        let after = bench.sample(&policy, "policy");
        let (agreed, n_pairs) = bench.agreement(&reward, &before);
        let kl = ppo.summary.as_ref().and_then(|summary| summary["final"]["objective/kl"].as_f64());
        let kl = kl.expect("PPO reports objective/kl");
        Measured { agreed, n_pairs, sft: scored(&before), policy: scored(&after), kl }
    });
    told(&format!(
        "accuracy {:.3}, gain {:.2}: {measured:?}",
        measured.accuracy(),
        measured.gain()
    ));
    measured
}

fn with_seed(settings: &[(&str, &str)], seed: u64) -> Vec<(String, String)> {
    let settings = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    settings.chain([("seed".to_owned(), seed.to_string())]).collect()
}

fn last(run: &run::Model) -> String {
    run.summary.as_ref().map(|summary| summary["final"].to_string()).unwrap_or_default()
}

/// One after the other, so that a seed always gives the same data: who is given which task does not
/// hang on who is faster. (Crowds are [`crate::annotator`]'s.)
async fn demonstrate(people: &[Visitor], project: &str, seed: u64) {
    let mut left = N_DEMONSTRATIONS;
    for (i, who) in people.iter().enumerate() {
        let share = left / (people.len() - i);
        left -= people::demonstrate(who, project, seed, |written| written == share).await;
    }
    assert_eq!(left, 0, "demonstrations are missing");
}

async fn compare(people: &[Visitor], project: &str, seed: u64, judging: Judging) -> usize {
    let mut n_judged = 0;
    for (i, who) in people.iter().enumerate() {
        let share = (N_ASKED - n_judged) / (people.len() - i);
        n_judged += people::compare(who, project, seed, judging, |judged| judged == share).await;
    }
    n_judged
}

/// How long the web app may take to follow up a run.
const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until the answers of a finished sample run are comparison tasks; how many.
async fn wait_for_tasks(app: &TestApp, sampled: RunId) -> u64 {
    let followed_up = async || {
        let run = run::Entity::find_by_id(sampled).one(&app.rows).await.expect("rows");
        run.expect("the run").followed_up_at
    };
    eventually(PATIENCE, followed_up, || format!("no tasks are made:\n{}", app.server.log())).await;
    let tasks = task::Entity::find().filter(task::Column::RunId.eq(sampled));
    tasks.count(&app.rows).await.expect("rows")
}

/// A PPO run queues a sample run of its policy, whose answers become tasks for the same people.
async fn policys_answers_wait(app: &TestApp, who: &Visitor, project: &str, ppo: &run::Model) {
    let queued = async || {
        let runs = run::Entity::find().filter(run::Column::Kind.eq(run::RunKind::Sample));
        let since = runs.filter(run::Column::CreatedAt.gte(ppo.created_at));
        since.one(&app.rows).await.expect("rows").map(|run| run.id)
    };
    let nobody = || format!("nobody samples the policy:\n{}", app.server.log());
    let sampled = eventually(PATIENCE, queued, nobody).await;
    app.wait_for_run(sampled).await;
    assert!(wait_for_tasks(app, sampled).await > 0);
    let page = who.get(&format!("{project}/compare")).await;
    assert_eq!(page.texts(".side .prose").len(), 2, "{}", page.text());
}

/// The folder of the model that a run made.
async fn folder_of(app: &TestApp, run: &run::Model) -> PathBuf {
    let id: ModelId = run.output_model_id.expect("the run made a model");
    let made =
        model::Entity::find_by_id(id).one(&app.rows).await.expect("rows").expect("the model");
    let store =
        ArtifactStore::open(app.database.folder.path().join("artifacts")).expect("the store opens");
    store.path(&made.artifact_hash)
}

/// Answers to a question.
struct Answered {
    subject: Subject,
    answers: Vec<String>,
}

/// Measures models on questions that were never asked, from the shell.
struct Bench<'a> {
    scratch: &'a Path,
    held_out: &'a [Subject],
    seed: u64,
}

impl Bench<'_> {
    /// Four answers to each question at temperature 1.
    fn sample(&self, model: &Path, name: &str) -> Vec<Answered> {
        let (prompts, out) = (self.file("prompts"), self.file(name));
        write_lines(
            Path::new(&prompts),
            self.held_out.iter().map(|subject| json!({"prompt": subject.prompt()})),
        );
        let seed = (self.seed + 1000).to_string();
        let sampling =
            ["--n", "4", "--temperature", "1", "--max-new-tokens", "48", "--seed", &seed];
        let paths = ["sample", "--model", text(model), "--prompts", &prompts, "--out", &out];
        trainer(paths.into_iter().chain(sampling));
        let rows = read_lines(Path::new(&out));
        assert_eq!(rows.len(), self.held_out.len());
        self.held_out
            .iter()
            .zip(&rows)
            .map(|(subject, row)| Answered { subject: *subject, answers: texts(row) })
            .collect()
    }

    /// On how many pairs of answers the reward model agrees with the taste, and of how many.
    fn agreement(&self, reward: &Path, answered: &[Answered]) -> (usize, usize) {
        let (data, out) = (self.file("pairs"), self.file("scores"));
        let pairs: Vec<Value> = answered
            .iter()
            .flat_map(|one| one.answers.chunks(2).filter_map(|pair| pair_of(one.subject, pair)))
            .collect();
        write_lines(Path::new(&data), pairs.iter().cloned());
        trainer(["score", "--model", text(reward), "--data", &data, "--out", &out]);
        let rows = read_lines(Path::new(&out));
        assert_eq!(rows.len(), pairs.len());
        let agrees = |row: &&Value| {
            row["chosen"].as_f64().expect("a score") > row["rejected"].as_f64().expect("a score")
        };
        (rows.iter().filter(agrees).count(), rows.len())
    }

    fn file(&self, name: &str) -> String {
        text(&self.scratch.join(format!("{name}.jsonl"))).to_owned()
    }
}

/// A row of preferences, unless the taste is indifferent.
fn pair_of(subject: Subject, pair: &[String]) -> Option<Value> {
    let difference = taste(&pair[0]) - taste(&pair[1]);
    let (chosen, rejected) =
        if difference > 0.0 { (&pair[0], &pair[1]) } else { (&pair[1], &pair[0]) };
    let said = |text: &str| json!([{"role": "assistant", "content": text}]);
    let row =
        json!({"prompt": subject.prompt(), "chosen": said(chosen), "rejected": said(rejected)});
    (difference.abs() >= 0.1).then_some(row)
}

fn texts(row: &Value) -> Vec<String> {
    let completions = row["completions"].as_array().expect("completions");
    completions.iter().map(|one| one["text"].as_str().expect("a text").to_owned()).collect()
}

fn scored(answered: &[Answered]) -> Scored {
    let answers: Vec<&String> = answered.iter().flat_map(|one| &one.answers).collect();
    let tastes: Vec<f64> = answers.iter().map(|answer| taste(answer)).collect();
    let distinct: BTreeSet<&String> = answers.iter().copied().collect();
    Scored { mean: mean(&tastes), deviation: deviation(&tastes), n_distinct: distinct.len() }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a plain path")
}
