//! A backup is everything as it was at one moment, and is whole again in another place.

use super::erased_texts::keep;
use crate::support::{
    app::{Server, TestApp, Worker},
    backups::{done, elsewhere, refused, rows_of, shown},
    builders::{add_comparisons, add_frozen_judgement, add_model, add_run, make_old},
    database::{TestDb, on_both_databases},
    web::{Form, Visitor},
    world::Subject,
};
use annotator::keeping::deletion::sweep;
use entity::{
    artifact,
    ids::{ProjectId, RunId},
    run, session,
    time::UnixMillis,
};
use sea_orm::{ActiveModelTrait, ActiveValue::Set, ConnectionTrait, EntityTrait, PaginatorTrait};
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
};
use storage::artifact_store::ArtifactStore;

const ANSWER: &str = "Честный ответ, with \"quotes\" and\na second line.";

/// A project with something of everything, and a run that is under way.
struct Busy {
    app: TestApp,
    project: String,
    password: String,
    run: RunId,
}

impl Busy {
    async fn new(database: TestDb) -> Self {
        let app = TestApp::start(database, Worker::None).await;
        let project = app.new_project("Kept").await;
        let id: ProjectId = project.rsplit('/').next().unwrap().parse().unwrap();
        app.add_prompts(&project, Subject::all(3).into_iter().take(5).map(Subject::question)).await;
        let password = app.new_account(&project, "anna", &["annotator", "engineer"]).await;
        let anna = Visitor::new(&app.server.url);
        anna.sign_in("anna", &password).await;
        let task = anna.get(&format!("{project}/demonstrate")).await;
        let task = anna.submit(task.form(task.url.path()).with("answer", ANSWER)).await;
        let form = task.form(task.url.path()).with("answer", "Begun.");
        anna.submit(Form { action: format!("{}/draft", form.action), ..form }).await;
        add_comparisons(&app.rows, &project, [1, 2]).await;
        let store = store_of(&app.database);
        add_frozen_judgement(&app.rows, &store, id, "something").await;
        add_model(&app.rows, &store, id, "the-model").await;
        let run = add_run(&app.rows, id).await;
        let busy = Self { app, project, password, run };
        busy.set_status(run::RunStatus::Running).await;
        busy
    }

    async fn set_status(&self, status: run::RunStatus) {
        let row = run::ActiveModel {
            id: Set(self.run),
            status: Set(status),
            worker: Set(Some("far away".to_owned())),
            lease_expires_at: Set(Some(UnixMillis::now())),
            ..Default::default()
        };
        row.update(&self.app.rows).await.unwrap();
    }

    fn place(&self, name: &str) -> PathBuf {
        self.app.database.folder.path().join(name)
    }

    /// Takes a backup while the service runs; its folder.
    fn back_up(&self, name: &str) -> PathBuf {
        let out = self.place(name);
        done(&self.app.database, &["backup", "--out", shown(&out)]);
        out
    }

    async fn end(self) {
        self.set_status(run::RunStatus::Cancelled).await;
    }
}

fn store_of(database: &TestDb) -> ArtifactStore {
    ArtifactStore::open(database.folder.path().join("artifacts")).unwrap()
}

on_both_databases! {
    async fn everything_is_there_again_in_a_database_of_either_kind(database: TestDb) {
        let busy = Busy::new(database).await;
        let folder = busy.back_up("backup");
        assert!(session::Entity::find().count(&busy.app.rows).await.unwrap() > 0);
        let mut before = rows_of(&busy.app.rows).await;
        for row in before.get_mut("run").unwrap() {
            assert_eq!(row["status"], "running");
            (row["status"], row["worker"]) = ("interrupted".into(), Value::Null);
            row["lease_expires_at"] = Value::Null;
        }
        let artifacts = artifact::Entity::find().all(&busy.app.rows).await.unwrap();
        assert_eq!(artifacts.len(), 2);
        for target in elsewhere().await {
            let said = done(&target, &["restore", shown(&folder)]);
            assert!(said.contains("2 artifacts") && said.contains("1 runs"), "{said}");
            let rows = target.connect().await;
            let after = rows_of(&rows).await;
            for (table, rows) in &before {
                assert_eq!(after.get(table), Some(rows), "{table}");
            }
            assert_eq!(session::Entity::find().count(&rows).await.unwrap(), 0);
            for artifact in &artifacts {
                assert!(store_of(&target).verify(&artifact.hash).unwrap());
            }
            check_pages(&busy, &target).await;
        }
        busy.end().await;
    }
}

