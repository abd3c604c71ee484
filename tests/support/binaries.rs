//! The two programs under test, built from this tree the first time a test asks for one.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
};

/// The workspace's folder.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests is a folder of the workspace")
}

pub(crate) fn annotator() -> PathBuf {
    program("annotator", "ATTUNE_ANNOTATOR")
}

pub(crate) fn trainer() -> PathBuf {
    program("trainer", "ATTUNE_TRAINER")
}

/// The variable names another one: a release build, where a trial is about speed or memory.
fn program(name: &str, variable: &str) -> PathBuf {
    std::env::var_os(variable).map_or_else(|| folder().join(name), PathBuf::from)
}

/// Cargo gives `CARGO_BIN_EXE_…` only to tests of the package that has the binary, so the tests
/// build them: with the profile and into the folder of this very test program.
fn folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let test = std::env::current_exe().expect("a test knows its own path");
        let folder = test.ancestors().nth(2).expect("target/PROFILE/deps/TEST").to_owned();
        let profile = match folder.file_name().and_then(|name| name.to_str()) {
            Some("debug") | None => "dev",
            Some(name) => name,
        };
        // The whole workspace and a test, so that the features are those of `cargo test --workspace`
        // and nothing is built twice.
        let mut cargo = Command::new(env!("CARGO"));
        // What cargo tells a running test about its package; ring's build script reads some of it
        // and would be built again, with everything that stands on it. Others look for
        // RUSTC_BOOTSTRAP, under which `make test` runs the tests to have their times.
        let told = [
            "CARGO_PKG_",
            "CARGO_MANIFEST_",
            "CARGO_CRATE_",
            "CARGO_PRIMARY_",
            "OUT_DIR",
            "RUSTC_BOOTSTRAP",
        ];
        for (name, _) in std::env::vars_os() {
            if name.to_str().is_some_and(|name| told.iter().any(|told| name.starts_with(told))) {
                cargo.env_remove(name);
            }
        }
        let built = cargo
            .args([
                "build",
                "--workspace",
                "--bin",
                "annotator",
                "--bin",
                "trainer",
                "--test",
                "attune",
            ])
            .args(["--profile", profile, "--target-dir"])
            .arg(folder.parent().expect("target"))
            .current_dir(root())
            .stdin(Stdio::null())
            .status()
            .expect("cargo starts");
        assert!(built.success(), "the programs under test do not build");
        folder
    })
}

/// A program of a test's own. Another process writes it: a file cannot be executed while a child of
/// another test still holds it open for writing.
pub(crate) fn script(path: &Path, content: &str) -> PathBuf {
    let text = path.with_extension("text");
    std::fs::write(&text, content).expect("a file");
    let made = Command::new("install").args(["-m", "755"]).arg(&text).arg(path).status();
    assert!(made.expect("install(1) starts").success());
    path.to_owned()
}
