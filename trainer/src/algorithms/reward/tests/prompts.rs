//! Rankings, whose prompts count alike, against a loop of PyTorch (`fixtures/make_ranked_pairs.py`).

use super::*;
use entity::run_config::LrScheduler;
use std::{fs, ops::ControlFlow};

fn ranked(batch_size: usize, grad_accum: usize) -> RewardConfig {
    let golden = fixture("ranked_pairs.json");
    let args = &golden["args"];
    let mut config = RewardConfig {
        learning_rate: args["learning_rate"].as_f64(),
        center_rewards_coefficient: args["center_rewards_coefficient"].as_f64().unwrap(),
        prompt_weighting: true,
        eval_every: 1000,
        ..traced(&fixture("trl_reward_trace.json")["strings"])
    };
    config.optimisation = OptimiserSettings {
        batch_size,
        grad_accum,
        epochs: golden["steps"].as_array().unwrap().len() as f64,
        lr_scheduler: LrScheduler::Constant,
        ..config.optimisation
    };
    config
}

fn paths_of(folder: &Path, data: &Path) -> RewardPaths {
    let model = folder.join("start");
    reward_model(&fixture("ranked_pairs.json")["score_weight"], &model);
    RewardPaths {
        model,
        data: data.into(),
        out: folder.join("out"),
        eval_data: Some(data.into()),
        start: StartFlags::default(),
    }
}

#[track_caller]
fn assert_near(what: &str, found: &Value, expected: &Value) {
    let (found, expected) = (found.as_f64().unwrap(), expected.as_f64().unwrap());
    assert!(
        (found - expected).abs() < 5e-4 * expected.abs().max(1e-3),
        "{what}: {found} ≠ {expected}"
    );
}

#[test]
fn rankings_are_learnt_from_as_by_instructgpts_equation_in_however_many_batches() {
    let golden = fixture("ranked_pairs.json");
    let data = fixture_path("ranked_pairs_data.jsonl");
    // 17 pairs of five prompts, in one forward pass and in one for each.
    for (batch_size, grad_accum) in [(17, 1), (1, 17)] {
        let folder = tempfile::tempdir().unwrap();
        let paths = paths_of(folder.path(), &data);
        let metrics = run_all(&paths, &ranked(batch_size, grad_accum), None);
        let steps: Vec<_> = metrics.iter().filter(|line| line.contains_key("loss")).collect();
        let expected = golden["steps"].as_array().unwrap();
        assert_eq!(steps.len(), expected.len());
        for (step, expected) in steps.iter().zip(expected) {
            assert_near("loss", &step["loss"], &expected["loss"]);
            assert_near("grad_norm", &step["grad_norm"], &expected["grad_norm"]);
        }
        let (first, last) = (&metrics[0], metrics.last().unwrap());
        assert_near("at the start", &first["eval_accuracy"], &expected[0]["accuracy_of_prompts"]);
        assert_near("at the start", &first["eval_loss"], &expected[0]["loss"]);
        for name in ["eval_loss", "eval_accuracy"] {
            assert_near(name, &last[name], &golden["after"][name]);
        }
        // As sure as five verdicts make it, not 17.
        assert_eq!(
            (&last["eval_pairs"], &last["eval_prompts"]),
            (&json!(17), &golden["n_prompts"])
        );
        let (low, high) = wilson_interval(last["eval_accuracy"].as_f64().unwrap() * 5.0, 5.0);
        assert_near("low", &last["eval_accuracy_low"], &json!(low));
        assert_near("high", &last["eval_accuracy_high"], &json!(high));
        let model = Transformer::load(&paths.out, Kind::Float, Device::Cpu).unwrap();
        for (name, weight) in model.parameters() {
            let norm = weight.norm().double_value(&[]);
            let expected = golden["checksums"][name][1].as_f64().unwrap();
            assert!((norm - expected).abs() < 1e-3 * expected, "{name}: {norm} ≠ {expected}");
        }
    }
}

#[test]
fn where_every_prompt_has_one_pair_nothing_changes() {
    let golden = &fixture("trl_reward_trace.json")["messages"];
    let rows = fs::read_to_string(fixture_path(golden["data"].as_str().unwrap())).unwrap();
    let numbers = |prompt_weighting: bool| {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("pairs.jsonl");
        let rows: Vec<&str> = rows.lines().take(12).collect();
        fs::write(&data, rows.join("\n")).unwrap();
        let mut config = RewardConfig { prompt_weighting, ..traced(golden) };
        config.optimisation.shuffle = true;
        let mut lines = run_all(&paths_of(folder.path(), &data), &config, None);
        lines.iter_mut().for_each(|line| drop(line.shift_remove("eval_prompts")));
        (lines, fs::read(folder.path().join("out/model.safetensors")).unwrap())
    };
    let ((plain, weights), (weighed, same)) = (numbers(false), numbers(true));
    assert_eq!(plain, weighed);
    assert!(weights == same, "the weights differ");
}

#[test]
fn a_stopped_run_on_rankings_goes_on_and_not_with_pairs_of_other_prompts() {
    let data = fixture_path("ranked_pairs_data.jsonl");
    let mut config = ranked(3, 1);
    config.optimisation.shuffle = true;
    let [whole, parts] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let own = parts.path().join("pairs.jsonl");
    fs::copy(&data, &own).unwrap();
    run_all(&paths_of(whole.path(), &data), &config, None);
    run_all(&paths_of(parts.path(), &own), &config, Some(4));
    // The same texts, but one prompt is told from itself by what its chat template would be told.
    let text = fs::read_to_string(&data).unwrap();
    let other = text.replacen(r#"{"prompt": "Где"#, r#"{"tools": [], "prompt": "Где"#, 1);
    fs::write(&own, other).unwrap();
    let changed = paths_of(parts.path(), &own);
    let refused = run(&changed, &config, &mut |_| ControlFlow::Continue(())).unwrap_err();
    assert!(refused.to_string().contains("data"), "{refused}");
    fs::copy(&data, &own).unwrap();
    run_all(&paths_of(parts.path(), &own), &config, None);
    let weights = |folder: &Path| fs::read(folder.join("out/model.safetensors")).unwrap();
    assert!(weights(whole.path()) == weights(parts.path()), "the weights differ");
}

#[test]
fn a_row_that_does_not_say_where_its_prompt_ends_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("pairs.jsonl");
    let rows = [
        json!({"prompt": "The sea", "chosen": " is wide.", "rejected": " is."}),
        json!({"chosen": "The sea is wide.", "rejected": "The sea is."}),
    ];
    fs::write(&data, rows.each_ref().map(Value::to_string).join("\n\n")).unwrap();
    let paths = paths_of(folder.path(), &data);
    let told = run(&paths, &ranked(2, 1), &mut |_| ControlFlow::Continue(())).unwrap_err();
    let told = format!("{told:#}");
    assert!(told.contains("line 3") && told.contains("column `prompt`"), "{told}");
    let config = RewardConfig { prompt_weighting: false, ..ranked(2, 1) };
    run_all(&paths, &config, None);
}
