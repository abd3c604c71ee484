//! A reward model from comparisons: Bradley–Terry (TRL: `RewardTrainer`).
//!
//! A score is read at the last token of prompt and answer, which is where the sequence ends, whatever
//! that token is.

use super::{
    calibration::Calibration,
    length_bias::{LengthBias, right_of},
};
use crate::{
    math::{ops, statistics::wilson_interval},
    model::{Transformer, padding},
    run::{
        environment::ComputeEnvironment,
        identity::{EVAL_DATA, RunIdentity, hash_of_model, hash_of_sequences},
        session::{EVALUATION_COST, SessionOpening, TrainingSession, object},
    },
};
use anyhow::Result;
use entity::{row_use::RowUse, run_config::RewardConfig};
use serde_json::{Map, Value, json};
use std::path::Path;
use tch::{Device, Kind, Tensor};
use trainer_base::{
    job::{Report, VerbOutcome},
    rows::{self, AnswerPair, LoadedRows, RunRows},
    settings::{RewardPaths, StartFlags},
    tokenizer::Tokenizer,
};

mod spread;

/// Trains a reward model and writes it as a `LlamaForSequenceClassification` folder.
pub fn run(paths: &RewardPaths, config: &RewardConfig, report: &mut Report) -> Result<VerbOutcome> {
    let (device, dtype) = (config.optimisation.device, config.optimisation.dtype);
    let Some(environment) = ComputeEnvironment::start(device, dtype, report)? else {
        return Ok(VerbOutcome::Stopped);
    };
    let tokenizer = Tokenizer::load(&paths.model)?;
    let max_length = rows::longest_sequence(&paths.model, config.max_length, report)?;
    let held_out = paths.eval_data.as_deref();
    let RunRows { learnt: LoadedRows { rows: pairs, counts }, held_out } =
        rows::load_run_rows(&paths.data, held_out, report, |file, report| {
            rows::load_pairs(file, &tokenizer, max_length, report)
        })?;
    let lengths = pairs.iter().collect();
    environment.tell_forecast(&[&paths.model], config, &lengths, report);
    let mut model = environment
        .load_to_train(&paths.model, &config.lora, config.optimisation.seed)?
        .into_reward_model(config.optimisation.seed)?;
    // Those of a reward model that is trained further are of other scores.
    model.config.set_score_statistics(None);
    let task = RewardTask {
        of_file: counts.of_file,
        model,
        pairs: &pairs,
        held_out: &held_out,
        out: &paths.out,
        start: paths.start,
    };
    train(task, config, report)
}

struct RewardTask<'a> {
    /// What was made of the file of pairs.
    of_file: RowUse,
    model: Transformer,
    pairs: &'a [AnswerPair],
    held_out: &'a [AnswerPair],
    out: &'a Path,
    start: StartFlags,
}

