//! Workers on a real database. The child is a script where the training itself is not the matter.

use crate::support::{
    binaries,
    database::{TestDb, on_both_databases},
    leash::Leash,
};
use entity::{
    artifact,
    artifact_store::ArtifactStore,
    dataset_version,
    ids::{DatasetVersionId, ModelId, ProjectId, RunId},
    model, project,
    run::{self, Kind, Status},
    run_event, run_input,
    run_input::Slot,
    time::UnixMillis,
};
use migrations::{Migrator, MigratorTrait};
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, DatabaseConnection, EntityTrait, QueryFilter,
    QueryOrder,
};
use serde_json::json;
use std::{
    collections::HashSet,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};
use tokio::sync::watch;
use trainer::worker::{Ended, Worker};

/// How long a test waits for what a worker does within a second or two.
const PATIENCE: Duration = Duration::from_secs(60);

/// Finds --out and says that it has begun.
const BEGIN: &str = r#"#!/bin/sh
while [ $# -gt 0 ]; do case $1 in --out) out=$2;; esac; shift; done
echo '{"event":"progress","step":1,"n_steps":2,"fraction":0.5,"tokens_per_second":7.5,"seconds_left":1.0}'
echo '{"event":"metrics","metrics":{"step":1,"loss":2.5}}'
"#;

/// Puts the finished model in its place and ends well.
const SUCCEED: &str = r#"cp "$(dirname "$0")"/finished/* "$out"/
echo '{"kind":"sft","steps":2,"tokens":20,"seconds":1.0,"tokens_per_second":20.0,"peak_rss_mb":1,"final":{"loss":2.5}}'
"#;

/// Works until stdin closes, as `--exit-with-stdin` has it.
const HANG: &str = "cat > /dev/null\n";

/// A project with a base model and a dataset version.
struct Site {
    test: TestDb,
    db: DatabaseConnection,
    artifacts: ArtifactStore,
    project: ProjectId,
    base: ModelId,
    dataset: DatasetVersionId,
}

impl Site {
    async fn new(test: TestDb) -> Self {
        let db = test.connect().await;
        Migrator::up(&db, None).await.unwrap();
        let artifacts = ArtifactStore::open(test.folder.path().join("artifacts")).unwrap();
        let finished = test.folder.path().join("finished");
        fs::create_dir_all(&finished).unwrap();
        fs::write(finished.join("config.json"), "{}").unwrap();
        fs::write(finished.join("model.safetensors"), six_parameters()).unwrap();
        let data = test.folder.path().join("data");
        fs::create_dir_all(&data).unwrap();
        fs::write(data.join("train.jsonl"), "{\"prompt\": \"a\", \"completion\": \"b\"}\n")
            .unwrap();
        let now = UnixMillis::now();
        let row = project::ActiveModel {
            id: Set(ProjectId::new()),
            name: Set("Animals".into()),
            guidelines: Set(String::new()),
            comparison_overlap: Set(1),
            created_at: Set(now),
            ..Default::default()
        };
        let project = row.insert(&db).await.unwrap().id;
        let row = model::ActiveModel {
            id: Set(ModelId::new()),
            project_id: Set(None),
            name: Set("base".into()),
            kind: Set(model::Kind::Base),
            parent_id: Set(None),
            run_id: Set(None),
            artifact_hash: Set(store(&db, &artifacts, &finished).await),
            n_parameters: Set(6),
            created_at: Set(now),
            ..Default::default()
        };
        let base = row.insert(&db).await.unwrap().id;
        let row = dataset_version::ActiveModel {
            id: Set(DatasetVersionId::new()),
            project_id: Set(project),
            kind: Set(dataset_version::Kind::Demonstrations),
            hash: Set(store(&db, &artifacts, &data).await),
            counts: Set(dataset_version::Counts { train: 1, ..Default::default() }),
            created_by: Set(None),
            created_at: Set(now),
        };
        let dataset = row.insert(&db).await.unwrap().id;
        Self { test, db, artifacts, project, base, dataset }
    }

    async fn queue(&self) -> RunId {
        let id = RunId::new();
        let row = run::ActiveModel {
            id: Set(id),
            project_id: Set(self.project),
            kind: Set(Kind::Sft),
            config: Set(json!({"max_steps": 2})),
            status: Set(Status::Queued),
            attempt: Set(0),
            fruitless_attempts: Set(0),
            furthest_step: Set(0),
            worker: Set(None),
            lease_expires_at: Set(None),
            cancel_requested: Set(false),
            progress: Set(0.0),
            step: Set(0),
            n_steps: Set(0),
            tokens_per_second: Set(None),
            seconds_left: Set(None),
            error: Set(None),
            summary: Set(None),
            environment: Set(None),
            output_hash: Set(None),
            output_model_id: Set(None),
            tasks_made_at: Set(None),
            created_by: Set(None),
            created_at: Set(UnixMillis::now()),
            started_at: Set(None),
            finished_at: Set(None),
        };
        row.insert(&self.db).await.unwrap();
        for (slot, model_id, dataset_version_id) in
            [(Slot::Model, Some(self.base), None), (Slot::Dataset, None, Some(self.dataset))]
        {
            let row = run_input::ActiveModel {
                run_id: Set(id),
                slot: Set(slot),
                model_id: Set(model_id),
                dataset_version_id: Set(dataset_version_id),
            };
            row.insert(&self.db).await.unwrap();
        }
        id
    }

    /// A worker with a connection of its own, whose child is that script.
    async fn worker(&self, name: &str, script: &str, lease: Duration) -> Worker {
        Worker {
            db: trainer::worker::connect(&self.test.url).await.unwrap(),
            artifacts: self.artifacts.clone(),
            name: name.into(),
            program: self.script(name, script),
            lease,
            keep_checkpoints: Duration::from_secs(3600),
        }
    }

    fn script(&self, name: &str, script: &str) -> PathBuf {
        let path = self.test.folder.path().join(format!("{name}.sh"));
        fs::write(&path, format!("{BEGIN}{script}")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    async fn run(&self, id: RunId) -> run::Model {
        run::Entity::find_by_id(id).one(&self.db).await.unwrap().unwrap()
    }

    async fn until(&self, id: RunId, status: Status) -> run::Model {
        let started = Instant::now();
        loop {
            let run = self.run(id).await;
            if run.status == status {
                return run;
            }
            assert!(started.elapsed() < PATIENCE, "waited for {status:?}: {run:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn events(&self, id: RunId) -> Vec<run_event::Model> {
        let events = run_event::Entity::find().filter(run_event::Column::RunId.eq(id));
        events.order_by_asc(run_event::Column::Sequence).all(&self.db).await.unwrap()
    }
}

async fn store(db: &DatabaseConnection, artifacts: &ArtifactStore, folder: &Path) -> String {
    let stored = artifacts.import(folder).unwrap();
    let row = artifact::ActiveModel {
        hash: Set(stored.hash.clone()),
        n_bytes: Set(stored.n_bytes as i64),
        created_at: Set(UnixMillis::now()),
    };
    row.insert(db).await.unwrap();
    stored.hash
}

/// A safetensors file of one 2 × 3 tensor.
fn six_parameters() -> Vec<u8> {
    let header =
        json!({"weight": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}}).to_string();
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &[0; 24]].concat()
}

/// Nobody asks the worker to stop.
fn never() -> watch::Receiver<bool> {
    watch::channel(false).1
}

const LEASE: Duration = Duration::from_secs(30);

on_both_databases! {
    async fn two_workers_never_take_the_same_run(test: TestDb) {
        let site = Site::new(test).await;
        for _ in 0..24 {
            site.queue().await;
        }
        let mut workers = Vec::new();
        for name in ["a", "b", "c", "d"] {
            let worker = site.worker(name, SUCCEED, LEASE).await;
            workers.push(tokio::spawn(async move {
                let mut taken = Vec::new();
                while let Some(run) = worker.claim().await.unwrap() {
                    assert_eq!(run.attempt, 1);
                    assert_eq!(run.worker.as_deref(), Some(worker.name.as_str()));
                    taken.push(run.id);
                }
                taken
            }));
        }
        let mut taken = Vec::new();
        for worker in workers {
            taken.extend(worker.await.unwrap());
        }
        assert_eq!(taken.len(), 24);
        assert_eq!(taken.iter().collect::<HashSet<_>>().len(), 24);
    }
}

on_both_databases! {
    async fn a_run_that_ends_well_leaves_a_model_and_its_events_in_order(test: TestDb) {
        let site = Site::new(test).await;
        let id = site.queue().await;
        let worker = site.worker("a", SUCCEED, LEASE).await;
        worker.work(never(), true, Duration::ZERO).await.unwrap();

        let run = site.run(id).await;
        assert_eq!((run.status, run.attempt, run.progress), (Status::Succeeded, 1, 1.0), "{:?}", run.error);
        assert_eq!((run.step, run.n_steps, run.tokens_per_second), (1, 2, Some(7.5)));
        assert_eq!(run.summary.unwrap()["tokens"], 20);
        let model = model::Entity::find_by_id(run.output_model_id.unwrap()).one(&site.db).await.unwrap().unwrap();
        assert_eq!((model.kind, model.parent_id, model.n_parameters), (model::Kind::Sft, Some(site.base), 6));
        assert_eq!((model.run_id, model.project_id), (Some(id), Some(site.project)));
        assert!(model.name.starts_with("sft-"));
        assert!(site.artifacts.verify(&model.artifact_hash).unwrap());
        let events = site.events(id).await;
        assert_eq!(events.iter().map(|event| event.sequence).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(events[1].event["metrics"]["loss"], 2.5);
        assert!(!site.artifacts.run_folder(id).exists(), "checkpoints are removed");
    }
}

on_both_databases! {
    async fn a_run_whose_child_gives_up_is_failed_with_its_words(test: TestDb) {
        let site = Site::new(test).await;
        let id = site.queue().await;
        let worker = site.worker("a", "echo 'Error: no rows are left' >&2; exit 1\n", LEASE).await;
        worker.work(never(), true, Duration::ZERO).await.unwrap();

        let run = site.run(id).await;
        assert_eq!((run.status, run.error.as_deref()), (Status::Failed, Some("no rows are left")));
        assert!(run.finished_at.is_some());
        assert!(!site.artifacts.run_folder(id).exists(), "what was half done is removed");
    }
}

on_both_databases! {
    async fn a_child_that_is_killed_is_tried_again_and_not_for_ever(test: TestDb) {
        let site = Site::new(test).await;
        let id = site.queue().await;
        let worker = site.worker("a", "kill -9 $$\n", LEASE).await;
        let mut statuses = Vec::new();
        for _ in 0..7 {
            worker.work(never(), true, Duration::ZERO).await.unwrap();
            statuses.push(site.run(id).await.status);
        }
        // The first attempt got to step 1, the five after it no further.
        assert_eq!(statuses, [[Status::Interrupted; 6].as_slice(), &[Status::Failed]].concat());
        let error = site.run(id).await.error.unwrap();
        assert!(error.contains("killed 5 times in a row without getting past step 1"), "{error}");
    }
}

on_both_databases! {
    async fn a_worker_that_slept_through_its_lease_writes_nothing(test: TestDb) {
        let site = Site::new(test).await;
        let id = site.queue().await;
        let sleeper = site.worker("sleeper", SUCCEED, Duration::from_millis(50)).await;
        let held = sleeper.claim().await.unwrap().unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
        let heir = site.worker("heir", SUCCEED, LEASE).await;
        let taken = heir.claim().await.unwrap().expect("the lease has run out");
        assert_eq!((taken.id, taken.attempt), (id, 2));

        let ended = sleeper.execute(&held, never()).await;
        assert!(matches!(ended, Ended::Fenced), "{ended:?}");
        let run = site.run(id).await;
        assert_eq!((run.status, run.worker.as_deref()), (Status::Claimed, Some("heir")));
        assert!(site.events(id).await.is_empty());

        let ended = heir.execute(&taken, never()).await;
        assert!(matches!(ended, Ended::Succeeded), "{ended:?}");
        assert!(site.events(id).await.iter().all(|event| event.attempt == 2));
    }
}

on_both_databases! {
    async fn a_run_stops_when_a_person_asks(test: TestDb) {
        let site = Site::new(test).await;
        let id = site.queue().await;
        let worker = site.worker("a", HANG, Duration::from_secs(6)).await;
        let working = tokio::spawn(async move { worker.work(never(), true, Duration::ZERO).await });
        site.until(id, Status::Running).await;
        let change = run::ActiveModel { id: Set(id), cancel_requested: Set(true), ..Default::default() };
        change.update(&site.db).await.unwrap();
        working.await.unwrap().unwrap();
        assert_eq!(site.run(id).await.status, Status::Cancelled);
    }
}

on_both_databases! {
    async fn a_worker_that_is_asked_to_stop_leaves_its_run_to_the_next(test: TestDb) {
        let site = Site::new(test).await;
        let id = site.queue().await;
        let worker = site.worker("a", HANG, LEASE).await;
        let (stop, stopped) = watch::channel(false);
        let working = tokio::spawn(async move { worker.work(stopped, false, Duration::from_millis(10)).await });
        site.until(id, Status::Running).await;
        stop.send_replace(true);
        working.await.unwrap().unwrap();
        let run = site.run(id).await;
        assert_eq!((run.status, run.worker), (Status::Interrupted, None));

        let next = site.worker("b", SUCCEED, LEASE).await;
        next.work(never(), true, Duration::ZERO).await.unwrap();
        let run = site.run(id).await;
        assert_eq!((run.status, run.attempt), (Status::Succeeded, 2), "{:?}", run.error);
    }
}

on_both_databases! {
    async fn when_a_worker_is_killed_its_child_ends_and_the_next_worker_resumes(test: TestDb) {
        let site = Site::new(test).await;
        let id = site.queue().await;
        let note = "echo $$ > \"$out/pid\"; echo checkpoint > \"$out/kept\"\n";
        let child = site.script("killed", &format!("{note}{HANG}"));
        let artifacts = site.test.folder.path().join("artifacts");
        let (artifacts, child) = (artifacts.to_str().unwrap(), child.to_str().unwrap());
        let arguments = ["worker", "--database-url", &site.test.url, "--artifacts", artifacts, "--child", child, "--lease-seconds", "2"];
        let mut worker = Leash::start(&binaries::trainer(), arguments, |command| command);
        let first = site.artifacts.run_folder(id).join("1/output");
        let started = Instant::now();
        while !first.join("kept").exists() {
            assert!(started.elapsed() < PATIENCE, "the run is begun");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let pid = fs::read_to_string(first.join("pid")).unwrap();
        worker.kill();

        let next = site.worker("next", &format!("test -e \"$out/kept\" || exit 1\nrm \"$out/pid\" \"$out/kept\"\n{SUCCEED}"), LEASE).await;
        let (_stop, stopped) = watch::channel(false);
        let working = tokio::spawn(async move { next.work(stopped, false, Duration::from_millis(50)).await });
        let run = site.until(id, Status::Succeeded).await;
        working.abort();
        assert_eq!(run.attempt, 2);
        assert!(!Path::new("/proc").join(pid.trim()).exists(), "the killed worker's child has ended");
    }
}
