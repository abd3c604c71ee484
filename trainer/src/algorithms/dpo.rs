//! Direct preference optimisation: a policy learns from comparisons without a reward model (Rafailov
//! et al. 2023; TRL: `DPOTrainer`, loss `sigmoid`).
//!
//! The reference is the model that the run starts from. Its log-probability of every answer is one
//! number, computed once before the first step, so that a run holds one set of weights and not two.

mod statistics;

use super::{
    answer_forward::AnswerForward,
    length_bias::LengthBias,
    reference::{ReferenceLogprobs, TwoLogprobs},
};
use crate::{
    math::{ops, statistics::wilson_interval},
    model::{self, Transformer},
    run::{
        environment::ComputeEnvironment,
        identity::{EVAL_DATA, RunIdentity, hash_of_model, hash_of_sequences},
        session::{EVALUATION_COST, SessionOpening, TrainingSession, object},
    },
};
use anyhow::Result;
use entity::{row_use::RowUse, run_config::DpoConfig};
use serde_json::{Map, Value, json};
use statistics::{PairStatistics, mean, metrics_of};
use std::path::Path;
use tch::Tensor;
use trainer_base::{
    evaluation::DPO_LEARNING_COST,
    job::{Report, VerbOutcome},
    rows::{self, LoadedRows, PreferencePair, RunRows},
    settings::{DpoPaths, StartFlags},
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
    let held_out = paths.eval_data.as_deref();
    let RunRows { learnt: LoadedRows { rows: pairs, counts }, held_out } =
        rows::load_run_rows(&paths.data, held_out, report, |file, report| {
            rows::load_preferences(file, &tokenizer, max_length, report)
        })?;
    let lengths = pairs.iter().collect();
    environment.tell_forecast(&[&paths.model], config, &lengths, report);
    let model = environment
        .load_to_train(&paths.model, &config.lora, config.optimisation.seed)?
        .expect_language()?;
    let task = DpoTask {
        of_file: counts.of_file,
        model,
        pairs: &pairs,
        held_out: &held_out,
        out: &paths.out,
        start: paths.start,
    };
    train(task, config, report)
}

struct DpoTask<'a> {
    /// What was made of the file of pairs.
    of_file: RowUse,
    model: Transformer,
    pairs: &'a [PreferencePair],
    held_out: &'a [PreferencePair],
    out: &'a Path,
    start: StartFlags,
}

