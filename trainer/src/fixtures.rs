//! Numbers from PyTorch, transformers and TRL (`trainer/fixtures`), for tests.

use crate::tensor_file::write_tensors;
use serde_json::Value;
use std::{fs, path::PathBuf};
use tch::Tensor;
use tempfile::TempDir;

pub(crate) use crate::doctor::golden_numbers;

/// The path of a file or folder of `trainer/fixtures`.
pub(crate) fn fixture_path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name)
}

/// A JSON file of `trainer/fixtures`, made by the script beside it.
pub(crate) fn fixture(name: &str) -> Value {
    let path = fixture_path(name);
    let text = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_slice(&text).unwrap()
}

/// A list of numbers.
pub(crate) fn numbers(list: &Value) -> Vec<f64> {
    list.as_array().expect("a list").iter().map(|n| n.as_f64().expect("a number")).collect()
}

/// The families of `families.json`.
pub(crate) const FAMILIES: [&str; 3] = ["qwen2", "qwen3", "llama3"];

/// The model folder of a fixture that tells `config` and the shapes of the `parameters`, with the
/// tokenizer of tiny_llama.
pub(crate) fn model_folder(golden: &Value) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("config.json"), golden["config"].to_string()).unwrap();
    for file in ["tokenizer.json", "tokenizer_config.json", "generation_config.json"] {
        fs::copy(fixture_path("tiny_llama").join(file), folder.path().join(file)).unwrap();
    }
    let parameters = golden["parameters"].as_object().expect("names with shapes");
    let tensors: Vec<(String, Tensor)> = parameters
        .iter()
        .zip(0..)
        .map(|((name, shape), number)| {
            let shape: Vec<i64> = serde_json::from_value(shape.clone()).unwrap();
            let values = golden_numbers(number, shape.iter().product());
            let weight = Tensor::from_slice(&values).view(shape.as_slice());
            (name.clone(), if name.contains("norm") { weight + 1.0 } else { weight })
        })
        .collect();
    let file = folder.path().join("model.safetensors");
    write_tensors(&file, tensors.iter().map(|(name, weight)| (name.clone(), weight))).unwrap();
    folder
}
