//! Mistakes at the start: each is answered with one line that says where, what, and what to do.

use crate::support::{
    app::{Server, Worker, clean},
    binaries,
    database::{TestDb, is_root, on_both_databases},
};
use sea_orm::ConnectionTrait;
use std::{
    fs::{self, Permissions},
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Output, Stdio},
};

/// A program with the rights of an ordinary user: to root every file is writable.
fn ordinary(program: &Path) -> Command {
    let mut command = Command::new("timeout");
    command.arg("60");
    if is_root() {
        let powers = "-dac_override,-dac_read_search";
        command.args(["setpriv", "--bounding-set", powers, "--inh-caps", powers]);
    }
    command.arg(program);
    command
}

fn start(program: &Path, arguments: &[&str], url: Option<&str>) -> Output {
    let mut command = ordinary(program);
    clean(&mut command).args(arguments).envs(url.map(|url| ("DATABASE_URL", url)));
    tokio::task::block_in_place(|| {
        command.stdin(Stdio::null()).output().expect("the program starts")
    })
}

/// The one line that a program says before it gives up.
fn refusal(output: &Output) -> String {
    let (said, answer) =
        (String::from_utf8_lossy(&output.stderr), String::from_utf8_lossy(&output.stdout));
    assert_eq!(output.status.code(), Some(1), "{said}\n{answer}");
    assert_eq!(said.lines().count(), 1, "more than one line:\n{said}");
    assert_eq!(answer, "");
    said.trim_end().strip_prefix("error: ").unwrap_or_else(|| panic!("no error: {said}")).to_owned()
}

/// What `annotator serve` says instead of serving.
fn annotator(data: &Path, url: Option<&str>, more: &[&str]) -> String {
    let data = data.to_str().expect("a plain path");
    let serve = ["serve", "--worker", "none", "--listen", "127.0.0.1:0", "--data-dir", data];
    refusal(&start(&binaries::annotator(), &[&serve, more].concat(), url))
}

/// What `trainer worker` says instead of working.
fn trainer(url: &str, artifacts: &Path) -> String {
    let artifacts = artifacts.to_str().expect("a plain path");
    let worker = ["worker", "--once", "--artifacts", artifacts];
    refusal(&start(&binaries::trainer(), &worker, Some(url)))
}

