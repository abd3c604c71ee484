//! The trainer's command line.

use super::{app::clean, binaries};
use serde_json::Value;
use std::{
    path::Path,
    process::{Command, Output, Stdio},
};

/// Runs `trainer …`; the summary that it prints last. Panics with what it said if it fails.
pub(crate) fn trainer<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Value {
    let output = output(arguments);
    let (stdout, stderr) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "the trainer failed:\n{stdout}\n{stderr}");
    let last = stdout.lines().last().expect("a summary");
    serde_json::from_str(last).unwrap_or_else(|error| panic!("{error} in the last line: {last}"))
}

/// Runs `trainer … --report json`; everything that it reports before the summary.
pub(crate) fn reports<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Vec<Value> {
    let output = output(arguments.into_iter().chain(["--report", "json"]));
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "the trainer failed:\n{stdout}");
    let lines = stdout.lines().map(|line| serde_json::from_str(line).expect("a JSON line"));
    lines.filter(|line: &Value| line.get("event").is_some()).collect()
}

/// Runs `trainer …`, which must not work; what it said.
pub(crate) fn refused<'a>(arguments: impl IntoIterator<Item = &'a str>) -> String {
    let output = output(arguments);
    assert!(!output.status.success(), "the trainer did it");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn output<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Output {
    let mut command = Command::new(binaries::trainer());
    let command = clean(&mut command).args(arguments).stdin(Stdio::null());
    command.output().expect("the trainer starts")
}

/// A file of JSON lines.
pub(crate) fn write_lines(path: &Path, rows: impl IntoIterator<Item = Value>) {
    let lines: String = rows.into_iter().map(|row| format!("{row}\n")).collect();
    std::fs::write(path, lines).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

pub(crate) fn read_lines(path: &Path) -> Vec<Value> {
    let text =
        std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.lines().map(|line| serde_json::from_str(line).expect("a JSON line")).collect()
}