/// Everybody signs in as before, and finds their work.
async fn check_pages(busy: &Busy, target: &TestDb) {
    let server = tokio::task::block_in_place(|| Server::start(target, Worker::None));
    assert_eq!(server.first_password, None, "it is no first start");
    let anna = Visitor::new(&server.url);
    anna.sign_in("anna", &busy.password).await;
    let task = anna.get(&format!("{}/demonstrate", busy.project)).await;
    assert_eq!(task.form(task.url.path()).value("answer"), Some("Begun."));
    let page = anna.get(&format!("{}/runs/{}", busy.project, busy.run)).await;
    assert!(page.text().contains("Interrupted, will resume"), "{}", page.text());
    let models = anna.get(&format!("{}/models", busy.project)).await;
    assert!(models.text().contains("the-model"));
}

on_both_databases! {
    async fn a_backup_is_of_one_moment_whoever_writes_meanwhile(database: TestDb) {
        let busy = Busy::new(database).await;
        let is_over = AtomicBool::new(false);
        let writes = async {
            let mut n_rounds = 0;
            while !is_over.load(Ordering::Relaxed) {
                let prompts = (0..20).map(|n| format!("Question {n} of round {n_rounds}?"));
                busy.app.add_prompts(&busy.project, prompts).await;
                n_rounds += 1;
            }
            n_rounds
        };
        let backups = async {
            let database = &busy.app.database;
            let folders: Vec<_> = (0..3).map(|n| busy.place(&format!("backup-{n}"))).collect();
            for folder in &folders {
                done(database, &["backup", "--rows-only", "--out", shown(folder)]);
            }
            is_over.store(true, Ordering::Relaxed);
            folders
        };
        let (n_rounds, folders) = tokio::join!(writes, backups);
        assert!(n_rounds > 0);
        for folder in folders {
            // A row without what it refers to would be refused.
            done(&TestDb::sqlite().await, &["restore", shown(&folder)]);
        }
        busy.end().await;
    }
}

on_both_databases! {
    async fn what_is_not_whole_or_has_no_place_is_refused_before_anything_is_written(database: TestDb) {
        let busy = Busy::new(database).await;
        let folder = busy.back_up("backup");
        let again = refused(&busy.app.database, &["backup", "--out", shown(&folder)]);
        assert!(again.contains("is there already"), "{again}");
        let full = refused(&busy.app.database, &["restore", shown(&folder)]);
        assert!(full.contains("the database is not empty"), "{full}");
        for target in elsewhere().await {
            for (damage, complaint) in DAMAGES {
                let damaged = copy_of(&folder, &busy.place("damaged"));
                damage(&damaged);
                let said = refused(&target, &["restore", shown(&damaged)]);
                assert!(said.contains(complaint), "{said:?} does not say {complaint:?}");
                let tables = annotator::keeping::backup::tables::all(&target.connect().await).await;
                assert!(tables.unwrap().is_empty(), "{complaint}");
                fs::remove_dir_all(&damaged).unwrap();
            }
            done(&target, &["restore", shown(&folder)]);
        }
        busy.end().await;
    }
}

/// Does something to a folder.
type Damage = fn(&Path);

/// What may befall a backup, and what is said then.
const DAMAGES: [(Damage, &str); 4] = [
    (|folder| fs::remove_file(folder.join("manifest.json")).unwrap(), "is no whole backup"),
    (|folder| change(&folder.join("tables/text.jsonl")), "text.jsonl is not what"),
    (|folder| change(&a_file_below(&folder.join("artifacts")).unwrap()), "is not what"),
    (
        |folder| {
            let manifest = folder.join("manifest.json");
            let text = fs::read_to_string(&manifest).unwrap();
            fs::write(&manifest, text.replace("m0009_contract", "m9999_future")).unwrap();
        },
        "newer than this one (it does not know m9999_future)",
    ),
];

