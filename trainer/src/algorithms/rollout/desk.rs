//! For tests: a policy, a reward model of the same base and some prompts, in a folder of their own.

use super::{
    answers::{AnswerScores, ScoredAnswers},
    rules::{REWARD_MODEL, RewardPart},
};
use crate::{
    answer::generate::{Completion, FinishReason},
    fixtures::{fixture_path, golden_numbers, numbers},
    model::{self, Transformer},
    run::recording,
};
use anyhow::Result;
use entity::{
    report::RunReport,
    run_config::{LoraSettings, OptimiserSettings},
};
use serde_json::{Map, Value};
use std::ops::ControlFlow;
use tch::{Device, Kind, Tensor};
use tempfile::TempDir;
use trainer_base::{
    job::{Report, VerbOutcome},
    model_config::ScoreStatistics,
    rows::PromptIds,
    settings::{RolloutPaths, StartFlags},
};

pub(crate) fn tiny_llama() -> Transformer {
    Transformer::load(&fixture_path("tiny_llama"), Kind::Float, Device::Cpu).unwrap()
}

/// The tiny Llama's body with a head that the fixtures know.
pub(crate) fn scorer(seed: u64) -> Transformer {
    let model = tiny_llama().into_reward_model(0).unwrap();
    let head = Tensor::from_slice(&golden_numbers(seed, 32)).unsqueeze(0);
    let _no_grad = tch::no_grad_guard();
    model.score_head.as_ref().unwrap().shallow_clone().copy_(&head);
    model
}

/// Token ids of a fixture.
pub(crate) fn ids(list: &Value) -> Vec<i64> {
    list.as_array().unwrap().iter().map(|id| id.as_i64().unwrap()).collect()
}

#[track_caller]
pub(crate) fn assert_close(what: &str, found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
        let bound = tolerance * expected.abs().max(1.0);
        assert!((found - expected).abs() <= bound, "{what} at {i}: {found}, TRL has {expected}");
    }
}

/// The answers of trl_group_losses.json with their rewards.
pub(crate) fn given_groups(golden: &Value) -> ScoredAnswers {
    let prompts = golden["prompt_ids"].as_array().unwrap().iter().enumerate();
    let prompts: Vec<PromptIds> = prompts
        .map(|(index, row)| PromptIds {
            index,
            ids: ids(row),
            is_conversation: false,
            solution: None,
        })
        .collect();
    let completions = golden["response_ids"].as_array().unwrap().iter().map(|row| {
        let token_ids = ids(row);
        let finish_reason =
            if token_ids.ends_with(&[2]) { FinishReason::Stop } else { FinishReason::Length };
        Completion { token_ids, finish_reason, logprobs: Vec::new() }
    });
    let scores = numbers(&golden["rewards"]).into_iter().map(|score| score as f32).collect();
    let asked: Vec<&PromptIds> = prompts.iter().collect();
    ScoredAnswers::new(&asked, completions.collect(), by_a_reward_model(scores))
}

/// Scores of a reward model alone.
pub(crate) fn by_a_reward_model(scores: Vec<f32>) -> AnswerScores {
    AnswerScores::new(vec![RewardPart { name: REWARD_MODEL, weight: 1.0, scores }])
}

/// A list of numbers as f32.
pub(crate) fn golden_floats(list: &Value) -> Tensor {
    Tensor::from_slice(&numbers(list)).to_kind(Kind::Float)
}

pub(crate) struct Desk {
    folder: TempDir,
}

/// Training on the desk's files.
type Verb<C> = fn(&RolloutPaths, &C, &mut Report) -> Result<VerbOutcome>;