fn migrate(database: &TestDb) {
    let data = database.folder.path().to_str().expect("a plain path");
    let output =
        start(&binaries::annotator(), &["migrate", "--data-dir", data], Some(&database.url));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn says(line: &str, parts: &[&str]) {
    for part in parts {
        assert!(line.contains(part), "{line:?} does not say {part:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_in_use_costs_nobody_the_first_password() {
    let database = TestDb::sqlite().await;
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let serve = ["serve", "--worker", "none", "--listen", &address, "--data-dir"];
    let data = database.folder.path().to_str().unwrap();
    let arguments = [&serve[..], &[data]].concat();
    let line = refusal(&start(&binaries::annotator(), &arguments, Some(&database.url)));
    says(&line, &[&address, "another program listens there already", "--listen"]);
    let server = tokio::task::block_in_place(|| Server::start(&database, Worker::None));
    assert!(server.first_password.is_some(), "the first start that works makes the account");
}

on_both_databases! {
    async fn a_database_of_a_newer_version_is_left_alone(database: TestDb) {
        migrate(&database);
        let rows = database.connect().await;
        let future = "INSERT INTO seaql_migrations (version, applied_at) VALUES ('m9999_future', 0)";
        rows.execute_unprepared(future).await.unwrap();
        let folder = database.folder.path();
        for line in [annotator(folder, Some(&database.url), &[]), trainer(&database.url, folder)] {
            says(&line, &["newer version of Attune", "m9999_future", "start that version"]);
        }
    }
}

on_both_databases! {
    async fn a_worker_before_the_first_start_says_what_to_start(database: TestDb) {
        if let Some(file) = database.url.strip_prefix("sqlite://") {
            fs::write(file.split('?').next().unwrap(), "").unwrap();
        }
        let line = trainer(&database.url, database.folder.path());
        says(&line, &["not set up for this version", "annotator migrate"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_refused_and_not_repeated() {
    let Some(database) = TestDb::postgres().await else { return };
    let rows = database.connect().await;
    // `guarded` alone has to give a password here: see support/database.rs.
    let role = "CREATE ROLE guarded LOGIN SUPERUSER PASSWORD 'right'";
    rows.execute_unprepared(role).await.unwrap();
    let with = |password: &str| database.url.replace("postgres@", &format!("guarded:{password}@"));
    let folder = database.folder.path();
    let (wrong, server) = (with("zebra-7"), with("").split('@').nth(1).unwrap().to_owned());
    let server = server.split('/').next().unwrap();
    for line in [annotator(folder, Some(&wrong), &[]), trainer(&wrong, folder)] {
        says(&line, &[server, "does not let guarded in", "DATABASE_URL"]);
        assert!(!line.contains("zebra"), "{line}");
    }
    let data = folder.to_str().unwrap();
    let right =
        start(&binaries::annotator(), &["migrate", "--data-dir", data], Some(&with("right")));
    assert!(right.status.success(), "{}", String::from_utf8_lossy(&right.stderr));
    let elsewhere = with("right").replace("/test_", "/nowhere_");
    let line = annotator(folder, Some(&elsewhere), &[]);
    says(&line, &[server, "no database nowhere_", "createdb"]);
    assert!(!line.contains("right@"), "{line}");
    drop(rows);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_postgresql_that_does_not_answer_is_named_without_the_password() {
    let folder = tempfile::tempdir().unwrap();
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("postgres://anna:zebra-7@{address}/attune");
    for line in [annotator(folder.path(), Some(&url), &[]), trainer(&url, folder.path())] {
        says(&line, &["no PostgreSQL answers", &address.to_string(), "start it", "DATABASE_URL"]);
        assert!(!line.contains("zebra"), "{line}");
    }
    let line = annotator(folder.path(), Some("mysql://anna:zebra-7@host/attune"), &[]);
    says(&line, &["sqlite://", "postgres://"]);
    assert!(!line.contains("zebra"), "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_no_database_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("attune.db");
    fs::write(&file, "Dear diary, ".repeat(1000)).unwrap();
    let url = format!("sqlite://{}", file.display());
    for line in [annotator(folder.path(), None, &[]), trainer(&url, folder.path())] {
        says(&line, &[file.to_str().unwrap(), "is not a SQLite database", "move it away"]);
    }
    assert!(fs::read_to_string(&file).unwrap().starts_with("Dear diary"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_cannot_be_written_to_is_named() {
    let database = TestDb::sqlite().await;
    migrate(&database);
    let folder = database.folder.path();
    let file = folder.join("attune.db");
    let artifacts = tempfile::tempdir().unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o444)).unwrap();
    let elsewhere = ["--artifacts", artifacts.path().to_str().unwrap()];
    for line in [
        annotator(folder, Some(&database.url), &elsewhere),
        trainer(&database.url, artifacts.path()),
    ] {
        says(&line, &[file.to_str().unwrap(), "cannot be written to", "writable for this user"]);
    }
    let line = annotator(folder, Some("sqlite:///nowhere/attune.db?mode=rwc"), &[]);
    says(&line, &["/nowhere/attune.db", "cannot be opened", "folder is missing"]);
    let line = annotator(Path::new("/dev/null/data"), None, &[]);
    says(&line, &["/dev/null/data", "cannot make the data folder", "--data-dir"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_artifacts_folder_that_cannot_be_written_to_is_named() {
    let database = TestDb::sqlite().await;
    migrate(&database);
    let folder = database.folder.path();
    let artifacts = folder.join("artifacts");
    fs::create_dir_all(artifacts.join("incoming")).unwrap();
    for locked in [artifacts.join("incoming"), artifacts.clone()] {
        fs::set_permissions(locked, Permissions::from_mode(0o555)).unwrap();
    }
    for line in [annotator(folder, Some(&database.url), &[]), trainer(&database.url, &artifacts)] {
        says(&line, &[artifacts.to_str().unwrap(), "cannot write to", "writable", "--artifacts"]);
    }
}