impl<'a> DpoTask<'a> {
    /// What the run's session is opened with.
    fn opening(&self, config: &'a DpoConfig) -> Result<SessionOpening<'a>> {
        Ok(SessionOpening {
            kind: "dpo",
            learning_rate: config.peak_learning_rate(),
            optimisation: &config.optimisation,
            identity: identity(&self.model, self.pairs, self.held_out, config)?,
            out: self.out,
            start: self.start,
            work_of_rows: self
                .pairs
                .iter()
                .map(|pair| n_tokens(pair) as f64 * DPO_LEARNING_COST)
                .collect(),
            work_before: (n_tokens_of(self.pairs) + n_tokens_of(self.held_out)) as f64
                * EVALUATION_COST,
            work_per_evaluation: n_tokens_of(self.held_out) as f64 * EVALUATION_COST,
            eval_every: config.eval_every,
            best: None,
            check_checkpoint: |checkpoint| ReferenceLogprobs::load(checkpoint).map(drop),
        })
    }
}

/// The loop: the mean of the micro-batches' mean losses, as in TRL.
fn train(task: DpoTask, config: &DpoConfig, report: &mut Report) -> Result<VerbOutcome> {
    let opening = task.opening(config)?;
    let DpoTask { of_file, model, pairs, held_out, .. } = task;
    let mut session = TrainingSession::open(model, opening, report)?;
    session.tell_unreached(of_file, |row| [pairs[row].index], report);

    // 1. The reference's log-probabilities, from the first step's weights or from the checkpoint.
    let found = match session.journal.resumed_from.clone() {
        Some(checkpoint) => Some(ReferenceLogprobs::load(&checkpoint)?),
        None => {
            let said = |model: &Transformer, pairs: &[&PreferencePair]| {
                measure(model, pairs).iter().map(|pair| [pair.chosen, pair.rejected]).collect()
            };
            let work = |pair: &PreferencePair| n_tokens(pair) as f64 * EVALUATION_COST;
            let (rows, batch_size) = ([pairs, held_out], config.optimisation.batch_size);
            ReferenceLogprobs::compute(&mut session, rows, batch_size, said, work, report)
        }
    };
    let Some(reference) = found else { return Ok(VerbOutcome::Stopped) };
    let checkpoint = |model: &Transformer, folder: &Path| {
        export(model, folder)?;
        reference.save(folder)
    };

    // 2. What the policy can tell before it learns.
    if session.step() == 0 && !held_out.is_empty() {
        let measured = evaluate(&mut session, held_out, &reference, config, report);
        if session.report_start(measured, report).is_break() {
            return Ok(VerbOutcome::Stopped);
        }
    }
    while !session.is_done() {
        // 3. Gradients of the step's micro-batches.
        let learnt = learn_step(&mut session, pairs, &reference, config, report)?;
        let Some(seen) = learnt else { return session.stop_within_step(checkpoint) };
        // 4. The step.
        let mut metrics = session.update(mean(&seen, |batch| batch.loss))?;
        metrics.extend(metrics_of(&seen));
        metrics.insert("num_tokens".into(), json!(session.journal.progress.tokens()));
        // 5. What it can tell now.
        if session.evaluates_now() && !held_out.is_empty() {
            match evaluate(&mut session, held_out, &reference, config, report) {
                Some(evaluated) => metrics.extend(evaluated),
                None => return session.stop(metrics, checkpoint, report),
            }
        }
        if session.report_step(metrics, checkpoint, report)?.is_break() {
            return Ok(VerbOutcome::Stopped);
        }
    }
    session.finish(export, report)
}

/// The gradients of a step, micro-batch by micro-batch; none when asked to stop.
fn learn_step(
    session: &mut TrainingSession,
    pairs: &[PreferencePair],
    reference: &ReferenceLogprobs,
    config: &DpoConfig,
    report: &mut Report,
) -> Result<Option<Vec<PairStatistics>>> {
    let micro_batches = session.micro_batches();
    let mut seen = Vec::new();
    for rows in &micro_batches {
        let chosen: Vec<&PreferencePair> = rows.iter().map(|&row| &pairs[row]).collect();
        let logprobs: Vec<PairLogprobs> =
            rows.iter().map(|&row| reference.train[row].into()).collect();
        seen.push(learn(session, &chosen, &logprobs, config.beta, micro_batches.len() as f64)?);
        let n_tokens = chosen.iter().copied().map(n_tokens).sum();
        if session.advance(n_tokens as f64 * DPO_LEARNING_COST, n_tokens, report).is_break() {
            return Ok(None);
        }
    }
    Ok(Some(seen))
}

fn export(model: &Transformer, folder: &Path) -> Result<()> {
    model::save(model, folder, &Map::new())
}

/// The held-out pairs belong to it: the reference's log-probabilities of them are in the checkpoint.
fn identity(
    model: &Transformer,
    pairs: &[PreferencePair],
    held_out: &[PreferencePair],
    config: &DpoConfig,
) -> Result<RunIdentity> {
    let data = [pairs, held_out].map(|pairs| {
        let lengths: Vec<i64> = pairs.iter().map(|pair| pair.prompt_len as i64).collect();
        let sides = pairs.iter().flat_map(|pair| [pair.chosen.as_slice(), &pair.rejected]);
        hash_of_sequences(sides.chain([lengths.as_slice()]))
    });
    let [data, eval_data] = data;
    let inputs = [("model", hash_of_model(&model.folder)?), ("data", data), (EVAL_DATA, eval_data)];
    Ok(RunIdentity::new("dpo", config, inputs))
}

fn n_tokens(pair: &PreferencePair) -> u64 {
    (pair.chosen.len() + pair.rejected.len()) as u64
}

fn n_tokens_of(pairs: &[PreferencePair]) -> u64 {
    pairs.iter().map(n_tokens).sum()
}

/// log p of a pair's answers, each summed over its tokens.
#[derive(Clone, Copy, Debug, PartialEq)]
struct PairLogprobs {
    chosen: f64,
    rejected: f64,
}

impl From<TwoLogprobs> for PairLogprobs {
    fn from([chosen, rejected]: TwoLogprobs) -> Self {
        Self { chosen, rejected }
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
fn by_pair(logprobs: &[f64]) -> Vec<PairLogprobs> {
    let (chosen, rejected) = logprobs.split_at(logprobs.len() / 2);
    let pairs = chosen.iter().zip(rejected);
    pairs.map(|(&chosen, &rejected)| PairLogprobs { chosen, rejected }).collect()
}

/// log p of the answers of n pairs, without a gradient.
fn measure(model: &Transformer, pairs: &[&PreferencePair]) -> Vec<PairLogprobs> {
    let _guard = tch::no_grad_guard();
    by_pair(&forward(model, pairs).logprobs(model))
}

/// (n) in f64, which takes a gradient.
fn leaf(values: impl Iterator<Item = f64>) -> Tensor {
    Tensor::from_slice(&values.collect::<Vec<_>>()).set_requires_grad(true)
}

/// The mean loss of n pairs, and its gradient by log π of the chosen and of the rejected answers.
fn loss_of(policy: &[PairLogprobs], reference: &[PairLogprobs], beta: f64) -> (f64, [Vec<f64>; 2]) {
    let side = |of: fn(&PairLogprobs) -> f64| {
        leaf(
            policy.iter().zip(reference).map(move |(policy, reference)| of(policy) - of(reference)),
        )
    };
    let (chosen, rejected) = (side(|pair| pair.chosen), side(|pair| pair.rejected));
    let loss = ops::dpo(&chosen, &rejected, beta);
    loss.backward();
    let gradient = |side: &Tensor| Vec::<f64>::try_from(side.grad()).expect("one value per pair");
    (loss.double_value(&[]), [gradient(&chosen), gradient(&rejected)])
}

/// Adds the gradient of one of a step's micro-batches.
fn learn(
    session: &mut TrainingSession,
    pairs: &[&PreferencePair],
    reference: &[PairLogprobs],
    beta: f64,
    n_micro_batches: f64,
) -> Result<PairStatistics> {
    let model = &session.model;
    let forward = forward(model, pairs);
    let policy = by_pair(&forward.logprobs(model));
    let (loss, gradients) = loss_of(&policy, reference, beta);
    let gradients: Vec<f64> =
        gradients.concat().into_iter().map(|gradient| gradient / n_micro_batches).collect();
    let entropy = forward.backward(model, &gradients)?;
    session.optimizer.gather_gradients()?;
    Ok(PairStatistics { entropy, ..PairStatistics::new(&policy, reference, loss, beta) })
}

/// Loss and accuracy on the held-out pairs; none when asked to stop.
fn evaluate(
    session: &mut TrainingSession,
    pairs: &[PreferencePair],
    reference: &ReferenceLogprobs,
    config: &DpoConfig,
    report: &mut Report,
) -> Option<Map<String, Value>> {
    let batch_size = config.optimisation.batch_size;
    let (mut loss, mut n_right, mut n_ties, mut margin) = (0.0, 0.0, 0.0, 0.0);
    let mut bias = LengthBias::default();
    for (pairs, logprobs) in pairs.chunks(batch_size).zip(reference.eval.chunks(batch_size)) {
        let pairs: Vec<&PreferencePair> = pairs.iter().collect();
        let policy = measure(&session.model, &pairs);
        let said: Vec<PairLogprobs> = logprobs.iter().map(|&two| two.into()).collect();
        let (batch_loss, _) = loss_of(&policy, &said, config.beta);
        let statistics = PairStatistics::new(&policy, &said, batch_loss, config.beta);
        loss += statistics.loss * statistics.n;
        n_right += statistics.n_right;
        n_ties += statistics.n_ties;
        for (pair, margin) in pairs.iter().zip(&statistics.margins) {
            bias.add(pair.chosen.len(), pair.rejected.len(), *margin);
        }
        margin += (statistics.chosen_reward - statistics.rejected_reward) * statistics.n;
        let work = pairs.iter().copied().map(n_tokens).sum::<u64>() as f64 * EVALUATION_COST;
        if session.advance(work, 0, report).is_break() {
            return None;
        }
    }
    let n = pairs.len() as f64;
    let (low, high) = wilson_interval(n_right, n);
    let mut metrics = object(json!({
        "eval_loss": loss / n,
        "eval_rewards/ties": n_ties / n,
        "eval_rewards/accuracies": n_right / n,
        "eval_rewards/accuracies_low": low,
        "eval_rewards/accuracies_high": high,
        "eval_rewards/margins": margin / n,
        "eval_pairs": pairs.len(),
    }));
    metrics.extend(bias.metrics());
    Some(metrics)
}

#[cfg(test)]
mod tests;
