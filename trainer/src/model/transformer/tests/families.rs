//! Every family beside transformers, in numbers that `trainer/fixtures/make_families.py` made.

use super::*;
use crate::{
    answer::logprobs::{self},
    fixtures::{FAMILIES, fixture, golden_numbers, model_folder, numbers},
    math::optimizer::AdamW,
    model::{head, save},
    run::recording,
};
use serde_json::{Map, Value};
use std::fs;
use tempfile::TempDir;
use trainer_base::settings::{LogprobsPaths, MeasureConfig};

/// Each family's name, numbers and model folder.
fn families() -> impl Iterator<Item = (&'static str, Value, TempDir)> {
    let mut golden = fixture("families.json");
    FAMILIES.into_iter().map(move |family| {
        let golden = golden[family].take();
        let folder = model_folder(&golden);
        (family, golden, folder)
    })
}

fn load(folder: &TempDir) -> Transformer {
    Transformer::load(folder.path(), Kind::Float, Device::Cpu).unwrap()
}

fn rows(golden: &Value) -> Vec<Vec<i64>> {
    serde_json::from_value(golden["ids"].clone()).unwrap()
}

fn batch(rows: &[Vec<i64>]) -> PackedBatch {
    PackedBatch::new(&rows.iter().map(Vec::as_slice).collect::<Vec<_>>(), Device::Cpu)
}

