//! People at work and runs under way while the web app, its worker, a run's process and the database
//! are killed again and again: nothing that was acknowledged is lost, and nothing happens twice.
//!
//! `ATTUNE_KILLS=200` kills more often than the suite has time for; `ATTUNE_KILL_SEED` repeats the
//! choice of victims and moments (what is struck in them still depends on the machine).

use crate::support::{
    app::{Server, TestApp, Worker, run_of},
    database::TestDb,
    dice::Dice,
    eventually,
    leash::{is_gone, signal},
    tcp_proxy::TcpProxy,
    web::Visitor,
    world::Subject,
};
use entity::{
    assignment::{self, AssignmentState},
    hash::sha256_hex,
    ids::RunId,
    judgement::{self, JudgementPayload},
    model,
    run::{self, RunStatus},
    run_event, task, text,
};
use futures_util::future::join_all;
use sea_orm::{ColumnTrait, DatabaseConnection, EntityTrait, QueryFilter, QueryOrder};
use std::{
    collections::HashMap,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

const N_PEOPLE: usize = 6;

/// How long somebody waits before they try again.
const PAUSE: Duration = Duration::from_millis(100);

/// How long what was struck may take to be back.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Victim {
    WebApp,
    Worker,
    Run,
    Database,
}

/// Somebody who writes and sends until it was taken, as a person does whose page does not load.
struct Writer<'a> {
    visitor: Visitor,
    name: String,
    page: String,
    is_over: &'a AtomicBool,
    /// What was acknowledged.
    said: Mutex<Vec<String>>,
}

impl Writer<'_> {
    async fn work(&self) {
        let mut n = 0;
        while !self.is_over.load(Ordering::SeqCst) {
            let page = self.visitor.reach(&self.page).await.filter(|page| page.status == 200);
            let form = page.and_then(|page| page.find_form(page.url.path()));
            let Some(form) = form else {
                tokio::time::sleep(PAUSE).await;
                continue;
            };
            n += 1;
            let written = format!("{} wrote answer {n}", self.name);
            let form = form.with("answer", &written);
            // The same form again and again: it carries the key by which it is known.
            while self.visitor.deliver(&form).await.is_none_or(|page| page.status != 200) {
                tokio::time::sleep(PAUSE).await;
            }
            self.said.lock().unwrap().push(written);
        }
    }
}

/// The service, and who strikes it.
struct Trial {
    app: TestApp,
    proxy: TcpProxy,
    project: String,
    engineer: Visitor,
    runs: Vec<RunId>,
    struck: HashMap<Victim, usize>,
}

impl Trial {
    async fn new(database: TestDb, n_prompts: usize) -> Self {
        let app = TestApp::start(database, Worker::Local).await;
        let project = app.new_project("Kills").await;
        let proxy = TcpProxy::start(app.server.url.trim_start_matches("http://")).await;
        let prompts = (0..).flat_map(|round| {
            Subject::all(0)
                .into_iter()
                .map(move |subject| format!("{round}. {}", subject.question()))
        });
        app.add_prompts(&project, prompts.take(n_prompts)).await;
        let engineer =
            Self::join(&app, &proxy, &project, "engineer", &["engineer", "annotator"]).await;
        Self { app, proxy, project, engineer, runs: Vec::new(), struck: HashMap::new() }
    }

    /// Somebody whose browser finds the service wherever it is.
    async fn join(
        app: &TestApp,
        proxy: &TcpProxy,
        project: &str,
        login: &str,
        roles: &[&str],
    ) -> Visitor {
        let password = app.new_account(project, login, roles).await;
        let visitor = Visitor::new(&format!("http://{}", proxy.address));
        visitor.sign_in(login, &password).await;
        visitor
    }

    async fn strike(&mut self, victim: Victim) -> bool {
        let worker = || {
            let mut children = self.app.server.children().into_iter();
            children.find(|(_, line)| line.iter().any(|word| word == "worker")).map(|(pid, _)| pid)
        };
        let hit = match victim {
            Victim::WebApp => {
                // It says why and ends where there is no database, and here nobody starts it again.
                let rows = &self.app.rows;
                let is_there = async || run::Entity::find().one(rows).await.ok();
                eventually(PATIENCE, is_there, || "no database".to_owned()).await;
                self.app.kill_and_start(Worker::Local);
                self.proxy.lead_to(self.app.server.url.trim_start_matches("http://"));
                true
            }
            Victim::Worker => worker().is_some_and(kill),
            Victim::Run => worker().and_then(Server::child_of).is_some_and(kill),
            Victim::Database => self.app.database.crash(),
        };
        if hit {
            *self.struck.entry(victim).or_default() += 1;
        }
        hit
    }

    /// One run is always under way.
    async fn keep_busy(&mut self) {
        let unfinished = async |rows: &DatabaseConnection| {
            let runs = run::Entity::find().all(rows).await.ok()?;
            Some(runs.into_iter().filter(|run| !run.status.is_final()).count())
        };
        let rows = &self.app.rows;
        let n =
            eventually(PATIENCE, async || unfinished(rows).await, || "no database".into()).await;
        if n > 0 {
            return;
        }
        let address = format!("{}/runs/new/sft", self.project);
        let engineer = &self.engineer;
        let form = async || {
            let page = engineer.reach(&address).await.filter(|page| page.status == 200)?;
            page.find_form(&address)
        };
        let form = eventually(PATIENCE, form, || "no form for a run".to_owned()).await;
        let form = form.with("epochs", "3").with("save_every", "5").with("max_length", "128");
        // If it is struck between, the run is there or is not; the next look tells.
        if let Some(page) = engineer.deliver(&form).await.filter(|page| page.status == 200) {
            self.runs.push(run_of(&page));
        }
    }
}

