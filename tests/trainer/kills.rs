//! Runs that are killed again and again, their workers too: each ends as if nothing had happened.
//!
//! `ATTUNE_KILLS=50` kills more often than the suite has time for; `ATTUNE_KILL_SEED` repeats the
//! choice of victims and moments (what is struck in them still depends on the machine).

mod settings;

use crate::support::{
    app::clean,
    binaries,
    chats::{Chats, base},
    database::{TestDb, on_both_databases},
    dice::Dice,
    eventually,
    leash::is_gone,
};
use annotator::{
    config::StorageConfig,
    database,
    training::launch::{self, LaunchInput, LaunchRequest},
};
use entity::{
    dataset_version,
    ids::{DatasetVersionId, ModelId, ProjectId, RunId},
    model, project,
    run::{self, RunKind, RunStatus},
    run_event,
    time::UnixMillis,
};
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, DatabaseConnection, EntityTrait,
    PaginatorTrait, QueryFilter, QueryOrder,
};
use settings::settings;
use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};
use storage::artifact_store::ArtifactStore;

/// How long everything may take: a machine may be slow, but a run that is stuck is a failure.
const PATIENCE: Duration = Duration::from_secs(900);

const KINDS: [RunKind; 7] = [
    RunKind::Sft,
    RunKind::Reward,
    RunKind::Dpo,
    RunKind::Kto,
    RunKind::Ppo,
    RunKind::Grpo,
    RunKind::Rloo,
];

/// A database with models and datasets for every kind of training.
struct Site {
    test: TestDb,
    db: DatabaseConnection,
    store: ArtifactStore,
    project: ProjectId,
    base: ModelId,
    sft: ModelId,
    reward: ModelId,
    demonstrations: DatasetVersionId,
    preferences: DatasetVersionId,
    prompts: DatasetVersionId,
}

impl Site {
    async fn new(test: TestDb) -> Self {
        let storage = StorageConfig {
            data_dir: test.folder.path().to_owned(),
            database_url: Some(test.url.clone()),
            artifacts: None,
            no_migration_copy: false,
        };
        let db = database::open(&storage).await.expect("the database opens");
        let store = ArtifactStore::open(storage.artifacts_dir()).expect("a store");
        let project = ProjectId::new();
        let row = project::ActiveModel {
            id: Set(project),
            name: Set("Kills".into()),
            guidelines: Set(String::new()),
            comparison_overlap: Set(1),
            created_at: Set(UnixMillis::now()),
            ..Default::default()
        };
        project::Entity::insert(row).exec_without_returning(&db).await.unwrap();
        let chats = Chats::new(21, 96);
        let sft = chats.sft();
        let reward = chats.reward(&sft);
        let add = Adding { db: &db, store: &store, project };
        let site = [
            add.model("base", model::ModelKind::Base, &base()).await,
            add.model("sft", model::ModelKind::Sft, &sft).await,
            add.model("reward", model::ModelKind::Reward, &reward).await,
        ];
        let versions = [
            add.version(dataset_version::DatasetKind::Demonstrations, &chats.demonstrations())
                .await,
            add.version(dataset_version::DatasetKind::Preferences, &chats.preferences()).await,
            add.version(dataset_version::DatasetKind::Prompts, &chats.prompts()).await,
        ];
        let ([base, sft, reward], [demonstrations, preferences, prompts]) = (site, versions);
        Self { test, db, store, project, base, sft, reward, demonstrations, preferences, prompts }
    }

