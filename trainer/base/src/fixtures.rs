//! Numbers from transformers and TRL (`trainer/fixtures`), for tests.

use serde_json::Value;
use std::{fs, path::PathBuf};

/// The path of a file or folder of `trainer/fixtures`.
pub(crate) fn fixture_path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../fixtures").join(name)
}

/// A JSON file of `trainer/fixtures`, made by the script beside it.
pub(crate) fn fixture(name: &str) -> Value {
    let path = fixture_path(name);
    let text = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_slice(&text).unwrap()
}
