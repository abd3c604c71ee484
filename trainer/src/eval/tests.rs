//! Against transformers, numpy and scipy (`fixtures/make_eval.py`), and files that cannot be judged.

use super::*;
use crate::fixtures::{fixture, fixture_path, reward_model};
use entity::{
    report::{RunReport, RunSummary},
    run_config::{Device, Dtype, LossOn},
};
use serde_json::json;
use std::{fs, ops::ControlFlow, path::PathBuf};
use tempfile::TempDir;
use trainer_base::settings::MeasureConfig;

fn config(max_length: usize) -> EvalConfig {
    let measure =
        MeasureConfig { max_length, batch_size: 4, dtype: Dtype::F32, device: Device::Cpu };
    EvalConfig { loss_on: LossOn::Auto, measure }
}

/// What is judged, with everything that it says.
fn judged(paths: &EvalPaths, config: &EvalConfig) -> Result<(RunSummary, Vec<RunReport>)> {
    let mut events = Vec::new();
    let outcome = run(paths, config, &mut |event| {
        events.push(event);
        ControlFlow::Continue(())
    })?;
    match outcome {
        VerbOutcome::Finished(summary) => Ok((summary, events)),
        VerbOutcome::Stopped => panic!("nobody asked it to stop"),
    }
}

fn refused(paths: &EvalPaths) -> String {
    format!("{:#}", judged(paths, &config(512)).expect_err("it is refused"))
}

/// A folder with files of rows.
struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, rows: &[Value]) -> PathBuf {
        let path = self.0.path().join(name);
        let lines: String = rows.iter().map(|row| format!("{row}\n")).collect();
        fs::write(&path, lines).unwrap();
        path
    }

    /// The reward model of the fixtures, and the rows of `data` for it.
    fn by_reward(&self, data: PathBuf) -> EvalPaths {
        let golden = &fixture("eval.json")["win"];
        let reward = self.0.path().join("reward");
        reward_model(&golden["score_weight"], &reward);
        EvalPaths { model: None, reward: Some(reward), data, against: None, prompts: None }
    }
}

fn of_model(data: PathBuf) -> EvalPaths {
    let model = Some(fixture_path("tiny_llama"));
    EvalPaths { model, reward: None, data, against: None, prompts: None }
}

/// Everything that the fixture says of the metrics, within `within` of 1 or of its size.
fn assert_is(last: &Map<String, Value>, golden: &Value, within: f64) {
    let mut n = 0;
    for (name, golden) in golden.as_object().unwrap() {
        let (Some(golden), true) =
            (golden.as_f64(), name.starts_with("eval_") || name.starts_with("best_"))
        else {
            continue;
        };
        let own = last[name].as_f64().unwrap_or_else(|| panic!("{name} is {}", last[name]));
        assert!((own - golden).abs() < within * golden.abs().max(1.0), "{name}: {own} ≠ {golden}");
        n += 1;
    }
    assert!(n > 5, "{n} numbers");
}

#[test]
fn perplexity_and_its_interval_are_those_of_transformers_and_scipy() {
    let golden = &fixture("eval.json")["language"];
    let files = Files::new();
    let data = files.write("rows.jsonl", golden["rows"].as_array().unwrap());
    let max_length = golden["max_length"].as_u64().unwrap() as usize;
    let (summary, events) = judged(&of_model(data), &config(max_length)).unwrap();
    assert_is(&summary.last, golden, 2e-5);
    let used = events.iter().find_map(|event| match event {
        RunReport::Rows { rows } => Some(rows.clone()),
        _ => None,
    });
    let used = used.expect("rows are told");
    let counted = |name: &str| golden[name].as_u64().unwrap();
    assert_eq!((used.used, used.cut), (counted("eval_rows"), counted("rows_cut")));
    assert_eq!((used.rows, used.n_left_out()), (9, 9 - counted("eval_rows")));
}

#[test]
fn win_rate_gain_and_their_intervals_are_those_of_scipy() {
    let golden = &fixture("eval.json")["win"];
    let files = Files::new();
    let [ours, theirs, prompts] = ["ours", "theirs", "prompts"]
        .map(|name| files.write(&format!("{name}.jsonl"), golden[name].as_array().unwrap()));
    let alone = EvalPaths { prompts: Some(prompts), ..files.by_reward(ours) };
    let paths = EvalPaths { against: Some(theirs), ..alone.clone() };
    let mut last = judged(&paths, &config(512)).unwrap().0.last;
    let best = judged(&alone, &config(512)).unwrap().0.last;
    assert!(
        (best["eval_score"].as_f64().unwrap() - best["best_of_1"].as_f64().unwrap()).abs() < 1e-9
    );
    last.insert("best_of_2".into(), best["best_of_2"].clone());
    assert_is(&last, golden, 1e-4);
    // The other way round it is the other way round, whatever the order of the rows.
    let turned = files.write(
        "turned.jsonl",
        &golden["ours"].as_array().unwrap().iter().rev().cloned().collect::<Vec<_>>(),
    );
    let paths = EvalPaths { data: paths.against.unwrap(), against: Some(turned), ..alone };
    let other = judged(&paths, &config(512)).unwrap().0.last;
    let sum = |name: &str| last[name].as_f64().unwrap() + other[name].as_f64().unwrap();
    assert!((sum("eval_win_rate") - 1.0).abs() < 1e-9 && sum("eval_gain").abs() < 1e-4);
}