/// Turns one bit over, as a disk might.
fn change(file: &Path) {
    let mut bytes = fs::read(file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(file, bytes).unwrap();
}

/// One that has something in it.
fn a_file_below(folder: &Path) -> Option<PathBuf> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).find_map(|path| {
        if path.is_dir() {
            return a_file_below(&path);
        }
        (fs::metadata(&path).unwrap().len() > 0).then_some(path)
    })
}

fn copy_of(folder: &Path, to: &Path) -> PathBuf {
    storage::artifact_store::copy_folder(folder, to).unwrap();
    to.to_owned()
}

on_both_databases! {
    async fn an_artifact_that_is_being_copied_is_not_swept_away(database: TestDb) {
        let busy = Busy::new(database).await;
        let store = store_of(&busy.app.database);
        // Nothing needs it any more: the next sweep would remove it.
        busy.app.rows.execute_unprepared("UPDATE model SET deleted_at = 1").await.unwrap();
        let unneeded = sweep::unneeded_on_disk(&busy.app.rows, &store).await.unwrap();
        assert_eq!(unneeded.len(), 1);
        make_old(&store, &unneeded[0]);
        let folder = busy.back_up("backup");
        sweep::sweep(&busy.app.rows, &store, UnixMillis::now()).await.unwrap();
        assert!(store.path(&unneeded[0]).is_dir(), "whoever copied it had marked it");
        assert!(ArtifactStore::path_in(&folder.join("artifacts"), &unneeded[0]).is_dir());
        busy.end().await;
    }
}

/// What may befall the list of erasures in a backup.
const DAMAGES_OF_THE_LIST: [Damage; 3] = [
    |list| fs::remove_file(list).unwrap(),
    change,
    |list| {
        let text = fs::read_to_string(list).unwrap();
        fs::write(list, text.split_inclusive('\n').take(2).collect::<String>()).unwrap();
    },
];

on_both_databases! {
    async fn a_damaged_list_of_erasures_is_told_of_before_it_is_needed(database: TestDb) {
        let app = TestApp::start(database, Worker::None).await;
        let place = |name: &str| app.database.folder.path().join(name);
        let (list, out) = (place("artifacts/erasures.jsonl"), place("backup"));
        for n in 1..=3 {
            let hash = keep(&app.rows, &format!("Ignaz Quxtrop, number {n}")).await;
            done(&app.database, &["erase", "--text", &hash, "--reason", "asked", "--yes"]);
        }
        let whole = fs::read_to_string(&list).unwrap();
        let damaged = whole.replacen("\n{", "\n(", 1);
        fs::write(&list, &damaged).unwrap();
        let said = refused(&app.database, &["backup", "--out", shown(&out)]);
        for words in ["no backup was written", "line 2 of", "erasures.jsonl is no erasure"] {
            assert!(said.contains(words), "no {words:?}: {said}");
        }
        assert!(!said.contains("line 1"), "{said}");
        assert!(!out.exists() && !place("backup.partial").exists());

        fs::write(&list, &whole).unwrap();
        done(&app.database, &["backup", "--out", shown(&out)]);
        for target in elsewhere().await {
            for damage in DAMAGES_OF_THE_LIST {
                let copy = copy_of(&out, &place("damaged"));
                damage(&copy.join("erasures.jsonl"));
                let said = refused(&target, &["restore", shown(&copy)]);
                assert!(said.contains("erasures.jsonl is not what"), "{said}");
                assert!(said.contains("with --erasures"), "{said}");
                fs::remove_dir_all(&copy).unwrap();
            }
            let copy = copy_of(&out, &place("damaged"));
            fs::write(copy.join("erasures.jsonl"), &damaged).unwrap();
            let order = ["restore", shown(&copy), "--erasures", shown(&list)];
            let said = done(&target, &order);
            assert!(said.contains("was not used"), "{said}");
            let listed = target.folder.path().join("artifacts/erasures.jsonl");
            assert_eq!(fs::read_to_string(listed).unwrap(), whole);
            fs::remove_dir_all(&copy).unwrap();
        }
    }
}
