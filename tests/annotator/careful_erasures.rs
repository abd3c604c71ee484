//! What an erasure leaves alone, what it waits for and what not, and what it says before and after.

use super::{bench::Bench, erased_texts::keep};
use crate::support::{
    app::{Server, TestApp, Worker},
    backups::{annotator, done, elsewhere, refused, shown},
    builders::{add_model, add_run},
    database::on_both_databases,
    eventually,
};
use annotator::{
    data::dataset::{self, DatasetContents, PromptSelection},
    keeping::erasure::{
        ErasureOrder,
        finish::{self, Remains},
        texts,
    },
    training::stop,
};
use entity::{
    hash::sha256_hex,
    ids::RunId,
    run::{self, RunStatus},
    text,
    time::UnixMillis,
};
use reqwest::StatusCode;
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ConnectionTrait, DatabaseConnection, DbBackend, EntityTrait,
};
use std::{collections::BTreeSet, fs, time::Duration};
use storage::database::begin_write;

const PATIENCE: Duration = Duration::from_secs(60);

pub(super) async fn is_there(db: &DatabaseConnection, hash: &str) -> bool {
    text::Entity::find_by_id(hash).one(db).await.unwrap().unwrap().body.is_some()
}

/// What is left goes; other databases of the cluster may hold an earlier state.
async fn finished(bench: &Bench) {
    let done = async || {
        let remains = finish::finish(&bench.db, &bench.store).await.unwrap();
        (remains == Remains::Nothing).then_some(())
    };
    eventually(PATIENCE, done, || "something remains".to_owned()).await;
}

async fn run_of(db: &DatabaseConnection, id: RunId) -> run::Model {
    run::Entity::find_by_id(id).one(db).await.unwrap().unwrap()
}

/// A worker works on it, and has its lease until then.
async fn hold(db: &DatabaseConnection, id: RunId, until: UnixMillis) {
    let row = run::ActiveModel {
        id: Set(id),
        status: Set(RunStatus::Running),
        worker: Set(Some("far away".to_owned())),
        lease_expires_at: Set(Some(until)),
        ..<run::ActiveModel as Default>::default()
    };
    row.update(db).await.unwrap();
}

fn hours_ago() -> UnixMillis {
    UnixMillis::now().minus(Duration::from_secs(2 * 60 * 60))
}

fn in_an_hour() -> UnixMillis {
    UnixMillis::now().plus(Duration::from_secs(60 * 60))
}

on_both_databases! {
    async fn a_backup_that_somebody_keeps_beside_the_copies_of_the_program_is_theirs(database: TestDb) {
        let app = TestApp::start(database, Worker::None).await;
        let project = app.new_project("Kept").await;
        let bench = Bench::beside(&app, &project).await;
        let copies = bench.store.safety_copies();
        let kept = ["monday/manifest.json", "before-upgrade-2026-11-27/manifest.json"];
        for file in kept.into_iter().chain(["before-m0013_erasure-1764000000000/tables/text.jsonl"]) {
            fs::create_dir_all(copies.join(file).parent().unwrap()).unwrap();
            fs::write(copies.join(file), "Words").unwrap();
        }
        fs::write(copies.join("before-m0014_names-1764000000001.db"), "Words").unwrap();
        let hash = keep(&app.rows, "Ignaz Quxtrop lives here").await;
        done(&app.database, &["erase", "--text", &hash, "--reason", "asked", "--yes"]);
        finished(&bench).await;
        let mut left: Vec<_> =
            fs::read_dir(&copies).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["before-upgrade-2026-11-27", "monday"]);
        assert!(kept.iter().all(|file| copies.join(file).exists()));

        let inside = [copies.join("tuesday"), app.database.folder.path().join("imports/tuesday")];
        for folder in inside {
            let said = refused(&app.database, &["backup", "--out", shown(&folder)]);
            assert!(said.contains("name a folder elsewhere"), "{said}");
            assert!(!folder.with_extension("partial").exists());
        }
    }
}