impl<'a> RewardTask<'a> {
    /// What the run's session is opened with.
    fn opening(&self, config: &'a RewardConfig) -> Result<SessionOpening<'a>> {
        Ok(SessionOpening {
            kind: "reward",
            learning_rate: config.peak_learning_rate(),
            optimisation: &config.optimisation,
            identity: identity(&self.model, self.pairs, self.held_out, config)?,
            out: self.out,
            start: self.start,
            work_of_rows: self.pairs.iter().map(|pair| n_tokens(pair) as f64).collect(),
            work_besides: spread::work(&spread::scored_pairs(self.pairs, self.held_out)),
            work_per_evaluation: n_tokens_of(self.held_out) as f64 * EVALUATION_COST,
            eval_every: config.eval_every,
            best: None,
            check_checkpoint: |_| Ok(()),
        })
    }
}

/// The loop: the mean of the micro-batches' mean losses, as in TRL.
fn train(task: RewardTask, config: &RewardConfig, report: &mut Report) -> Result<VerbOutcome> {
    let opening = task.opening(config)?;
    let RewardTask { of_file, model, pairs, held_out, .. } = task;
    let mut session = TrainingSession::open(model, opening, report)?;
    session.tell_unreached(of_file, |row| [pairs[row].index], report);

    // 1. What the model can tell before it learns.
    if session.step() == 0 && !held_out.is_empty() {
        let measured = evaluate(&mut session, held_out, config, report);
        if session.report_start(measured, report).is_break() {
            return Ok(VerbOutcome::Stopped);
        }
    }
    while !session.is_done() {
        // 2. Gradients of the step's micro-batches.
        let Some(seen) = learn_step(&mut session, pairs, config, report)? else {
            return session.stop_within_step(export);
        };
        // 3. The step.
        let mean =
            |of: fn(&ScoredPairs) -> f64| seen.iter().map(of).sum::<f64>() / seen.len() as f64;
        let mut metrics = session.update(mean(|scored| scored.loss))?;
        metrics.extend(object(json!({
            "accuracy": mean(|scored| scored.n_right / scored.n),
            "margin": mean(|scored| scored.margin / scored.n),
            "min_reward": mean(|scored| scored.min_reward),
            "mean_reward": mean(|scored| scored.mean_reward),
            "max_reward": mean(|scored| scored.max_reward),
            "num_tokens": session.journal.progress.tokens(),
        })));
        // 4. What it can tell now.
        if session.evaluates_now() && !held_out.is_empty() {
            match evaluate(&mut session, held_out, config, report) {
                Some(evaluated) => metrics.extend(evaluated),
                None => return session.stop(metrics, export, report),
            }
        }
        if session.report_step(metrics, export, report)?.is_break() {
            return Ok(VerbOutcome::Stopped);
        }
    }
    // 5. How its scores are spread.
    let scored = spread::scored_pairs(pairs, held_out);
    let batch_size = config.optimisation.batch_size;
    if spread::measure(&mut session, &scored, batch_size, report).is_break() {
        return session.stop_within_step(export);
    }
    session.finish(export, report)
}

/// The gradients of a step, micro-batch by micro-batch; none when asked to stop.
fn learn_step(
    session: &mut TrainingSession,
    pairs: &[AnswerPair],
    config: &RewardConfig,
    report: &mut Report,
) -> Result<Option<Vec<ScoredPairs>>> {
    let micro_batches = session.micro_batches();
    let mut seen = Vec::new();
    for rows in &micro_batches {
        let pairs: Vec<&AnswerPair> = rows.iter().map(|&row| &pairs[row]).collect();
        seen.push(learn(session, &pairs, config, micro_batches.len() as f64)?);
        let n_tokens = pairs.iter().copied().map(n_tokens).sum();
        if session.advance(n_tokens as f64, n_tokens, report).is_break() {
            return Ok(None);
        }
    }
    Ok(Some(seen))
}

fn export(model: &Transformer, folder: &Path) -> Result<()> {
    padding::save_with_padding(model, folder)
}

fn identity(
    model: &Transformer,
    pairs: &[AnswerPair],
    held_out: &[AnswerPair],
    config: &RewardConfig,
) -> Result<RunIdentity> {
    let model = hash_of_model(&model.folder)?;
    let [data, eval_data] = [pairs, held_out].map(hash_of_pairs);
    let inputs = [("model", model), ("data", data), (EVAL_DATA, eval_data)];
    Ok(RunIdentity::new("reward", config, inputs))
}

fn hash_of_pairs(pairs: &[AnswerPair]) -> String {
    let margins: Vec<i64> = pairs.iter().map(|pair| pair.margin.to_bits().cast_signed()).collect();
    let has_margins = pairs.iter().any(|pair| pair.margin != 0.0);
    let sequences =
        pairs.iter().flat_map(|pair| [pair.chosen.as_slice(), pair.rejected.as_slice()]);
    hash_of_sequences(sequences.chain(has_margins.then_some(margins.as_slice())))
}

fn n_tokens(pair: &AnswerPair) -> u64 {
    (pair.chosen.len() + pair.rejected.len()) as u64
}

fn n_tokens_of(pairs: &[AnswerPair]) -> u64 {
    pairs.iter().map(n_tokens).sum()
}

/// Scores of n pairs: chosen and rejected (n), both sides in one forward pass.
fn score_pairs(model: &Transformer, pairs: &[&AnswerPair]) -> (Tensor, Tensor) {
    let chosen = pairs.iter().map(|pair| pair.chosen.as_slice());
    let rejected = pairs.iter().map(|pair| pair.rejected.as_slice());
    let scores = model.sequence_scores(&chosen.chain(rejected).collect::<Vec<_>>());
    let n = pairs.len() as i64;
    (scores.narrow(0, 0, n), scores.narrow(0, n, n))
}

/// With the margins that the rows name (TRL's column `margin`).
fn loss(
    chosen: &Tensor,
    rejected: &Tensor,
    pairs: &[&AnswerPair],
    config: &RewardConfig,
) -> Tensor {
    let margins = pairs.iter().any(|pair| pair.margin != 0.0).then(|| {
        let margins: Vec<f32> = pairs.iter().map(|pair| pair.margin as f32).collect();
        Tensor::from_slice(&margins).to_device(chosen.device())
    });
    ops::bradley_terry(chosen, rejected, margins.as_ref(), config.center_rewards_coefficient)
}

/// Statistics of the scores of n pairs.
struct ScoredPairs {
    n: f64,
    /// Mean over the pairs.
    loss: f64,
    /// Pairs whose chosen answer scores higher; a tie is half right, as a coin would have it.
    n_right: f64,
    /// Σ chosen − rejected
    margin: f64,
    /// chosen − rejected, pair by pair.
    margins: Vec<f32>,
    min_reward: f64,
    mean_reward: f64,
    max_reward: f64,
}

impl ScoredPairs {
    fn new(chosen: &Tensor, rejected: &Tensor, loss: &Tensor) -> Self {
        let _guard = tch::no_grad_guard();
        let value = |x: Tensor| x.double_value(&[]);
        let all = Tensor::cat(&[chosen, rejected], 0);
        let margins = (chosen - rejected).to_kind(Kind::Float).to_device(Device::Cpu);
        let margins = Vec::<f32>::try_from(margins).expect("one margin per pair");
        Self {
            n: chosen.size()[0] as f64,
            loss: loss.double_value(&[]),
            n_right: margins.iter().map(|margin| right_of(f64::from(*margin))).sum(),
            margin: value((chosen - rejected).sum(Kind::Double)),
            margins,
            min_reward: value(all.min()),
            mean_reward: value(all.mean(Kind::Double)),
            max_reward: value(all.max()),
        }
    }
}

/// Adds the gradient of one of a step's micro-batches.
fn learn(
    session: &mut TrainingSession,
    pairs: &[&AnswerPair],
    config: &RewardConfig,
    n_micro_batches: f64,
) -> Result<ScoredPairs> {
    let (chosen, rejected) = score_pairs(&session.model, pairs);
    let loss = loss(&chosen, &rejected, pairs, config);
    (&loss / n_micro_batches).backward();
    session.optimizer.gather_gradients()?;
    Ok(ScoredPairs::new(&chosen, &rejected, &loss))
}

/// Loss and accuracy on the held-out pairs; none when asked to stop.
fn evaluate(
    session: &mut TrainingSession,
    pairs: &[AnswerPair],
    config: &RewardConfig,
    report: &mut Report,
) -> Option<Map<String, Value>> {
    let (mut sum, mut n_right, mut margin) = (0.0, 0.0, 0.0);
    let (mut bias, mut calibration) = (LengthBias::default(), Calibration::default());
    for pairs in pairs.chunks(config.optimisation.batch_size) {
        let pairs: Vec<&AnswerPair> = pairs.iter().collect();
        let scored = {
            let _guard = tch::no_grad_guard();
            let (chosen, rejected) = score_pairs(&session.model, &pairs);
            ScoredPairs::new(&chosen, &rejected, &loss(&chosen, &rejected, &pairs, config))
        };
        sum += scored.loss * scored.n;
        n_right += scored.n_right;
        margin += scored.margin;
        for (pair, margin) in pairs.iter().zip(&scored.margins) {
            bias.add(pair.chosen.len(), pair.rejected.len(), f64::from(*margin));
            calibration.add(f64::from(*margin));
        }
        let work = pairs.iter().copied().map(n_tokens).sum::<u64>() as f64 * EVALUATION_COST;
        if session.advance(work, 0, report).is_break() {
            return None;
        }
    }
    let n = pairs.len() as f64;
    let (low, high) = wilson_interval(n_right, n);
    let mut metrics = object(json!({
        "eval_loss": sum / n,
        "eval_accuracy": n_right / n,
        "eval_accuracy_low": low,
        "eval_accuracy_high": high,
        "eval_margin": margin / n,
        "eval_pairs": pairs.len(),
    }));
    metrics.extend(bias.metrics());
    metrics.extend(calibration.metrics());
    Some(metrics)
}

#[cfg(test)]
mod tests;