fn kill(pid: u32) -> bool {
    signal("KILL", &pid.to_string());
    while !is_gone(pid) {
        std::thread::sleep(Duration::from_millis(1));
    }
    true
}

async fn check_people(rows: &DatabaseConnection, said: &[String]) {
    let judgements = judgement::Entity::find().all(rows).await.unwrap();
    let mut by_text: HashMap<String, usize> = HashMap::new();
    for row in &judgements {
        let JudgementPayload::Demonstration { text_hash } = &row.payload else { continue };
        *by_text.entry(text_hash.clone()).or_default() += 1;
    }
    for written in said {
        let hash = sha256_hex(written);
        assert_eq!(by_text.get(&hash), Some(&1), "acknowledged, and not there once: {written}");
        let kept = text::Entity::find_by_id(hash).one(rows).await.unwrap().unwrap();
        assert_eq!(kept.body.as_ref(), Some(written));
    }
    let mut by_task: HashMap<_, Vec<assignment::Model>> = HashMap::new();
    for row in assignment::Entity::find().all(rows).await.unwrap() {
        by_task.entry(row.task_id).or_default().push(row);
    }
    for task in task::Entity::find().all(rows).await.unwrap() {
        let rows = by_task.remove(&task.id).unwrap_or_default();
        let n = |state| rows.iter().filter(|row| row.state == state).count() as i32;
        let held = n(AssignmentState::Leased) + n(AssignmentState::Submitted);
        assert!(held <= task.overlap, "over-assigned: {task:?}\n{rows:#?}");
        assert_eq!(task.open_slots, task.overlap - held, "{task:?}\n{rows:#?}");
    }
}

async fn check_runs(app: &TestApp, asked_for: &[RunId]) -> usize {
    let runs = run::Entity::find().all(&app.rows).await.unwrap();
    let lost = asked_for.iter().find(|id| runs.iter().all(|run| run.id != **id));
    assert_eq!(lost, None, "a run that was launched is lost");
    for run in &runs {
        assert_eq!(run.status, RunStatus::Succeeded, "{:?}", run.error);
        let made = model::Entity::find().filter(model::Column::RunId.eq(run.id));
        assert_eq!(made.all(&app.rows).await.unwrap().len(), 1, "finished twice, or not at all");
        let events = run_event::Entity::find().filter(run_event::Column::RunId.eq(run.id));
        let events = events.order_by_asc(run_event::Column::Sequence).all(&app.rows).await.unwrap();
        assert!(events.iter().map(|event| event.attempt).is_sorted(), "two attempts at once");
    }
    runs.len()
}

async fn lose_nothing(database: TestDb, victims: &[Victim]) {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let n: u64 = number("ATTUNE_KILLS").unwrap_or(6);
    let seed = number("ATTUNE_KILL_SEED").unwrap_or_else(|| u64::from(rand::random::<u16>()));
    println!("ATTUNE_KILLS={n} ATTUNE_KILL_SEED={seed}");
    let mut dice = Dice::new(seed);
    let mut trial = Trial::new(database, 600 + 60 * n as usize).await;
    let is_over = AtomicBool::new(false);
    let mut writers = Vec::new();
    for person in 0..N_PEOPLE {
        let name = format!("writer{person}");
        let visitor =
            Trial::join(&trial.app, &trial.proxy, &trial.project, &name, &["annotator"]).await;
        let page = format!("{}/demonstrate", trial.project);
        writers.push(Writer { visitor, name, page, is_over: &is_over, said: Mutex::default() });
    }
    let strikes = async {
        // Some answers, for the first run to learn from.
        tokio::time::sleep(Duration::from_secs(3)).await;
        let mut n_struck = 0;
        while n_struck < n {
            trial.keep_busy().await;
            tokio::time::sleep(Duration::from_millis(100 + dice.below(900) as u64)).await;
            n_struck += u64::from(trial.strike(victims[dice.below(victims.len())]).await);
        }
        is_over.store(true, Ordering::SeqCst);
    };
    tokio::join!(strikes, join_all(writers.iter().map(Writer::work)));
    let rows = &trial.app.rows;
    let over = async || {
        let runs = run::Entity::find().all(rows).await.ok()?;
        runs.iter().all(|run| run.status.is_final()).then_some(())
    };
    eventually(PATIENCE * 5, over, || "runs that are stuck".to_owned()).await;
    let said: Vec<String> =
        writers.iter().flat_map(|writer| writer.said.lock().unwrap().clone()).collect();
    check_people(rows, &said).await;
    let n_runs = check_runs(&trial.app, &trial.runs).await;
    println!("{} answers acknowledged, {n_runs} runs, killed: {:?}", said.len(), trial.struck);
    assert!(said.len() > N_PEOPLE, "there was no load");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_is_killed_at_random_loses_nothing_on_sqlite() {
    lose_nothing(TestDb::sqlite().await, &[Victim::WebApp, Victim::Worker, Victim::Run]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_is_killed_at_random_loses_nothing_on_postgresql() {
    let Some(database) = TestDb::postgres_alone() else { return };
    let victims = [Victim::WebApp, Victim::Worker, Victim::Run, Victim::Database];
    lose_nothing(database, &victims).await;
}