on_both_databases! {
    async fn a_run_whose_worker_is_gone_ends_when_it_is_cancelled(database: TestDb) {
        let app = TestApp::start(database, Worker::None).await;
        let project = app.new_project("Silent").await;
        let bench = Bench::beside(&app, &project).await;
        let cancel = async |until| {
            let id = add_run(&app.rows, bench.project).await;
            hold(&app.rows, id, until).await;
            let page = app.admin.get(&format!("{project}/runs/{id}")).await;
            app.admin.submit(page.form(&format!("{project}/runs/{id}/cancel"))).await;
            run_of(&app.rows, id).await
        };
        let silent = cancel(hours_ago()).await;
        assert_eq!(silent.status, RunStatus::Cancelled);
        assert!(silent.finished_at.is_some());
        let works = cancel(in_an_hour()).await;
        assert_eq!((works.status, works.cancel_requested), (RunStatus::Running, true));
        assert_eq!(stop::end_silent(&app.rows).await.unwrap(), 0);
        // Nobody asked this one to stop: another worker takes it.
        let waits = add_run(&app.rows, bench.project).await;
        hold(&app.rows, waits, hours_ago()).await;
        // Its worker dies before it hears of it.
        hold(&app.rows, works.id, hours_ago()).await;
        let ended = async || {
            let status = run_of(&app.rows, works.id).await.status;
            (status == RunStatus::Cancelled).then_some(())
        };
        eventually(PATIENCE, ended, || "it waits for its worker for ever".to_owned()).await;
        assert_eq!(run_of(&app.rows, waits).await.status, RunStatus::Running);
        app.forget_runs().await;
    }
}

on_both_databases! {
    async fn an_erasure_waits_for_a_run_that_works_and_not_for_one_whose_worker_is_gone(database: TestDb) {
        let bench = Bench::new(database).await;
        let db = &bench.db;
        let mut runs = Vec::new();
        let model = add_model(db, &bench.store, bench.project, "the-model").await;
        bench.prompt("Where does Ignaz Quxtrop live?").await;
        let contents = DatasetContents::Prompts(PromptSelection::All);
        let frozen = dataset::freeze(db, &bench.store, bench.project, contents).await.unwrap();
        let version = frozen.record(db, None).await.unwrap();
        for until in [in_an_hour(), hours_ago()] {
            let run = bench.queued_sample(model, version).await;
            hold(db, run, until).await;
            let folder = bench.store.run_folder(run);
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("prompts.jsonl"), "Ignaz Quxtrop").unwrap();
            runs.push(run);
        }
        let [works, silent] = runs[..] else { panic!("two runs") };
        let asked = entity::prompt::Entity::find().one(db).await.unwrap().unwrap();
        let order = ErasureOrder::now("asked", None);
        texts::erase(db, &bench.store, &[asked.text_hash], &order).await.unwrap();
        assert_eq!(run_of(db, silent).await.status, RunStatus::Cancelled);
        let working = run_of(db, works).await;
        assert_eq!((working.status, working.cancel_requested), (RunStatus::Running, true));
        assert_eq!(finish::finish(db, &bench.store).await.unwrap(), Remains::InUse);
        assert!(bench.store.run_folder(works).exists() && !bench.store.run_folder(silent).exists());
        // Now its worker is gone, too, and there is no web app to notice it.
        hold(db, works, hours_ago()).await;
        finished(&bench).await;
        assert_eq!(run_of(db, works).await.status, RunStatus::Cancelled);
        assert!(!bench.store.run_folder(works).exists());
    }
}