fn lines_of(file: &Path) -> Vec<Value> {
    let text = fs::read_to_string(file).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn the_logprobs_verb_says_what_transformers_says() {
    let data = tempfile::NamedTempFile::with_suffix(".jsonl").unwrap();
    let rows_of_data = fixture("families.json")["rows"].as_array().unwrap().clone();
    let lines: Vec<String> = rows_of_data.iter().map(Value::to_string).collect();
    fs::write(data.path(), lines.join("\n")).unwrap();
    for (family, golden, folder) in families() {
        let out = folder.path().join("logprobs.jsonl");
        let paths = LogprobsPaths {
            model: folder.path().into(),
            data: data.path().into(),
            out: out.clone(),
        };
        recording::until(None, |report| logprobs::run(&paths, &MeasureConfig::default(), report));
        let lines = lines_of(&out);
        assert_eq!(lines.len(), 3, "{family}");
        let mut largest: f64 = 0.0;
        for (row, line) in lines.iter().enumerate() {
            // Nothing predicts a first token: rows without a prompt begin with the second.
            let prompt = golden["prompt_lengths"][row].as_u64().unwrap().max(1) as usize;
            let golden = &numbers(&golden["logprobs"][row])[prompt - 1..];
            let ours = numbers(&line["logprobs"]);
            assert_eq!(ours.len(), golden.len(), "{family}, row {row}");
            for (place, (ours, golden)) in ours.iter().zip(golden).enumerate() {
                let error = (ours - golden).abs();
                assert!(error < 1e-4, "{family}, row {row}, token {place}: {ours} ≠ {golden}");
                largest = largest.max(error);
            }
        }
        println!("{family}: log-probabilities within {largest:.1e} of transformers'");
    }
}

#[test]
fn every_parameter_has_pytorchs_gradient() {
    for (family, golden, folder) in families() {
        let model = load(&folder);
        let batch = batch(&rows(&golden));
        let answers = batch.answers(&[1, 1, 1]);
        let hidden = model.hidden(&batch).index_select(0, &answers.rows);
        let n = answers.ids.size()[0] as f64;
        let of = |_, logprobs: &Tensor| logprobs.full_like(-1.0 / n);
        let statistics = head::logprobs_backward(&model, &hidden, &answers.ids, 1.0, of).unwrap();
        let loss = -statistics.logprobs.mean(Kind::Double).double_value(&[]);
        assert!((loss - golden["loss"].as_f64().unwrap()).abs() < 1e-5, "{family}: {loss}");

        let gradients = golden["gradients"].as_object().unwrap();
        assert_eq!(gradients.len(), model.parameters().len(), "{family}");
        for (number, (name, golden)) in (2000..).zip(gradients) {
            let (_, weight) = model.parameters().iter().find(|(known, _)| known == name).unwrap();
            let gradient = weight.grad().to_kind(Kind::Double).view([-1]);
            let along = Tensor::from_slice(&golden_numbers(number, gradient.numel() as i64));
            let ours = [gradient.norm(), gradient.dot(&along.to_kind(Kind::Double))];
            let golden = numbers(golden);
            for (ours, number) in ours.iter().zip(&golden) {
                let error = (ours.double_value(&[]) - number).abs();
                assert!(error < 1e-4 * golden[0], "{family}, {name}: {ours} ≠ {number}");
            }
        }
    }
}

#[test]
fn biases_and_head_norms_learn_and_do_not_decay() {
    for (family, part) in [("qwen2", "q_proj.bias"), ("qwen3", "q_norm.weight")] {
        let folder = model_folder(&fixture("families.json")[family]);
        let model = load(&folder);
        let name = format!("model.layers.1.self_attn.{part}");
        let value = || {
            let (_, weight) = model.parameters().iter().find(|(known, _)| *known == name).unwrap();
            weight.copy()
        };
        let before = value();
        let mut optimizer = AdamW::new(model.trainable(), 0.5);
        // Gradients of zero: only what decays can move.
        for parameter in model.trainable() {
            crate::ffi::set_gradient(&parameter.master, &parameter.master.zeros_like()).unwrap();
        }
        optimizer.step(0.1).unwrap();
        assert_eq!(value(), before, "{family}");

        let batch = batch(&[vec![5, 6, 7, 8, 9]]);
        model.hidden(&batch).square().sum(Kind::Float).backward();
        optimizer.step(0.1).unwrap();
        assert!((value() - before).abs().min().double_value(&[]) > 0.01, "{family}");
    }
}

#[test]
fn reward_models_of_every_family_score_as_transformers_does() {
    for (family, golden, folder) in families() {
        let head = golden_numbers(1000, 32);
        let model = load(&folder).into_reward_model(0).unwrap();
        let score_head = model.score_head.as_ref().unwrap();
        let _guard = tch::no_grad_guard();
        score_head.shallow_clone().copy_(&Tensor::from_slice(&head).unsqueeze(0));
        let cut: Vec<_> = rows(&golden).iter().map(|ids| ids[..ids.len() - 1].to_vec()).collect();
        let batch = batch(&cut);
        let scores = model.scores(&model.hidden(&batch).index_select(0, &batch.last_rows()));
        let scores = Vec::<f32>::try_from(scores).unwrap();
        for (ours, golden) in scores.iter().zip(numbers(&golden["scores"])) {
            assert!((f64::from(*ours) - golden).abs() < 1e-4, "{family}: {ours} ≠ {golden}");
        }
    }
}

#[test]
fn what_is_saved_keeps_its_family_and_is_read_again() {
    for (family, golden, folder) in families() {
        let (language, reward) = (load(&folder), load(&folder).into_reward_model(3).unwrap());
        for (model, ending) in [(language, "ForCausalLM"), (reward, "ForSequenceClassification")] {
            let out = tempfile::tempdir().unwrap();
            save(&model, out.path(), &Map::new()).unwrap();
            let text = fs::read_to_string(out.path().join("config.json")).unwrap();
            let config: Map<String, Value> = serde_json::from_str(&text).unwrap();
            let architecture = config["architectures"][0].as_str().unwrap();
            assert_eq!(architecture, model.config.family.architecture(model.config.purpose));
            assert!(architecture.ends_with(ending), "{architecture}");
            for (key, value) in golden["config"].as_object().unwrap() {
                assert!(key == "architectures" || config[key] == *value, "{family}: {key}");
            }
            let again = Transformer::load(out.path(), Kind::Float, Device::Cpu).unwrap();
            let pairs = model.parameters().iter().zip(again.parameters());
            assert!(pairs.clone().all(|(a, b)| a.0 == b.0 && a.1 == b.1), "{family}");
        }
    }
}
