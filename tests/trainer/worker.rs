//! Workers on a real database. The child is a script where the training itself is not the matter.

mod clocks;
mod site;

use crate::support::{binaries, database::on_both_databases, leash::Leash};
use entity::{
    model,
    report::{LogLevel, RunReport},
    run::{self, RunStatus},
};
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ConnectionTrait, DatabaseConnection, DbBackend, EntityTrait,
};
use site::{HANG, PATIENCE, SUCCEED, Site, never};
use std::{
    collections::HashSet,
    fs,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};
use tokio::sync::watch;
use trainer_base::worker::RunEnding;

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
        assert_eq!((run.status, run.attempt, run.progress), (RunStatus::Succeeded, 1, 1.0), "{:?}", run.error);
        assert_eq!((run.step, run.n_steps, run.tokens_per_second), (1, 2, Some(7.5)));
        assert_eq!(run.summary.unwrap()["tokens"], 20);
        let model = model::Entity::find_by_id(run.output_model_id.unwrap()).one(&site.db).await.unwrap().unwrap();
        assert_eq!((model.kind, model.parent_id, model.n_parameters), (model::ModelKind::Sft, Some(site.base), 6));
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
    async fn a_model_may_say_byte_0(test: TestDb) {
        let site = Site::new(test).await;
        let id = site.queue().await;
        let says = r#"echo '{"event":"sample","step":1,"prompt":"p","completion":"a\u0000b","finish_reason":"stop","score":null}'
"#;
        let worker = site.worker("a", &format!("{says}{SUCCEED}"), LEASE).await;
        worker.work(never(), true, Duration::ZERO).await.unwrap();
        let run = site.run(id).await;
        assert_eq!(run.status, RunStatus::Succeeded, "{:?}", run.error);
        let events = site.events(id).await;
        let said = events.iter().find(|event| event.event["event"] == "sample").unwrap();
        assert_eq!(said.event["completion"], "a\u{FFFD}b");
    }
}

/// Makes the database refuse an event, as one that it cannot store would be.
async fn refuse_events_with(word: &str, db: &DatabaseConnection) {
    let sql = match db.get_database_backend() {
        DbBackend::Postgres => {
            format!("ALTER TABLE run_event ADD CHECK (event::text NOT LIKE '%{word}%')")
        }
        _ => format!(
            "CREATE TRIGGER refuse BEFORE INSERT ON run_event WHEN NEW.event LIKE '%{word}%' \
             BEGIN SELECT RAISE(ABORT, 'refused'); END"
        ),
    };
    db.execute_unprepared(&sql).await.unwrap();
}

on_both_databases! {
    async fn an_event_that_the_database_refuses_holds_up_no_other(test: TestDb) {
        let site = Site::new(test).await;
        refuse_events_with("monstrous", &site.db).await;
        let id = site.queue().await;
        let says = r#"echo '{"event":"sample","step":1,"prompt":"p","completion":"monstrous","finish_reason":"stop","score":null}'
echo '{"event":"metrics","metrics":{"step":2,"loss":2.0}}'
"#;
        let worker = site.worker("a", &format!("{says}{SUCCEED}"), LEASE).await;
        worker.work(never(), true, Duration::ZERO).await.unwrap();
        let run = site.run(id).await;
        assert_eq!((run.status, run.step), (RunStatus::Succeeded, 1), "{:?}", run.error);
        let events = site.events(id).await;
        let kinds: Vec<_> = events.iter().map(|event| event.event["event"].as_str().unwrap()).collect();
        assert_eq!(kinds, ["progress", "metrics", "log", "metrics"], "its place says that it was refused");

        let id = site.queue().await;
        let worker = site.worker("b", "echo 'Error: monstrous' >&2; exit 1\n", LEASE).await;
        worker.work(never(), true, Duration::ZERO).await.unwrap();
        let run = site.run(id).await;
        assert_eq!((run.status, run.error.as_deref()), (RunStatus::Failed, Some("monstrous")));
    }
}

