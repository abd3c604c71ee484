//! Rules of the house that no compiler checks.

mod crates;

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
    let algorithms = ["trainer/src/ppo.rs", "trainer/src/ops.rs"];
    for (path, text) in rust_files() {
        let path = path.to_str().expect("a plain path");
        let limit = if algorithms.contains(&path) { 500 } else { 400 };
        let n_lines = text.lines().count();
        assert!(n_lines <= limit, "{path} has {n_lines} lines, more than {limit}");
    }
}

#[test]
fn unsafe_code_is_in_one_file() {
    let keyword = ["un", "safe"].concat();
    let is_code = |line: &&str| {
        let code = line.split("//").next().unwrap_or_default();
        code.split(|letter: char| !letter.is_alphanumeric() && !"_-".contains(letter))
            .any(|word| word == keyword)
    };
    for (path, text) in rust_files() {
        if path != Path::new("trainer/src/ffi.rs") {
            let found: Vec<&str> = text.lines().filter(is_code).collect();
            assert!(found.is_empty(), "{}: {found:?}", path.display());
        }
    }
    let ffi = std::fs::read_to_string(root().join("trainer/src/ffi.rs")).unwrap();
    assert!(ffi.lines().any(|line| is_code(&line)), "the test finds what is there");
}

#[test]
fn templates_hold_no_script_and_no_style() {
    let mut templates = Vec::new();
    collect(&root().join("templates"), "html", &mut templates);
    assert!(templates.len() > 10, "only {} templates were found", templates.len());
    for (path, text) in templates {
        let path = path.display();
        for tag in text.split('<').skip(1) {
            let lower = tag.to_lowercase();
            let inline_script = lower.starts_with("script") && !lower.contains("src=");
            assert!(!inline_script, "{path} has an inline script");
            assert!(!lower.starts_with("style"), "{path} has a style element");
            let attributes = lower.split('>').next().unwrap_or_default();
            let is_inline = |name: &str| attributes.contains(&format!(" {name}=\""));
            for name in
                ["style", "onclick", "onload", "onsubmit", "onchange", "oninput", "onkeydown"]
            {
                assert!(!is_inline(name), "{path} has an inline {name}: <{attributes}>");
            }
        }
        assert!(!text.to_lowercase().contains("javascript:"), "{path} has a javascript: address");
    }
}

#[test]
fn every_form_that_posts_carries_the_sessions_token() {
    let mut templates = Vec::new();
    collect(&root().join("templates"), "html", &mut templates);
    let mut n_forms = 0;
    for (path, text) in templates {
        for form in text.split("<form").skip(1) {
            let form = form.split("</form>").next().unwrap_or_default();
            if form.contains("method=\"post\"") {
                n_forms += 1;
                // The macro writes the token into the forms of a task.
                let has_token =
                    form.contains("name=\"csrf\"") || form.contains("shared::hidden_fields(");
                assert!(has_token, "{} has a form without a token", path.display());
            }
        }
    }
    assert!(n_forms > 5, "only {n_forms} forms were found");
}

#[test]
fn the_golden_numbers_are_there() {
    for name in [
        "ops.json",
        "tiny_llama_golden.json",
        "trl_sft_trace.json",
        "trl_reward_trace.json",
        "trl_ppo_trace.json",
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
    for name in ["ops.json", "tiny_llama_golden", "trl_sft", "trl_reward", "trl_ppo"] {
        assert!(uses(name), "no test of the trainer reads {name}");
    }
}
