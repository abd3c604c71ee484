//! Rows of TRL's formats through `annotator import`, and out of `annotator export` again.

use crate::support::{
    app::{TestApp, Worker, clean},
    binaries,
    database::{TestDb, on_both_databases},
    trainer::{read_lines, write_lines},
};
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    path::Path,
    process::{Command, Output},
};

/// Runs `annotator …` on a database.
fn annotator(database: &TestDb, arguments: &[&str]) -> Output {
    let mut command = Command::new(binaries::annotator());
    let data = database.folder.path();
    let command = clean(&mut command).args(arguments).arg("--data-dir").arg(data);
    command.env("DATABASE_URL", &database.url).output().expect("the program starts")
}

fn must(database: &TestDb, arguments: &[&str]) -> String {
    let output = annotator(database, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// What is exported in a format.
fn exported(database: &TestDb, format: &str) -> Vec<Value> {
    let out = database.folder.path().join("out.jsonl");
    must(database, &["export", "--project", "Round trip", "--format", format, "--out", text(&out)]);
    read_lines(&out)
}

fn said(role: &str, content: &str) -> Value {
    json!([{"role": role, "content": content}])
}

/// Rows whose order is not promised, nor that of their keys.
fn as_set(rows: &[Value]) -> BTreeSet<String> {
    let sorted = |row: &Value| {
        let mut row = row.clone();
        row.sort_all_objects();
        row.to_string()
    };
    rows.iter().map(sorted).collect()
}

on_both_databases! {
    async fn what_is_imported_can_be_exported(database: TestDb) {
        let file = database.folder.path().join("rows.jsonl");
        let demonstrations = [
            json!({"prompt": said("user", "Кто живёт в норе?"), "completion": said("assistant", "Лиса.")}),
            json!({"prompt": "Once upon a time", "completion": " there was a fox."}),
            json!({"messages": [{"role": "user", "content": "Who is there?"}, {"role": "assistant", "content": "A fox."}]}),
        ];
        let preferences = [
            json!({"prompt": said("user", "Which?"), "chosen": said("assistant", "This one."), "rejected": said("assistant", "That.")}),
            json!({"prompt": "Two and two", "chosen": " is four.", "rejected": " is five."}),
        ];
        let alone = [json!({"prompt": said("user", "Nobody has answered this.")})];
        write_lines(&file, demonstrations.iter().chain(&preferences).chain(&alone).cloned());
        must(&database, &["import", "--project", "Round trip", text(&file)]);

        let answered = exported(&database, "trl-sft");
        let preferred = exported(&database, "trl-preference");

        assert_eq!((answered.len(), preferred.len()), (3, 2), "{answered:?} {preferred:?}");
        let completions: BTreeSet<&str> = ["Лиса.", " there was a fox.", "A fox."].into();
        for completion in completions {
            assert!(answered.iter().any(|row| row.to_string().contains(completion)), "{completion} in {answered:?}");
        }
        assert_eq!(as_set(&preferred), as_set(&preferences));

        // What came out goes in again and changes nothing.
        write_lines(&file, answered.iter().chain(&preferred).cloned());
        must(&database, &["import", "--project", "Round trip", text(&file)]);
        assert_eq!(as_set(&exported(&database, "trl-sft")), as_set(&answered));
        assert_eq!(as_set(&exported(&database, "trl-preference")), as_set(&preferred));
    }
}

on_both_databases! {
    async fn an_unknown_kind_of_row_is_refused_by_name(database: TestDb) {
        let file = database.folder.path().join("rows.jsonl");
        for (row, unknown) in [
            (json!({"instruction": "Say hello", "output": "Hello"}), "instruction"),
            (json!({"prompt": "Hello", "completion": "Hi", "label": true}), "label"),
        ] {
            write_lines(&file, [json!({"prompt": "Fine"}), row]);
            let output = annotator(&database, &["import", "--project", "Refused", text(&file)]);
            assert!(!output.status.success());
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(said.contains(unknown) && said.contains("line 2"), "{said}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_not_there_is_made() {
    let database = TestDb::sqlite().await;
    must(&database, &["migrate"]);
    must(&database, &["migrate"]);
    let made = must(&database, &["create-user", "--login", "anna", "--name", "Anna"]);
    assert!(!made.trim().is_empty(), "a one-time password is printed");
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a plain path")
}

#[test]
fn an_export_makes_no_database_where_there_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(binaries::annotator());
    let arguments = ["export", "--project", "Any", "--format", "trl-sft", "--out", "-"];
    let output = clean(&mut command).args(arguments).current_dir(folder.path()).output().unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains("there is no database in data; name its folder with --data-dir"),
        "{said}"
    );
    assert!(!folder.path().join("data").exists());
}

on_both_databases! {
    async fn many_who_export_at_once_take_turns_and_all_get_their_rows(database: TestDb) {
        let app = TestApp::start(database, Worker::None).await;
        let project = app.new_project("Asked at once").await;
        app.add_prompts(&project, ["Why?".to_owned()]).await;
        let anna = app.new_person(&project, "anna", &["annotator"]).await;
        let asked = anna.get(&format!("{project}/demonstrate")).await;
        anna.submit(asked.form(asked.url.path()).with("answer", "So it is.")).await;
        let file = format!("{project}/export/trl-sft.jsonl");
        let exports = futures_util::future::join_all((0..12).map(|_| app.admin.get(&file))).await;
        assert!(exports.iter().all(|export| export.html.contains("So it is.")));
    }
}
