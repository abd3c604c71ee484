//! `annotator backup` and `restore` as somebody at a shell, and what came of them.

use super::{app::clean, binaries, database::TestDb};
use annotator::keeping::backup;
use sea_orm::DatabaseConnection;
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fs,
    path::Path,
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
