//! Against PEFT (`fixtures/make_peft.py`), and folders in and out.

use super::*;
use crate::{
    fixtures::{adapter_settings, fixture, fixture_path, fresh_adapters, numbers},
    model::{PackedBatch, Transformer, save},
};
use entity::run_config::LoraSettings;
use serde_json::{Map, Value, json};
use std::fs;

fn to_train(folder: &Path, lora: &LoraSettings) -> Result<Transformer> {
    Transformer::load_to_train(folder, lora, 42, Kind::Float, Device::Cpu)
}

/// (T, V)
fn logits(model: &Transformer, ids: &[i64]) -> Tensor {
    let _guard = tch::no_grad_guard();
    model.lm_logits(&model.hidden(&PackedBatch::new(&[ids], Device::Cpu)))
}

fn assert_as_peft(model: &Transformer) {
    let golden = fixture("peft_trace.json");
    for (ids, of) in
        golden["ids"].as_array().unwrap().iter().zip(golden["logits"].as_array().unwrap())
    {
        let ids: Vec<i64> = serde_json::from_value(ids.clone()).unwrap();
        let own = logits(model, &ids);
        let last = Tensor::from_slice(&numbers(&of["last"])).to_kind(Kind::Float);
        let difference = (own.get(ids.len() as i64 - 1) - last).abs().max().double_value(&[]);
        assert!(difference < 1e-4, "{difference}");
        for (place, sums) in of["sums"].as_array().unwrap().iter().enumerate() {
            let norm = own.get(place as i64).norm().double_value(&[]);
            assert!((norm - sums[1].as_f64().unwrap()).abs() < 1e-3, "position {place}");
        }
    }
}

#[test]
fn a_model_with_pefts_adapters_answers_as_in_peft_merged_or_not() {
    let folder = fixture_path("peft_tiny_llama");
    assert_as_peft(&Transformer::load_frozen(&folder, Kind::Float, Device::Cpu).unwrap());
    let mut adapted = to_train(&folder, &adapter_settings()).unwrap();
    assert_as_peft(&adapted);

    let [apart, whole] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    save(&adapted, apart.path(), &Map::new()).unwrap();
    assert!(!apart.path().join("model.safetensors").exists());
    assert_as_peft(&Transformer::load(apart.path(), Kind::Float, Device::Cpu).unwrap());
    adapted.merge_when_saved();
    save(&adapted, whole.path(), &Map::new()).unwrap();
    assert!(!whole.path().join("adapter_config.json").exists());
    assert_as_peft(&Transformer::load(whole.path(), Kind::Float, Device::Cpu).unwrap());
}

#[test]
fn fresh_adapters_change_nothing_and_only_they_learn() {
    let (ids, tiny) = ([5, 9, 300, 7], fixture_path("tiny_llama"));
    let base = Transformer::load_frozen(&tiny, Kind::Float, Device::Cpu).unwrap();
    let adapted =
        to_train(&tiny, &LoraSettings { lora_rank: 2, ..LoraSettings::default() }).unwrap();
    assert_eq!(logits(&base, &ids), logits(&adapted, &ids));
    let learning = adapted.trainable();
    assert!(learning.iter().all(|parameter| parameter.name.contains(".lora_")), "only adapters");
    assert_eq!(learning.len(), 2 * 7 * base.config.n_layers as usize);
    let all = to_train(&tiny, &LoraSettings::default()).unwrap();
    assert_eq!(all.trainable().len(), all.parameters().len());
}

#[test]
fn adapters_are_trained_further_in_their_own_shape_only() {
    let start = fresh_adapters(None);
    assert!(to_train(start.path(), &adapter_settings()).is_ok());
    for lora in [
        LoraSettings { lora_rank: 8, ..adapter_settings() },
        LoraSettings { lora_alpha: 32.0, ..adapter_settings() },
    ] {
        let error = to_train(start.path(), &lora).unwrap_err().to_string();
        assert!(error.contains("--lora-rank 4 and --lora-alpha 8"), "{error}");
    }
}

#[test]
fn adapters_that_do_not_fit_or_are_of_another_kind_are_refused_by_name() {
    let refused = |change: &dyn Fn(&mut Value)| {
        let folder = fresh_adapters(None);
        let path = folder.path().join("adapter_config.json");
        let mut config = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        change(&mut config);
        fs::write(&path, config.to_string()).unwrap();
        Transformer::load(folder.path(), Kind::Float, Device::Cpu).unwrap_err().to_string()
    };
    for (key, value, named) in [
        ("peft_type", json!("IA3"), "IA3"),
        ("use_dora", json!(true), "use_dora"),
        ("bias", json!("all"), "bias"),
        ("rank_pattern", json!({"q_proj": 8}), "rank_pattern"),
        ("layer_replication", json!([[0, 2]]), "layer_replication"),
        ("trainable_token_indices", json!([1]), "trainable_token_indices"),
        ("r", json!(5), "do not fit"),
        ("base_model_name_or_path", json!("org/model"), "org/model"),
        ("base_model_name_or_path", Value::Null, "which is no model folder"),
    ] {
        let error = refused(&|config| config[key] = value.clone());
        assert!(error.contains(named), "{key}: {error}");
    }
}