impl Desk {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        model::save(&scorer(1), &folder.path().join("reward"), &Map::new()).unwrap();
        let rows = [
            r#"{"prompt": "The sea is"}"#,
            r#"{"prompt": "Где лодка?"}"#,
            r#"{"prompt": [{"role": "user", "content": "What is the answer?"}]}"#,
            r#"{"prompt": [{"role": "user", "content": "Расскажи о погоде."}]}"#,
            r#"{"prompt": "The wind is c"}"#,
        ];
        std::fs::write(folder.path().join("prompts.jsonl"), rows.join("\n")).unwrap();
        Self { folder }
    }

    pub(crate) fn paths(&self, out: &str) -> RolloutPaths {
        let at = |name: &str| self.folder.path().join(name);
        RolloutPaths {
            policy: fixture_path("tiny_llama"),
            reward: Some(at("reward")),
            prompts: at("prompts.jsonl"),
            eval_prompts: Some(at("prompts.jsonl")),
            out: at(out),
            start: StartFlags::default(),
        }
    }

    /// Has the reward model say how its scores are spread.
    pub(crate) fn tell_spread(&self, spread: ScoreStatistics) {
        let file = self.folder.path().join("reward/config.json");
        let text = std::fs::read_to_string(&file).unwrap();
        let mut config: Map<String, Value> = serde_json::from_str(&text).unwrap();
        config.extend(spread.keys());
        std::fs::write(&file, serde_json::to_string(&config).unwrap()).unwrap();
    }

    /// Every prompt so many times.
    pub(crate) fn repeat_prompts(&self, n: usize) {
        let prompts = std::fs::read_to_string(self.paths("").prompts).unwrap() + "\n";
        std::fs::write(self.paths("").prompts, prompts.repeat(n)).unwrap();
    }

    /// Of two prompts at a time, gathered over two batches.
    pub(crate) fn optimisation() -> OptimiserSettings {
        OptimiserSettings {
            batch_size: 2,
            grad_accum: 2,
            device: entity::run_config::Device::Cpu,
            dtype: entity::run_config::Dtype::F32,
            ..OptimiserSettings::default()
        }
    }

    /// Runs to the end, or until the rollout batch `until` is reported.
    pub(crate) fn run<C>(
        &self,
        verb: Verb<C>,
        out: &str,
        config: &C,
        until: Option<u64>,
    ) -> (VerbOutcome, Vec<RunReport>) {
        let (events, outcome) =
            recording::until(until, |report| verb(&self.paths(out), config, report));
        (outcome, events)
    }

    /// A run whose reward model gives no numbers says that it does, and not to learn more slowly.
    pub(crate) fn assert_blames_the_reward_model<C>(&self, verb: Verb<C>, config: &C) {
        let broken = scorer(1);
        let head = broken.score_head.as_ref().unwrap();
        tch::no_grad(|| drop(head.shallow_clone().fill_(3e38)));
        let reward = self.folder.path().join("broken");
        model::save(&broken, &reward, &Map::new()).unwrap();
        for eval_prompts in [None, Some(self.paths("").prompts)] {
            let paths =
                RolloutPaths { reward: Some(reward.clone()), eval_prompts, ..self.paths("none") };
            let error = verb(&paths, config, &mut |_| ControlFlow::Continue(())).unwrap_err();
            let told = error.to_string();
            assert!(told.contains("reward model") && told.contains("broken"), "{told}");
            assert!(told.contains("scores an answer as"), "{told}");
        }
    }

    /// Holds a run of five steps that is stopped twice against one that is not: the same numbers, and the
    /// same weights in `file`, bit for bit.
    pub(crate) fn assert_goes_on<C>(&self, verb: Verb<C>, config: &C, file: &str) {
        let (_, whole) = self.run(verb, "whole", config, None);
        let (stopped, first) = self.run(verb, "parts", config, Some(2));
        assert_eq!(stopped, VerbOutcome::Stopped);
        // Not with other held-out prompts, which what was measured could not be held against.
        let others = RolloutPaths { eval_prompts: None, ..self.paths("parts") };
        let refused = verb(&others, config, &mut |_| ControlFlow::Continue(())).unwrap_err();
        assert!(refused.to_string().contains("eval_prompts"), "{refused}");
        // Again, in the middle of the next but one rollout.
        let go_on = |report: &mut Report| verb(&self.paths("parts"), config, report);
        let (second, stopped) = recording::within_step(3, 2, go_on);
        assert_eq!(stopped, VerbOutcome::Stopped);
        assert!(self.paths("parts").out.join("checkpoint-3").is_dir());
        let (finished, third) = self.run(verb, "parts", config, None);
        assert!(matches!(finished, VerbOutcome::Finished(_)));

        assert_eq!([&first, &second, &third].map(|part| step_metrics(part).len()), [3, 1, 2]);
        assert!(step_metrics(&whole).iter().all(|metrics| metrics.contains_key("eval_score")));
        assert_eq!(
            [&first, &second, &third].map(|part| step_metrics(part)).concat(),
            step_metrics(&whole)
        );
        let weights = |out: &str| std::fs::read(self.paths(out).out.join(file)).unwrap();
        assert_eq!(weights("parts"), weights("whole"));
    }

    /// Whole models, and adapters that drop inputs, come to the same numbers and the same weights, bit for
    /// bit, where `config` has layers computed once more and where it does not.
    pub(crate) fn assert_checkpoints_change_nothing<C>(
        verb: Verb<C>,
        config: impl Fn(LoraSettings, bool) -> C,
    ) {
        let whole = LoraSettings::default();
        let adapters = LoraSettings { lora_rank: 2, lora_dropout: 0.2, ..whole.clone() };
        for (lora, file) in [(whole, "model.safetensors"), (adapters, "adapter_model.safetensors")]
        {
            let desk = Self::new();
            let [(plain, weights), (again, same)] = [false, true].map(|checkpointing| {
                let out = if checkpointing { "again" } else { "plain" };
                let (_, events) = desk.run(verb, out, &config(lora.clone(), checkpointing), None);
                let weights = std::fs::read(desk.paths(out).out.join(file)).unwrap();
                (step_metrics(&events), weights)
            });
            assert!(!plain.is_empty());
            assert_eq!(plain, again);
            assert!(weights == same, "{file} differs");
        }
    }
}

/// What a run told at each step, but for its speed, which is the clock's.
fn step_metrics(events: &[RunReport]) -> Vec<Map<String, Value>> {
    let mut all = recording::metrics(events);
    all.iter_mut().for_each(|metrics| drop(metrics.shift_remove("eps")));
    all
}

/// A metric over the steps that have it.
pub(crate) fn metric(events: &[RunReport], name: &str) -> Vec<f64> {
    recording::metrics(events).iter().filter_map(|metrics| metrics.get(name)?.as_f64()).collect()
}
