//! Direct preference optimisation: a policy learns from comparisons without a reward model (Rafailov
//! et al. 2023; TRL: `DPOTrainer`, loss `sigmoid`).
//!
//! The reference is the model that the run starts from. Its log-probability of every answer is one
//! number, computed once before the first step, so that a run holds one set of weights and not two.

mod statistics;

use super::preference::{self, AnswerForward, PreferenceMethod, PreferencePaths, TwoLogprobs};
use crate::{
    math::ops,
    model::Transformer,
    run::{
        environment::ComputeEnvironment,
        identity::hash_of_sequences,
        session::{EVALUATION_COST, TrainingSession},
    },
};
use anyhow::Result;
use entity::run_config::{DpoConfig, LoraSettings, OptimiserSettings};
use serde_json::{Map, Value};
use statistics::{HeldOutPairs, PairStatistics, metrics_of};
use tch::Tensor;
use trainer_base::{
    evaluation::DPO_LEARNING_COST,
    job::{Report, VerbOutcome},
    rows::{self, PreferencePair},
    settings::DpoPaths,
    tokenizer::Tokenizer,
};

/// Trains a policy on comparisons and writes it as a Hugging Face folder.
pub fn run(paths: &DpoPaths, config: &DpoConfig, report: &mut Report) -> Result<VerbOutcome> {
    let (device, dtype) = (config.optimisation.device, config.optimisation.dtype);
    let Some(environment) = ComputeEnvironment::start(device, dtype, report)? else {
        return Ok(VerbOutcome::Stopped);
    };
    let tokenizer = Tokenizer::load(&paths.model)?;
    let max_length = rows::longest_sequence(&paths.model, config.max_length, report)?;
    let pairs =
        rows::load_run_rows(&paths.data, paths.eval_data.as_deref(), report, |file, report| {
            rows::load_preferences(file, &tokenizer, max_length, report)
        })?;
    let paths = PreferencePaths { model: &paths.model, out: &paths.out, start: paths.start };
    preference::run(config, &paths, &environment, pairs, report)
}

impl PreferenceMethod for DpoConfig {
    const KIND: &'static str = "dpo";
    type Row = PreferencePair;
    type Statistics = PairStatistics;
    type HeldOut = HeldOutPairs;

    fn optimisation(&self) -> &OptimiserSettings {
        &self.optimisation
    }

    fn lora(&self) -> &LoraSettings {
        &self.lora
    }

    fn peak_rate(&self) -> f64 {
        self.peak_learning_rate()
    }

    fn eval_every(&self) -> usize {
        self.eval_every
    }

    fn hash_of_rows(pairs: &[PreferencePair]) -> String {
        let lengths: Vec<i64> = pairs.iter().map(|pair| pair.prompt_len as i64).collect();
        let sides = pairs.iter().flat_map(|pair| [pair.chosen.as_slice(), &pair.rejected]);
        hash_of_sequences(sides.chain([lengths.as_slice()]))
    }

    fn n_tokens(pair: &PreferencePair) -> u64 {
        (pair.chosen.len() + pair.rejected.len()) as u64
    }

    fn work_to_learn(pair: &PreferencePair) -> f64 {
        Self::n_tokens(pair) as f64 * DPO_LEARNING_COST
    }

    fn work_to_measure(pair: &PreferencePair) -> f64 {
        Self::n_tokens(pair) as f64 * EVALUATION_COST
    }

    /// Of the chosen and of the rejected answer.
    fn measure(model: &Transformer, pairs: &[&PreferencePair]) -> Vec<TwoLogprobs> {
        let _guard = tch::no_grad_guard();
        by_pair(&forward(model, pairs).logprobs(model))
    }

    fn learn(
        &self,
        session: &mut TrainingSession,
        pairs: &[&PreferencePair],
        said: &[TwoLogprobs],
        n_micro_batches: f64,
    ) -> Result<PairStatistics> {
        let model = &session.model;
        let forward = forward(model, pairs);
        let policy = by_pair(&forward.logprobs(model));
        let (loss, gradients) = loss_of(&policy, said, self.beta);
        let gradients: Vec<f64> =
            gradients.concat().into_iter().map(|gradient| gradient / n_micro_batches).collect();
        let entropy = forward.backward(model, &gradients)?;
        session.optimizer.gather_gradients()?;
        Ok(PairStatistics { entropy, ..PairStatistics::new(&policy, said, loss, self.beta) })
    }

    fn loss(seen: &PairStatistics) -> f64 {
        seen.loss
    }

    fn metrics(seen: &[PairStatistics]) -> Map<String, Value> {
        metrics_of(seen)
    }

    fn hold_out(
        &self,
        seen: &mut HeldOutPairs,
        pairs: &[&PreferencePair],
        policy: &[TwoLogprobs],
        said: &[TwoLogprobs],
    ) {
        let (loss, _) = loss_of(policy, said, self.beta);
        seen.add(pairs, &PairStatistics::new(policy, said, loss, self.beta));
    }

    fn held_out_metrics(seen: &HeldOutPairs) -> Map<String, Value> {
        seen.metrics()
    }
}

/// n pairs in one forward pass: the chosen answers, then the rejected ones.
fn forward(model: &Transformer, pairs: &[&PreferencePair]) -> AnswerForward {
    let chosen = pairs.iter().map(|pair| pair.chosen.as_slice());
    let sides: Vec<_> = chosen.chain(pairs.iter().map(|pair| pair.rejected.as_slice())).collect();
    let prompts: Vec<_> = pairs.iter().chain(pairs).map(|pair| pair.prompt_len).collect();
    AnswerForward::new(model, &sides, &prompts)
}

/// What such a pass makes of its 2n answers, pair by pair.
fn by_pair(logprobs: &[f64]) -> Vec<TwoLogprobs> {
    let (chosen, rejected) = logprobs.split_at(logprobs.len() / 2);
    chosen.iter().zip(rejected).map(|(&chosen, &rejected)| [chosen, rejected]).collect()
}

/// (n) in f64, which takes a gradient.
fn leaf(values: impl Iterator<Item = f64>) -> Tensor {
    Tensor::from_slice(&values.collect::<Vec<_>>()).set_requires_grad(true)
}

/// The mean loss of n pairs, and its gradient by log π of the chosen and of the rejected answers.
fn loss_of(policy: &[TwoLogprobs], said: &[TwoLogprobs], beta: f64) -> (f64, [Vec<f64>; 2]) {
    let side = |side: usize| {
        leaf(policy.iter().zip(said).map(move |(policy, said)| policy[side] - said[side]))
    };
    let (chosen, rejected) = (side(0), side(1));
    let loss = ops::dpo(&chosen, &rejected, beta);
    loss.backward();
    let gradient = |side: &Tensor| Vec::<f64>::try_from(side.grad()).expect("one value per pair");
    (loss.double_value(&[]), [gradient(&chosen), gradient(&rejected)])
}

#[cfg(test)]
mod tests;