#[test]
fn the_interval_of_a_win_rate_is_scipys() {
    for case in fixture("eval.json")["wilson"].as_array().unwrap() {
        let [won, of, low, high] = [0, 1, 2, 3].map(|at| case[at].as_f64().unwrap());
        let own = crate::math::statistics::wilson_interval(won, of);
        assert!((own.0 - low).abs() < 1e-7 && (own.1 - high).abs() < 1e-7, "{case}: {own:?}");
    }
}

#[test]
fn every_pair_of_answers_to_a_prompt_counts_and_a_tie_is_half_a_win() {
    use super::answers::win_share;
    assert_eq!(win_share(&[1.0], &[0.0]), 1.0);
    assert_eq!(win_share(&[1.0, 0.0], &[0.0, 2.0]), (1.0 + 0.0 + 0.5 + 0.0) / 4.0);
}

#[test]
fn a_reward_model_is_judged_by_pairs_as_its_training_judges_it() {
    let golden = &fixture("trl_reward_trace.json")["strings"];
    let files = Files::new();
    let data = fixture_path(golden["data"].as_str().unwrap());
    let max_length = golden["args"]["max_length"].as_u64().unwrap() as usize;
    let (summary, _) = judged(&files.by_reward(data), &config(max_length)).unwrap();
    // The loss of the trace has a term more.
    for name in ["eval_accuracy", "eval_margin"] {
        let (own, trl) = (&summary.last[name], &golden["eval_before"][name]);
        let (own, trl) = (own.as_f64().unwrap(), trl.as_f64().unwrap());
        assert!((own - trl).abs() < 5e-4, "{name}: {own} ≠ {trl}");
    }
    for name in ["eval_accuracy_low", "eval_calibration_error", "eval_longer_preferred"] {
        assert!(summary.last[name].is_number(), "{name}");
    }
}

#[test]
fn a_model_of_the_other_kind_is_refused_with_the_flag_that_takes_it() {
    let files = Files::new();
    let data = files.write("rows.jsonl", &[json!({"prompt": "Why?", "completion": " So."})]);
    let by_reward = files.by_reward(data.clone());
    let as_model = EvalPaths { model: by_reward.reward.clone(), ..of_model(data.clone()) };
    let told = refused(&as_model);
    assert!(told.contains("is a reward model") && told.contains("--reward"), "{told}");
    let as_reward = EvalPaths { reward: of_model(data).model, ..by_reward };
    let told = refused(&as_reward);
    assert!(told.contains("is a language model") && told.contains("trainer reward"), "{told}");
}

#[test]
fn files_that_answer_different_prompts_are_refused_by_file_and_line() {
    let files = Files::new();
    let row = |prompt: &str| json!({"prompt": prompt, "completion": " So."});
    let ours = files.write("ours.jsonl", &["Why?", "How?"].map(row));
    let against = |name: &str, rows: &[Value]| EvalPaths {
        against: Some(files.write(name, rows)),
        ..files.by_reward(ours.clone())
    };
    let told = refused(&against("other.jsonl", &["Why?", "When?"].map(row)));
    assert!(told.contains("other.jsonl, line 2: it answers another prompt than line 2"), "{told}");
    let told = refused(&against("short.jsonl", &["Why?"].map(row)));
    assert!(told.contains("ours.jsonl, line 2:") && told.contains("short.jsonl has no"), "{told}");
    let told = refused(&against("long.jsonl", &["Why?", "How?", "When?"].map(row)));
    assert!(told.contains("long.jsonl, line 3:") && told.contains("ours.jsonl has no"), "{told}");
    let pair = json!({"prompt": "Why?", "chosen": " So.", "rejected": " No."});
    let told = refused(&against("mixed.jsonl", &[row("Why?"), pair.clone()]));
    assert!(told.contains("mixed.jsonl, line 2:") && told.contains("two files"), "{told}");
    let told = refused(&against("pairs.jsonl", &[pair]));
    assert!(told.contains("pairs.jsonl has pairs") && told.contains("--against"), "{told}");
}

#[test]
fn two_rows_of_samples_to_one_prompt_are_refused_by_their_lines() {
    let files = Files::new();
    let prompts = files.write("prompts.jsonl", &[json!({"prompt": "Why?"})]);
    let row = json!({"index": 0, "completions": [{"text": " So.", "finish_reason": "stop"}]});
    let data = files.write("twice.jsonl", &[row.clone(), row.clone()]);
    let against = Some(files.write("once.jsonl", &[row]));
    let paths = EvalPaths { prompts: Some(prompts), against, ..files.by_reward(data) };
    let told = refused(&paths);
    assert!(told.contains("twice.jsonl, line 2: line 1 answers the same prompt"), "{told}");
}

#[test]
fn a_prompt_of_which_one_answer_is_too_long_is_left_out_of_the_comparison() {
    let files = Files::new();
    let row = |completion: &str| json!({"prompt": "Why?", "completion": completion});
    let long = "It is wide and cold, and it never stops moving. ".repeat(4);
    let ours = files.write("ours.jsonl", &[row(" So."), row(&long)]);
    let theirs = files.write("theirs.jsonl", &[row(" No."), row(" Yes.")]);
    let paths = EvalPaths { against: Some(theirs), ..files.by_reward(ours) };
    let summary = judged(&paths, &config(40)).unwrap().0;
    assert_eq!(summary.last["eval_prompts"], json!(1), "{summary:?}");
    let told = format!("{:#}", judged(&paths, &config(3)).unwrap_err());
    assert!(told.contains("raise --max-length"), "{told}");
}