on_both_databases! {
    async fn a_run_whose_child_gives_up_is_failed_with_its_words(test: TestDb) {
        let site = Site::new(test).await;
        let id = site.queue().await;
        let worker = site.worker("a", "echo 'Error: no rows are left' >&2; exit 1\n", LEASE).await;
        worker.work(never(), true, Duration::ZERO).await.unwrap();

        let run = site.run(id).await;
        assert_eq!((run.status, run.error.as_deref()), (RunStatus::Failed, Some("no rows are left")));
        assert!(run.finished_at.is_some());
        assert!(!site.artifacts.run_folder(id).exists(), "what was half done is removed");
    }
}

on_both_databases! {
    async fn what_a_child_says_of_its_failure_is_kept_with_its_key(test: TestDb) {
        let site = Site::new(test).await;
        let id = site.queue().await;
        let why = entity::message!("data-no-rows", "{file} has no rows", file = "train.jsonl");
        let line = serde_json::to_string(&RunReport::Failed { message: why.clone() }).unwrap();
        let script = format!("echo '{line}'; echo 'error: {why}' >&2; exit 1\n");
        let worker = site.worker("a", &script, LEASE).await;
        worker.work(never(), true, Duration::ZERO).await.unwrap();

        let run = site.run(id).await;
        assert_eq!((run.status, run.error.as_deref()), (RunStatus::Failed, Some("train.jsonl has no rows")));
        assert_eq!(run.failure(), Some(why.clone()));
        let last = site.events(id).await.pop().expect("its last event").event;
        let last: RunReport = serde_json::from_value(last).unwrap();
        assert_eq!(last, RunReport::Log { level: LogLevel::Error, message: why });
    }
}

on_both_databases! {
    async fn a_run_that_the_memory_does_not_suffice_for_is_given_up_at_the_third_attempt(test: TestDb) {
        let site = Site::new(test).await;
        let id = site.queue().await;
        let vmstat = site.test.folder.path().join("vmstat");
        let script = format!("echo oom_kill $(date +%s%N) > {}; kill -9 $$\n", vmstat.display());
        let worker = site.worker("a", &script, LEASE).await;
        fs::write(&vmstat, "oom_kill 0\n").unwrap();
        // The first attempt got to step 1, those after it no further.
        let statuses = site.statuses_after_attempts(&worker, id, 4).await;
        assert_eq!(statuses, [[RunStatus::Interrupted; 3].as_slice(), &[RunStatus::Failed]].concat());
        let error = site.run(id).await.error.unwrap();
        assert!(error.starts_with("The memory ran out"), "{error}");
        assert!(error.contains("attempt 3 in a row that did not get past step 1"), "{error}");
    }
}

on_both_databases! {
    async fn a_child_that_somebody_kills_is_tried_again_and_not_for_ever(test: TestDb) {
        let site = Site::new(test).await;
        let id = site.queue().await;
        fs::write(site.test.folder.path().join("vmstat"), "oom_kill 3\n").unwrap();
        let worker = site.worker("a", "kill -9 $$\n", LEASE).await;
        let statuses = site.statuses_after_attempts(&worker, id, 22).await;
        assert_eq!(statuses, [[RunStatus::Interrupted; 21].as_slice(), &[RunStatus::Failed]].concat());
        let error = site.run(id).await.error.unwrap();
        assert!(error.contains("killed 20 times in a row without getting past step 1"), "{error}");
    }
}

on_both_databases! {
    async fn a_worker_with_another_artifacts_folder_than_the_web_app_s_takes_no_run(test: TestDb) {
        let site = Site::new(test).await;
        let id = site.queue().await;
        let elsewhere = site.test.folder.path().join("elsewhere");
        let worker = Command::new(binaries::trainer())
            .args(["worker", "--once", "--database-url", &site.test.url, "--artifacts"])
            .arg(&elsewhere)
            .output()
            .unwrap();
        assert!(!worker.status.success());
        let said = String::from_utf8(worker.stderr).unwrap();
        assert!(said.contains("elsewhere holds no model of this database"), "{said}");
        assert_eq!(site.run(id).await.status, RunStatus::Queued);
        assert!(!elsewhere.exists(), "a mistyped folder is not made");
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
        assert!(matches!(ended, RunEnding::Fenced), "{ended:?}");
        let run = site.run(id).await;
        assert_eq!((run.status, run.worker.as_deref()), (RunStatus::Claimed, Some("heir")));
        assert!(site.events(id).await.is_empty());

        let ended = heir.execute(&taken, never()).await;
        assert!(matches!(ended, RunEnding::Succeeded), "{ended:?}");
        assert!(site.events(id).await.iter().all(|event| event.attempt == 2));
    }
}

