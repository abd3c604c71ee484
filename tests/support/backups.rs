//! `annotator backup` and `restore` as somebody at a shell, and what came of them.

use super::{app::clean, binaries, database::TestDb};
use annotator::keeping::backup;
use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, Statement};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

/// Runs a verb of `annotator` on a database; its flags come first.
pub(crate) fn annotator(database: &TestDb, arguments: &[&str]) -> Output {
    let mut command = Command::new(binaries::annotator());
    clean(&mut command)
        .args(arguments)
        .args(["--database-url", &database.url, "--data-dir"])
        .arg(database.folder.path())
        .stdin(Stdio::null());
    tokio::task::block_in_place(|| command.output()).expect("the program starts")
}

/// The same, which must succeed; what it prints.
pub(crate) fn done(database: &TestDb, arguments: &[&str]) -> String {
    let output = annotator(database, arguments);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {said}");
    String::from_utf8(output.stdout).expect("text")
}

/// The same, which must be refused; the one line that says why.
pub(crate) fn refused(database: &TestDb, arguments: &[&str]) -> String {
    let output = annotator(database, arguments);
    let said = String::from_utf8(output.stderr).expect("text");
    assert!(!output.status.success(), "{arguments:?} was done");
    assert_eq!(said.lines().count(), 1, "more than one line:\n{said}");
    said
}

/// Another database of each kind that there is.
pub(crate) async fn elsewhere() -> Vec<TestDb> {
    [Some(TestDb::sqlite().await), TestDb::postgres().await].into_iter().flatten().collect()
}

/// Every row by table: alike on both databases, which write JSON in their own ways.
pub(crate) async fn rows_of(db: &DatabaseConnection) -> BTreeMap<String, Vec<Value>> {
    let place = tempfile::tempdir().expect("a temporary folder");
    let folder = place.path().join("rows");
    let manifest = backup::write(db, None, &folder).await.expect("the rows are read");
    let rows = |table: &String| {
        let text =
            fs::read_to_string(folder.join(format!("tables/{table}.jsonl"))).expect("a file");
        text.lines().map(|line| parsed(serde_json::from_str(line).expect("JSON"))).collect()
    };
    manifest.tables.keys().map(|table| (table.clone(), rows(table))).collect()
}

/// A row whose columns of JSON are read.
fn parsed(row: Value) -> Value {
    let Value::Object(fields) = row else { panic!("a row is an object: {row}") };
    let read = |value: Value| match value.as_str().map(serde_json::from_str::<Value>) {
        Some(Ok(json @ (Value::Array(_) | Value::Object(_)))) => json,
        _ => value,
    };
    fields.into_iter().map(|(name, value)| (name, read(value))).collect()
}

/// The path as text.
pub(crate) fn shown(path: &Path) -> &str {
    path.to_str().expect("a plain path")
}

/// The files below a folder in which one of the words stands.
pub(crate) fn files_with(folder: &Path, words: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files_with(&path, words));
        } else {
            let bytes = fs::read(&path).unwrap_or_default();
            let has =
                |words: &&str| bytes.windows(words.len()).any(|part| part == words.as_bytes());
            if words.iter().any(has) {
                found.push(path);
            }
        }
    }
    found
}

/// Every file that holds words of a database and its artifacts: of PostgreSQL the server's own.
pub(crate) async fn places_with(database: &TestDb, words: &[&str]) -> Vec<PathBuf> {
    let rows = database.connect().await;
    let mut places = files_with(&database.folder.path().join("artifacts"), words);
    for name in ["attune.db", "attune.db-wal"] {
        let bytes = fs::read(database.folder.path().join(name)).unwrap_or_default();
        if words.iter().any(|words| bytes.windows(words.len()).any(|part| part == words.as_bytes()))
        {
            places.push(name.into());
        }
    }
    if rows.get_database_backend() == DbBackend::Postgres {
        rows.execute_unprepared("CHECKPOINT").await.unwrap();
        let sql = "SELECT current_setting('data_directory') || '/base/' || oid AS folder \
             FROM pg_database WHERE datname = current_database()";
        let row = rows.query_one_raw(Statement::from_string(DbBackend::Postgres, sql)).await;
        let folder: String = row.unwrap().unwrap().try_get("", "folder").unwrap();
        for file in files_with(Path::new(&folder), words) {
            let node = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let node = node.split('.').next().unwrap_or_default();
            let sql = format!("SELECT pg_filenode_relation(0, {node})::regclass::text AS name");
            let sql = Statement::from_string(DbBackend::Postgres, sql);
            let row = rows.query_one_raw(sql).await.unwrap().unwrap();
            let table: Option<String> = row.try_get("", "name").unwrap();
            places.push(table.map_or(file, PathBuf::from));
        }
    }
    places
}
