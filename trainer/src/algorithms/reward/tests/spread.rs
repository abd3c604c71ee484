//! How the scores of a trained model are spread, and where that is kept.

use super::*;
use crate::{algorithms::reward::spread::scored_pairs, merge};
use entity::run_config::SaveDtype;
use std::{fs, ops::ControlFlow, path::PathBuf};
use tempfile::TempDir;
use trainer_base::{
    adapters::SCORE_STATISTICS,
    model_config::{ModelConfig, ScoreStatistics},
    settings::MergePaths,
};

/// Pairs to learn from and others that are held out, and a folder for what comes of it.
struct Bench {
    folder: TempDir,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let rows = fs::read_to_string(fixture_path("trl_reward_data.jsonl")).unwrap();
        let rows: Vec<&str> = rows.lines().collect();
        fs::write(folder.path().join("learnt.jsonl"), rows[..8].join("\n")).unwrap();
        fs::write(folder.path().join("held_out.jsonl"), rows[8..15].join("\n")).unwrap();
        Self { folder }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn paths(&self, model: &Path, has_held_out: bool, out: &str) -> RewardPaths {
        RewardPaths {
            model: model.into(),
            data: self.at("learnt.jsonl"),
            eval_data: has_held_out.then(|| self.at("held_out.jsonl")),
            out: self.at(out),
            start: StartFlags::default(),
        }
    }

    /// Mean and deviation of a model's scores of the answers of a file, each scored by itself.
    fn assert_spread_of(&self, model: &str, file: &str) {
        let folder = self.at(model);
        let found = statistics(&folder).expect("it was measured");
        let model = Transformer::load_frozen(&folder, Kind::Float, Device::Cpu).unwrap();
        let tokenizer = Tokenizer::load(&folder).unwrap();
        let deaf = &mut |_| ControlFlow::Continue(());
        let pairs = rows::load_pairs(&self.at(file), &tokenizer, 160, deaf).unwrap().rows;
        let answers = pairs.iter().flat_map(|pair| [&pair.chosen, &pair.rejected]);
        let scores: Vec<f64> =
            answers.map(|ids| model.sequence_scores(&[ids]).double_value(&[0])).collect();
        let scores = Tensor::from_slice(&scores);
        // torch.mean and torch.std, which are numpy's mean() and std(ddof=1).
        let (mean, std) = (scores.mean(Kind::Double), scores.std(true));
        for (found, expected) in [(found.mean, mean), (found.std, std)] {
            let expected = expected.double_value(&[]);
            assert!((found - expected).abs() < 1e-5, "{found} ≠ {expected}");
        }
    }
}

fn statistics(folder: &Path) -> Option<ScoreStatistics> {
    ModelConfig::read(folder).unwrap().score_statistics()
}

fn short() -> RewardConfig {
    let mut config = traced(&fixture("trl_reward_trace.json")["messages"]);
    config.optimisation.max_steps = 2;
    config
}

#[test]
fn a_model_keeps_how_its_scores_of_held_out_answers_are_spread_or_else_of_learnt_ones() {
    let (bench, tiny) = (Bench::new(), fixture_path("tiny_llama"));
    run_all(&bench.paths(&tiny, true, "held_out"), &short(), None);
    bench.assert_spread_of("held_out", "held_out.jsonl");
    let (events, outcome) = recording::until(None, |report| {
        run(&bench.paths(&tiny, false, "learnt"), &short(), report)
    });
    bench.assert_spread_of("learnt", "learnt.jsonl");
    let VerbOutcome::Finished(summary) = outcome else { panic!("it was not stopped") };
    let found = statistics(&bench.at("learnt")).unwrap();
    assert_eq!(summary.last["score_mean"], json!(found.mean), "the summary says it, too");
    assert!(!recording::metrics(&events).is_empty());
}

#[test]
fn the_spread_of_adapters_lies_beside_them_and_goes_with_a_whole_model_made_of_them() {
    let (bench, tiny) = (Bench::new(), fixture_path("tiny_llama"));
    let config = RewardConfig { lora: adapter_settings(), ..short() };
    run_all(&bench.paths(&tiny, true, "adapters"), &config, None);
    bench.assert_spread_of("adapters", "held_out.jsonl");
    let text = fs::read_to_string(bench.at("adapters/adapter_config.json")).unwrap();
    assert!(!text.contains("score_"), "PEFT complains of keys that it does not know: {text}");

    let merged = MergePaths {
        model: bench.at("adapters"),
        out: bench.at("whole"),
        overwrite: false,
        save_dtype: SaveDtype::default(),
    };
    merge::run(&merged, &mut |_| ControlFlow::Continue(())).unwrap();
    assert_eq!(statistics(&bench.at("whole")), statistics(&bench.at("adapters")));
    assert!(!bench.at("whole").join(SCORE_STATISTICS).exists());
    // A run that is given them is another one once they are changed.
    let hash = || hash_of_model(&bench.at("adapters")).unwrap();
    let before = hash();
    let changed = r#"{"score_mean": 0.0, "score_std": 1.0}"#;
    fs::write(bench.at("adapters").join(SCORE_STATISTICS), changed).unwrap();
    assert_ne!(hash(), before);
}

#[test]
fn a_reward_model_that_is_trained_further_does_not_keep_what_was_true_of_it_before() {
    let (bench, tiny) = (Bench::new(), fixture_path("tiny_llama"));
    run_all(&bench.paths(&tiny, true, "first"), &short(), None);
    let further = bench.paths(&bench.at("first"), true, "further");
    run_all(&further, &short(), Some(1));
    assert_eq!(statistics(&bench.at("further/checkpoint-1")), None);
    run_all(&further, &short(), None);
    bench.assert_spread_of("further", "held_out.jsonl");
    assert_ne!(statistics(&bench.at("further")), statistics(&bench.at("first")));
    // Adapters of it, which give other scores.
    let config = RewardConfig { lora: adapter_settings(), ..short() };
    run_all(&bench.paths(&bench.at("first"), true, "adapters"), &config, None);
    fs::remove_file(bench.at("adapters").join(SCORE_STATISTICS)).unwrap();
    assert_eq!(statistics(&bench.at("adapters")), None);
}

#[test]
fn of_a_long_file_some_pairs_from_all_over_it_are_scored() {
    let pair =
        |index| AnswerPair { index, chosen: vec![1], rejected: vec![2], margin: 0.0, prompt: None };
    let pairs: Vec<AnswerPair> = (0..2000).map(pair).collect();
    let scored = scored_pairs(&pairs, &[]);
    assert_eq!(scored.len(), trainer_base::evaluation::MOST_SCORED);
    assert!(scored.windows(2).all(|two| (3..=4).contains(&(two[1].index - two[0].index))));
    assert!(scored[0].index == 0 && scored[511].index > 1990);
    assert_eq!(scored_pairs(&pairs, &pairs[..3]).len(), 3);
}
