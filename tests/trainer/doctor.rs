//! `trainer doctor`, as a person reads it and as a program does.

use crate::support::{app::clean, binaries};
use serde_json::Value;
use std::process::{Command, Output, Stdio};

fn doctor(arguments: &[&str]) -> Output {
    let mut command = Command::new(binaries::trainer());
    let command = clean(&mut command).arg("doctor").args(arguments).stdin(Stdio::null());
    command.output().expect("the trainer starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("text")
}

#[test]
fn a_machine_that_can_train_is_told_so_in_a_table() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = doctor(&["--artifacts", folder.path().to_str().expect("a plain path")]);
    let (table, said) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{table}\n{said}");
    for name in ["libtorch", "processor", "memory", "gpu", "speed", "bf16", "numbers", "artifacts"]
    {
        let is_row = |line: &&str| {
            let mut words = line.split_whitespace();
            let status = words.next();
            words.next() == Some(name) && matches!(status, Some("ok" | "warning"))
        };
        assert!(table.lines().any(|line| is_row(&line)), "no row {name}:\n{table}");
    }
    assert!(table.contains("2.11.0"), "{table}");
    let numbers = table.lines().filter(|line| line.contains("as PyTorch has them")).count();
    assert!(numbers >= 2, "f32 and bf16:\n{table}");
    assert!(table.contains("This machine can train"), "{table}");
}

#[test]
fn a_missing_folder_is_wrong_with_a_remedy_and_the_command_fails() {
    let output = doctor(&["--artifacts", "/nowhere/at/all"]);
    assert_eq!(output.status.code(), Some(1));
    let (table, said) = (text(&output.stdout), text(&output.stderr));
    let row = table.lines().position(|line| line.starts_with("WRONG    artifacts"));
    let row = row.unwrap_or_else(|| panic!("no row:\n{table}"));
    assert!(
        table.lines().nth(row).is_some_and(|line| line.contains("/nowhere/at/all is not there"))
    );
    let remedy = table.lines().nth(row + 1).unwrap_or_default();
    assert!(remedy.contains("mkdir -p /nowhere/at/all"), "{table}");
    assert!(!table.contains("This machine can train"), "{table}");
    assert!(said.contains("1 of") && said.contains("something wrong"), "{said}");
}

#[test]
fn a_program_gets_the_same_as_one_object() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let path = file.path().to_str().expect("a plain path");
    let output = doctor(&["--report", "json", "--artifacts", path]);
    assert_eq!(output.status.code(), Some(1));
    let told: Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
    assert_eq!((&told["kind"], &told["status"]), (&"doctor".into(), &"wrong".into()));
    let checks = told["checks"].as_array().expect("a list");
    let last = checks.last().expect("checks");
    assert_eq!(last["name"], "artifacts");
    assert_eq!(last["status"], "wrong");
    assert!(last["found"].as_str().is_some_and(|found| found.ends_with("is a file")), "{last}");
    assert!(last["remedy"].is_string(), "{last}");
    let libtorch = &checks[0];
    assert_eq!((&libtorch["name"], &libtorch["status"]), (&"libtorch".into(), &"ok".into()));
    assert!(libtorch["remedy"].is_null(), "{libtorch}");
}
