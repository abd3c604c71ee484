//! The precision of the model that a run writes at its end.

use super::*;
use crate::tensor_file::read_tensors;
use entity::run_config::SaveDtype;
use std::collections::HashMap;
use tch::Tensor;

fn config(save_dtype: SaveDtype, lora: LoraSettings) -> SftConfig {
    let mut config = traced(&fixture("trl_sft_trace.json")["messages"]);
    config.optimisation.max_steps = 4;
    config.optimisation.save_dtype = save_dtype;
    SftConfig { lora, ..config }
}

/// The weights, the config.json and the bytes of a finished run.
fn written(out: &Path, file: &str) -> (HashMap<String, Tensor>, Value, u64) {
    let text = fs::read(out.join("config.json")).unwrap_or_else(|_| b"{}".to_vec());
    let weights = read_tensors(&out.join(file)).unwrap();
    (weights, serde_json::from_slice(&text).unwrap(), fs::metadata(out.join(file)).unwrap().len())
}

fn assert_rounded(exact: &HashMap<String, Tensor>, rounded: &HashMap<String, Tensor>) {
    assert_eq!(exact.len(), rounded.len());
    for (name, exact) in exact {
        let rounded = &rounded[name];
        assert_eq!((exact.kind(), rounded.kind()), (Kind::Float, Kind::BFloat16), "{name}");
        assert!(exact.to_kind(Kind::BFloat16).equal(rounded), "{name}");
    }
}

#[test]
fn a_run_that_goes_on_writes_the_rounded_weights_of_one_that_was_never_stopped() {
    let data = "trl_sft_data.jsonl";
    let [exact, rounded] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    run_until(&paths(data, exact.path()), &config(SaveDtype::F32, LoraSettings::default()), None);
    let exact = written(exact.path(), "model.safetensors");
    assert_eq!(exact.1["torch_dtype"], "float32");

    let stopped = config(SaveDtype::F32, LoraSettings::default());
    run_until(&paths(data, rounded.path()), &stopped, Some(2));
    let checkpoint = rounded.path().join("checkpoint-2");
    assert_eq!(written(&checkpoint, "model.safetensors").1["torch_dtype"], "float32");
    let goes_on = config(SaveDtype::Bf16, LoraSettings::default());
    run_until(&paths(data, rounded.path()), &goes_on, None);
    let rounded = written(rounded.path(), "model.safetensors");
    assert_rounded(&exact.0, &rounded.0);
    assert_eq!(rounded.1["torch_dtype"], "bfloat16");
    assert!(rounded.1.get("dtype").is_none(), "one name alone");
    assert!(rounded.2 < exact.2 * 6 / 10, "{} of {} bytes", rounded.2, exact.2);
}

#[test]
fn a_checkpoint_of_a_run_that_ends_in_bf16_keeps_every_bit() {
    let out = tempfile::tempdir().unwrap();
    let config = config(SaveDtype::Bf16, LoraSettings::default());
    run_until(&paths("trl_sft_data.jsonl", out.path()), &config, Some(2));
    let (weights, config, _) = written(&out.path().join("checkpoint-2"), "model.safetensors");
    assert!(weights.values().all(|weight| weight.kind() == Kind::Float));
    assert_eq!(config["torch_dtype"], "float32");
}

#[test]
fn adapters_are_rounded_too_and_a_model_in_bf16_stays_so_where_it_is_asked_for() {
    let [exact, rounded, kept, base] = [(); 4].map(|()| tempfile::tempdir().unwrap());
    let data = "trl_sft_data.jsonl";
    run_until(&paths(data, exact.path()), &config(SaveDtype::F32, adapter_settings()), None);
    run_until(&paths(data, rounded.path()), &config(SaveDtype::Bf16, adapter_settings()), None);
    let file = "adapter_model.safetensors";
    assert_rounded(&written(exact.path(), file).0, &written(rounded.path(), file).0);

    // From a model in bf16.
    let mut model =
        Transformer::load(&fixture_path("tiny_llama"), Kind::Float, Device::Cpu).unwrap();
    model.save_in(SaveDtype::Auto);
    assert_eq!(model.saved_kind, Kind::Float, "tiny_llama is in f32");
    model.save_in(SaveDtype::Bf16);
    model::save(&model, base.path(), &Map::new()).unwrap();
    let paths = SftPaths { model: base.path().into(), ..paths(data, kept.path()) };
    run_until(&paths, &config(SaveDtype::Auto, LoraSettings::default()), None);
    assert_eq!(written(kept.path(), "model.safetensors").1["torch_dtype"], "bfloat16");
}