on_both_databases! {
    async fn what_is_erased_is_on_the_list_before_anybody_is_told(database: TestDb) {
        let app = TestApp::start(database, Worker::None).await;
        let project = app.new_project("Listed").await;
        let old = app.database.folder.path().join("old");
        done(&app.database, &["backup", "--rows-only", "--out", shown(&old)]);
        let list = app.database.folder.path().join("artifacts/erasures.jsonl");
        let hash = keep(&app.rows, "Ignaz Quxtrop lives here").await;
        let address = format!("/admin/erasures/texts/{hash}");
        let form = app.admin.get(&address).await.form(&address).with("reason", "asked");
        app.admin.submit(form).await;
        assert!(fs::read_to_string(&list).unwrap().contains(&hash));

        app.new_person(&project, "anna", &["annotator"]).await;
        let anna = annotator::people::accounts::find_by_login(&app.rows, "anna").await;
        let anna = anna.unwrap().unwrap().id.to_string();
        let form = app.admin.get(&format!("/admin/people/{anna}/erase")).await.form("/erase");
        app.admin.submit(form.with("reason", "She asked")).await;
        let noted = || {
            let list = fs::read_to_string(&list).unwrap();
            let of_anna = list.lines().filter(|line| line.contains(&anna));
            of_anna.map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(noted().len(), 1);
        assert!(noted()[0].contains("\"texts_left\":false"), "{:?}", noted());
        // Then what she wrote is to go, too: a restore must know it.
        let form = app.admin.get(&format!("/admin/people/{anna}/erase")).await.form("/erase");
        app.admin.submit(form.with("reason", "And the rest")).await;
        assert!(noted()[1].contains("\"texts_left\":true"), "{:?}", noted());
    }
}

on_both_databases! {
    async fn a_restore_that_leaves_no_administrator_says_so_and_what_to_do(database: TestDb) {
        let app = TestApp::start(database, Worker::None).await;
        let folder = |name: &str| app.database.folder.path().join(name);
        let (old, new) = (folder("old"), folder("new"));
        done(&app.database, &["backup", "--rows-only", "--out", shown(&old)]);
        done(&app.database, &["create-user", "--login", "berta", "--name", "Berta", "--admin"]);
        done(&app.database, &["erase", "--person", "admin", "--reason", "asked", "--yes"]);
        done(&app.database, &["backup", "--rows-only", "--out", shown(&new)]);
        let erasures = folder("artifacts/erasures.jsonl");
        for target in elsewhere().await {
            let said = done(&target, &["restore", shown(&new)]);
            assert!(!said.contains("create-user"), "{said}");
        }
        for target in elsewhere().await {
            let order = ["restore", shown(&old), "--erasures", shown(&erasures)];
            let said = done(&target, &order);
            assert!(said.contains("Nobody administers") && said.contains("create-user --admin"), "{said}");
            done(&target, &["create-user", "--admin", "--login", "carla", "--name", "Carla"]);
            drop(Server::start(&target, Worker::None));
        }
    }
}

on_both_databases! {
    async fn the_shell_shows_the_words_that_would_go(database: TestDb) {
        let app = TestApp::start(database, Worker::None).await;
        let project = app.new_project("Shown").await;
        app.add_prompts(&project, ["Who are you?".to_owned()]).await;
        let mut kept = BTreeSet::new();
        for n in 0..23 {
            kept.insert(keep(&app.rows, &format!("Number {n}: Ignaz Quxtrop.")).await);
        }
        let order = ["erase", "--containing", "quxtro", "--reason", "asked"];
        let told = done(&app.database, &order);
        assert_eq!(told.matches(": Ignaz Quxtrop.").count(), 20, "{told}");
        for words in ["and 3 more", "within longer ones", "Nothing was changed"] {
            assert!(told.contains(words), "{words}: {told}");
        }
        let copy = keep(&app.rows, "Number 1:  Ignaz Quxtrop. ").await;
        let text = sha256_hex("Number 1: Ignaz Quxtrop.");
        let told = done(&app.database, &["erase", "--text", &text, "--reason", "asked"]);
        assert!(told.contains("    Number 1: Ignaz Quxtrop.") && told.contains(&copy), "{told}");

        let anna = app.new_person(&project, "anna", &["annotator"]).await;
        let task = anna.get(&format!("{project}/demonstrate")).await;
        anna.submit(task.form(task.url.path()).with("answer", "I am Anna.")).await;
        let person = ["erase", "--person", "anna", "--with-texts", "--reason", "asked"];
        let told = done(&app.database, &person);
        assert!(told.contains("alone wrote: 1") && told.contains("I am Anna."), "{told}");

        let long = "x".repeat(1001);
        let said = refused(&app.database, &["erase", "--text", &text, "--reason", &long, "--yes"]);
        assert!(said.contains("1000 characters"), "{said}");
        let output = annotator(&app.database, &[&order[..], &["--yes"]].concat());
        let told = String::from_utf8(output.stdout).unwrap();
        assert!(!told.contains("Ignaz"), "what is gone stays in no log: {told}");
        for hash in kept {
            assert!(!is_there(&app.rows, &hash).await);
        }
    }
}

on_both_databases! {
    async fn a_page_whose_table_is_written_anew_asks_to_come_back(database: TestDb) {
        let app = TestApp::start(database, Worker::None).await;
        let hash = keep(&app.rows, "Ignaz Quxtrop lives here").await;
        let address = format!("/admin/erasures/texts/{hash}");
        let form = app.admin.get(&address).await.form(&address).with("reason", "asked");
        let held = begin_write(&app.rows).await.unwrap();
        if app.rows.get_database_backend() == DbBackend::Postgres {
            held.execute_unprepared("LOCK TABLE text IN ACCESS EXCLUSIVE MODE").await.unwrap();
            for path in [address.as_str(), "/admin/erasures?words=Quxtrop"] {
                let response = app.admin.ask("GET", path, &[]).await;
                assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE, "{path}");
                assert!(response.headers().contains_key("retry-after"), "{path}");
            }
        } else {
            app.admin.get(&address).await;
        }
        let refused = app.admin.try_submit(form).await;
        assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE, "{}", refused.text());
        held.rollback().await.unwrap();
        app.admin.submit(refused.form(&address)).await;
        assert!(!is_there(&app.rows, &hash).await);
    }
}