on_both_databases! {
    async fn a_run_stops_when_a_person_asks(test: TestDb) {
        let site = Site::new(test).await;
        let id = site.queue().await;
        let worker = site.worker("a", HANG, Duration::from_secs(6)).await;
        let working = tokio::spawn(async move { worker.work(never(), true, Duration::ZERO).await });
        site.until(id, RunStatus::Running).await;
        let change = run::ActiveModel { id: Set(id), cancel_requested: Set(true), ..Default::default() };
        change.update(&site.db).await.unwrap();
        working.await.unwrap().unwrap();
        assert_eq!(site.run(id).await.status, RunStatus::Cancelled);
    }
}

on_both_databases! {
    async fn a_run_that_was_done_before_the_wish_to_stop_reached_it_is_kept(test: TestDb) {
        let site = Site::new(test).await;
        let id = site.queue().await;
        // As a process that is writing its result: it hears the signal and ends well all the same.
        let script = format!("trap '' TERM; sleep 1; {SUCCEED}");
        let worker = site.worker("a", &script, Duration::from_secs(6)).await;
        let working = tokio::spawn(async move { worker.work(never(), true, Duration::ZERO).await });
        site.until(id, RunStatus::Running).await;
        let change = run::ActiveModel { id: Set(id), cancel_requested: Set(true), ..Default::default() };
        change.update(&site.db).await.unwrap();
        working.await.unwrap().unwrap();
        let run = site.run(id).await;
        assert_eq!(run.status, RunStatus::Succeeded, "{:?}", run.error);
        assert!(run.output_model_id.is_some());
    }
}

on_both_databases! {
    async fn checkpoints_that_led_to_a_result_are_no_part_of_it(test: TestDb) {
        let site = Site::new(test).await;
        let id = site.queue().await;
        let script = format!("mkdir -p \"$out\"/checkpoint-1 \"$out\"/.checkpoint-2.unfinished; {SUCCEED}");
        let worker = site.worker("a", &script, LEASE).await;
        worker.work(never(), true, Duration::ZERO).await.unwrap();
        let made = site.run(id).await.output_hash.expect("a result");
        let files: HashSet<_> = fs::read_dir(site.artifacts.path(&made)).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(files, HashSet::from(["config.json".into(), "model.safetensors".into()]));
    }
}

on_both_databases! {
    async fn a_worker_that_is_asked_to_stop_leaves_its_run_to_the_next(test: TestDb) {
        let site = Site::new(test).await;
        let id = site.queue().await;
        let worker = site.worker("a", HANG, LEASE).await;
        let (stop, stopped) = watch::channel(false);
        let working = tokio::spawn(async move { worker.work(stopped, false, Duration::from_millis(10)).await });
        site.until(id, RunStatus::Running).await;
        stop.send_replace(true);
        working.await.unwrap().unwrap();
        let run = site.run(id).await;
        assert_eq!((run.status, run.worker), (RunStatus::Interrupted, None));

        let next = site.worker("b", SUCCEED, LEASE).await;
        next.work(never(), true, Duration::ZERO).await.unwrap();
        let run = site.run(id).await;
        assert_eq!((run.status, run.attempt), (RunStatus::Succeeded, 2), "{:?}", run.error);
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
        let run = site.until(id, RunStatus::Succeeded).await;
        working.abort();
        assert_eq!(run.attempt, 2);
        assert!(!Path::new("/proc").join(pid.trim()).exists(), "the killed worker's child has ended");
    }
}
