//! Rules of the house that no compiler checks.

mod addresses;
mod crates;
mod modules;
mod promises;
mod readability;
mod scripts;
mod styles;
mod templates;
mod writes;

use crate::support::binaries::root;
use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// Rust files of the project: path from its root, and text.
fn rust_files() -> Vec<(PathBuf, String)> {
    let mut files = Vec::new();
    for crate_folder in ["annotator", "trainer", "migrations", "tests"] {
        collect(&root().join(crate_folder), "rs", &mut files);
    }
    assert!(files.len() > 80, "only {} files were found", files.len());
    files
}

fn collect(folder: &Path, extension: &str, files: &mut Vec<(PathBuf, String)>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, extension, files);
        } else if path.extension().is_some_and(|found| found == extension) {
            let text = std::fs::read_to_string(&path).expect("a text");
            files.push((path.strip_prefix(root()).expect("inside").to_owned(), text));
        }
    }
}

/// The packages that a package's normal and build dependencies bring in.
fn dependencies(package: &str) -> String {
    let output = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--locked",
            "--offline",
            "--edges",
            "normal,build",
            "--prefix",
            "none",
            "--package",
            package,
        ])
        .current_dir(root())
        .output()
        .expect("cargo starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn the_annotator_never_links_libtorch() {
    let of_annotator = dependencies("annotator");
    assert!(of_annotator.lines().any(|line| line.starts_with("actix-web ")), "{of_annotator}");
    for name in ["tch ", "torch-sys ", "trainer ", "candle-core "] {
        assert!(
            !of_annotator.lines().any(|line| line.starts_with(name)),
            "the annotator depends on {name}"
        );
    }
    let of_trainer = dependencies("trainer");
    assert!(
        of_trainer.lines().any(|line| line.starts_with("torch-sys ")),
        "the test finds what is there"
    );
    assert!(
        !of_trainer.lines().any(|line| line.starts_with("annotator ")),
        "the trainer depends on the annotator"
    );
}

#[test]
fn no_file_outgrows_a_readers_patience() {
    // A whole algorithm, read top to bottom, may take 500 lines; everything else 400.
    let algorithms = ["trainer/src/algorithms/ppo.rs", "trainer/src/math/ops.rs"];
    for (path, text) in rust_files() {
        let path = path.to_str().expect("a plain path");
        let limit = if algorithms.contains(&path) { 500 } else { 400 };
        let n_lines = text.lines().count();
        assert!(n_lines <= limit, "{path} has {n_lines} lines, more than {limit}");
    }
}

#[test]
fn unsafe_code_is_in_the_two_files_that_call_c() {
    let files = ["trainer/src/ffi.rs", "migrations/storage/src/sqlite_settings.rs"];
    let keyword = ["un", "safe"].concat();
    let is_code = |line: &&str| {
        let code = line.split("//").next().unwrap_or_default();
        code.split(|letter: char| !letter.is_alphanumeric() && !"_-".contains(letter))
            .any(|word| word == keyword)
    };
    for (path, text) in rust_files() {
        let found: Vec<&str> = text.lines().filter(is_code).collect();
        let is_one_of_them = files.iter().any(|file| path == Path::new(file));
        assert_eq!(!found.is_empty(), is_one_of_them, "{}: {found:?}", path.display());
    }
}

#[test]
fn the_golden_numbers_are_there() {
    for name in [
        "ops.json",
        "tiny_llama_golden.json",
        "trl_sft_trace.json",
        "trl_reward_trace.json",
        "trl_ppo_trace.json",
        "trl_group_losses.json",
    ] {
        let path = root().join("trainer/fixtures").join(name);
        assert!(
            path.metadata().is_ok_and(|file| file.len() > 1000),
            "{} is missing",
            path.display()
        );
    }
    let uses = |name: &str| {
        rust_files().iter().any(|(path, text)| path.starts_with("trainer") && text.contains(name))
    };
    for name in ["ops.json", "tiny_llama_golden", "trl_sft", "trl_reward", "trl_ppo", "trl_group"] {
        assert!(uses(name), "no test of the trainer reads {name}");
    }
}