    async fn queue(&self, kind: RunKind) -> RunId {
        let (model, dataset) = match kind {
            RunKind::Sft => (self.base, self.demonstrations),
            RunKind::Reward | RunKind::Dpo | RunKind::Kto => (self.base, self.preferences),
            RunKind::Ppo | RunKind::Grpo | RunKind::Rloo | RunKind::Sample => {
                (self.sft, self.prompts)
            }
            RunKind::Fetch => unreachable!("it reads no model"),
        };
        let mut inputs = vec![
            LaunchInput::Model(entity::run_input::InputSlot::Model, model),
            LaunchInput::Rows(dataset),
        ];
        if matches!(kind, RunKind::Ppo | RunKind::Grpo | RunKind::Rloo) {
            inputs.push(LaunchInput::Model(entity::run_input::InputSlot::Reward, self.reward));
        }
        let launch =
            LaunchRequest { project: self.project, kind, config: settings(kind), inputs, by: None };
        // No worker may see the run before its inputs.
        let changes = storage::database::begin_write(&self.db).await.unwrap();
        let run = launch::queue(&changes, &launch).await.unwrap();
        changes.commit().await.unwrap();
        run
    }

    fn worker(&self, name: &str) -> Victim {
        let mut command = Command::new(binaries::trainer());
        clean(&mut command)
            .args(["worker", "--database-url", &self.test.url, "--name", name, "--artifacts"])
            .arg(self.test.folder.path().join("artifacts"))
            .args(["--lease-seconds", "2", "--poll-ms", "50"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        Victim(command.spawn().expect("the worker starts"))
    }

    async fn run(&self, id: RunId) -> run::Model {
        run::Entity::find_by_id(id).one(&self.db).await.unwrap().unwrap()
    }

    async fn events(&self, id: RunId) -> Vec<run_event::Model> {
        let events = run_event::Entity::find().filter(run_event::Column::RunId.eq(id));
        events.order_by_asc(run_event::Column::Sequence).all(&self.db).await.unwrap()
    }

    /// Whether an attempt ended well although its process was struck.
    async fn had_ended(&self, id: RunId, attempt: i32) -> bool {
        let started = Instant::now();
        loop {
            let run = self.run(id).await;
            match run.status {
                RunStatus::Succeeded => return run.attempt == attempt,
                RunStatus::Interrupted => return false,
                _ if run.attempt > attempt => return false,
                _ => assert!(started.elapsed() < PATIENCE, "nobody noticed the blow: {run:?}"),
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    async fn n_unfinished(&self) -> u64 {
        let over = [RunStatus::Succeeded, RunStatus::Failed, RunStatus::Cancelled];
        run::Entity::find()
            .filter(run::Column::Status.is_not_in(over))
            .count(&self.db)
            .await
            .unwrap()
    }
}

/// Rows beside the files that they name.
struct Adding<'a> {
    db: &'a DatabaseConnection,
    store: &'a ArtifactStore,
    project: ProjectId,
}

impl Adding<'_> {
    async fn artifact(&self, folder: &Path) -> String {
        let stored = self.store.import(folder).unwrap();
        annotator::keeping::artifacts::record(self.db, &stored).await.unwrap();
        stored.hash
    }

    async fn model(&self, name: &str, kind: model::ModelKind, folder: &str) -> ModelId {
        let row = model::ActiveModel {
            id: Set(ModelId::new()),
            project_id: Set(Some(self.project)),
            name: Set(name.into()),
            kind: Set(kind),
            parent_id: Set(None),
            run_id: Set(None),
            artifact_hash: Set(self.artifact(Path::new(folder)).await),
            n_parameters: Set(1),
            created_at: Set(UnixMillis::now()),
            ..Default::default()
        };
        row.insert(self.db).await.unwrap().id
    }

    async fn version(&self, kind: dataset_version::DatasetKind, file: &str) -> DatasetVersionId {
        let folder = tempfile::tempdir().unwrap();
        fs::copy(file, folder.path().join("train.jsonl")).unwrap();
        let text = fs::read_to_string(file).unwrap();
        let n_rows = text.lines().count() as u64;
        if kind == dataset_version::DatasetKind::Demonstrations {
            let some: Vec<&str> = text.lines().take(8).collect();
            fs::write(folder.path().join("eval.jsonl"), some.join("\n")).unwrap();
        }
        let row = dataset_version::ActiveModel {
            id: Set(DatasetVersionId::new()),
            project_id: Set(self.project),
            kind: Set(kind),
            hash: Set(self.artifact(folder.path()).await),
            counts: Set(dataset_version::DatasetCounts { train: n_rows, ..Default::default() }),
            created_by: Set(None),
            created_at: Set(UnixMillis::now()),
            filling_since: Set(None),
        };
        row.insert(self.db).await.unwrap().id
    }
}

/// A process that does not outlive the test.
struct Victim(Child);

impl Victim {
    /// The run process that this worker has started, and where it writes.
    fn run_process(&self) -> Option<(u32, PathBuf)> {
        let of = |pid: u32, file: &str| fs::read_to_string(format!("/proc/{pid}/{file}"));
        let pid = self.0.id();
        let threads = fs::read_dir(format!("/proc/{pid}/task")).ok()?.flatten();
        let children =
            threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
        let children: String = children.collect();
        let child: u32 = children.split_whitespace().next()?.parse().ok()?;
        let arguments = of(child, "cmdline").ok()?;
        let mut arguments = arguments.split('\0').skip_while(|argument| *argument != "--out");
        Some((child, PathBuf::from(arguments.nth(1)?)))
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn kill(pid: u32) {
    let killed = Command::new("kill").args(["-KILL", &pid.to_string()]).status().unwrap();
    assert!(killed.success(), "kill is there");
    while !is_gone(pid) {
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// What was struck, and how far the run had got.
#[derive(Debug)]
struct Struck {
    run: RunId,
    attempt: i32,
    checkpoint: Option<u64>,
    worker: bool,
}

/// Kills workers and their run processes until it has happened `n` times; two runs are always under
/// way, and the kinds take turns.
async fn kill_at_random(site: &Site, n: usize, dice: &mut Dice) -> (Vec<RunId>, Vec<Struck>) {
    let mut workers = [site.worker("first"), site.worker("second")];
    let (mut runs, mut struck) = (Vec::new(), Vec::new());
    let first = dice.below(KINDS.len());
    let started = Instant::now();
    while struck.len() < n {
        assert!(started.elapsed() < PATIENCE, "{} of {n} killed", struck.len());
        if site.n_unfinished().await < 2 {
            runs.push(site.queue(KINDS[(first + runs.len()) % KINDS.len()]).await);
        }
        tokio::time::sleep(Duration::from_millis(200 + dice.below(1800) as u64)).await;
        let (chosen, worker) = (dice.below(2), dice.below(2) == 0);
        let Some((process, out)) = workers[chosen].run_process() else { continue };
        let folder = out.parent().unwrap();
        let attempt = folder.file_name().unwrap().to_str().unwrap().parse().unwrap();
        let run: RunId =
            folder.parent().unwrap().file_name().unwrap().to_str().unwrap().parse().unwrap();
        if worker {
            kill(workers[chosen].0.id());
            // Its run process ends by itself.
            while !is_gone(process) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        } else {
            kill(process);
        }
        if !worker && site.had_ended(run, attempt).await {
            // A blow in the air: the process had done its work and was about to go.
            continue;
        }
        let checkpoint = site.store.newest_checkpoint(run).map(|checkpoint| checkpoint.step);
        struck.push(Struck { run, attempt, checkpoint, worker });
        if worker {
            workers[chosen] = site.worker(["first", "second"][chosen]);
        }
    }
    while site.n_unfinished().await > 0 {
        assert!(started.elapsed() < PATIENCE, "runs that are stuck");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    (runs, struck)
}

/// The step after which an attempt went on, and the first step that it made.
fn beginning(events: &[run_event::Model], attempt: i32) -> (Option<u64>, Option<u64>) {
    let of_attempt = || events.iter().filter(|event| event.attempt == attempt).map(|e| &e.event);
    let went_on = of_attempt().find_map(|event| {
        let message = event["message"].as_str()?;
        message.strip_prefix("going on from the checkpoint after step ")?.parse().ok()
    });
    let first = of_attempt().find_map(|event| event["metrics"]["step"].as_u64());
    (went_on, first)
}

async fn check_that_runs_went_on(site: &Site, struck: &[Struck]) {
    for blow in struck {
        let events = site.events(blow.run).await;
        let last = events.last().map_or(0, |event| event.attempt);
        let next = (blow.attempt + 1..=last)
            .map(|attempt| (attempt, beginning(&events, attempt)))
            .find(|(_, beginning)| *beginning != (None, None));
        let Some((attempt, (went_on, first))) = next else {
            panic!("nobody went on with {blow:?}");
        };
        // An attempt between may have been struck before its first word was stored: the last blow counts.
        let before = struck.iter().filter(|other| other.run == blow.run && other.attempt < attempt);
        let blow = before.max_by_key(|other| other.attempt).unwrap_or(blow);
        assert_eq!(went_on, blow.checkpoint, "{blow:?}, then {attempt} from {first:?}");
        if let Some(first) = first {
            let expected = blow.checkpoint.map_or(0..=1, |step| step + 1..=step + 1);
            assert!(expected.contains(&first), "{blow:?} is followed by step {first}");
        }
    }
}

on_both_databases! {
    async fn runs_that_are_killed_at_random_end_as_if_nothing_had_happened(test: TestDb) {
        let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
        let n = number("ATTUNE_KILLS").unwrap_or(8) as usize;
        let seed = number("ATTUNE_KILL_SEED").unwrap_or_else(|| u64::from(rand::random::<u16>()));
        println!("ATTUNE_KILLS={n} ATTUNE_KILL_SEED={seed}");
        let site = Site::new(test).await;
        let mut undisturbed = HashMap::new();
        {
            let _worker = site.worker("alone");
            for kind in KINDS {
                let run = site.queue(kind).await;
                let started = Instant::now();
                while !site.run(run).await.status.is_final() {
                    assert!(started.elapsed() < PATIENCE, "{kind:?} does not end");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                let run = site.run(run).await;
                assert_eq!(run.status, RunStatus::Succeeded, "{:?}", run.error);
                undisturbed.insert(kind, run.output_hash.unwrap());
            }
        }
        let (runs, struck) = kill_at_random(&site, n, &mut Dice::new(seed)).await;

        let mut by_kind: HashMap<RunKind, usize> = HashMap::new();
        for id in &runs {
            let run = site.run(*id).await;
            *by_kind.entry(run.kind).or_default() += struck.iter().filter(|blow| blow.run == *id).count();
            assert_eq!(run.status, RunStatus::Succeeded, "{:?}, {:?}", run.kind, run.error);
            assert_eq!(run.output_hash.as_ref(), Some(&undisturbed[&run.kind]), "{:?} has other weights", run.kind);
            let made = model::Entity::find().filter(model::Column::RunId.eq(*id)).count(&site.db).await.unwrap();
            assert_eq!(made, 1, "{:?} was finished twice", run.kind);
            let attempts: Vec<i32> = site.events(*id).await.iter().map(|event| event.attempt).collect();
            assert!(attempts.is_sorted(), "two attempts at once: {attempts:?}");
            // By whoever finished it, or by the next worker where that one was struck at the very end.
            let is_gone = async || (!site.store.run_folder(*id).exists()).then_some(());
            eventually(Duration::from_secs(30), is_gone, || "its checkpoints stay".to_owned()).await;
        }
        check_that_runs_went_on(&site, &struck).await;
        let n_workers = struck.iter().filter(|blow| blow.worker).count();
        println!("{} runs; {n_workers} workers and {} run processes killed: {by_kind:?}", runs.len(), n - n_workers);
    }
}
