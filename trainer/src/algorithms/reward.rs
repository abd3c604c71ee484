//! A reward model from comparisons: Bradley–Terry (TRL: `RewardTrainer`).
//!
//! A score is read at the last token of prompt and answer, which is where the sequence ends, whatever
//! that token is.

use super::{
    calibration::Calibration,
    length_bias::{LengthBias, right_of},
};
use crate::{
    math::statistics::wilson_interval,
    model::{Transformer, padding},
    run::{
        environment::ComputeEnvironment,
        estimate::RunEstimate,
        identity::{EVAL_DATA, RunIdentity, hash_of_model, hash_of_sequences},
        session::{EVALUATION_COST, SessionOpening, TrainingSession, object},
    },
};
use anyhow::Result;
use entity::{row_use::RowUse, run_config::RewardConfig};
pub(crate) use prompts::FilePairs;
use prompts::PairBatch;
use serde_json::{Map, Value, json};
use std::{path::Path, sync::Arc};
use tch::{Device, Kind, Tensor};
use trainer_base::{
    job::{Report, VerbOutcome},
    rows::{self, AnswerPair, LoadedRows, RunRows},
    settings::{RewardPaths, StartFlags},
    tokenizer::Tokenizer,
};

mod prompts;
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
    let weighting = config.prompt_weighting;
    let learnt = FilePairs::new(&pairs, Some(&paths.data), weighting)?;
    let held_out = FilePairs::new(&held_out, paths.eval_data.as_deref(), weighting)?;
    let lengths = pairs.iter().collect();
    let memory = environment.tell_forecast(&[&paths.model], config, &lengths, report);
    if paths.start.estimate {
        let (of_file, places) = (counts.of_file, |row: usize| [pairs[row].index]);
        let tokens: Vec<f64> = pairs.iter().map(|pair| n_tokens(pair) as f64).collect();
        let estimate = RunEstimate { kind: "reward", memory };
        return Ok(estimate.over_rows(&config.optimisation, &tokens, (of_file, places), report));
    }
    let mut model = environment
        .load_to_train(&paths.model, &config.lora, &config.optimisation)?
        .into_reward_model(config.optimisation.seed)?;
    // Those of a reward model that is trained further are of other scores.
    Arc::make_mut(&mut model.config).set_score_statistics(None);
    let task = RewardTask {
        of_file: counts.of_file,
        model,
        pairs: learnt,
        held_out,
        out: &paths.out,
        start: paths.start,
    };
    train(task, config, report)
}

struct RewardTask<'a> {
    /// What was made of the file of pairs.
    of_file: RowUse,
    model: Transformer,
    pairs: FilePairs<'a>,
    held_out: FilePairs<'a>,
    out: &'a Path,
    start: StartFlags,
}

impl<'a> RewardTask<'a> {
    /// What the run's session is opened with.
    fn opening(&self, config: &'a RewardConfig) -> Result<SessionOpening<'a>> {
        let (pairs, held_out) = (self.pairs.pairs, self.held_out.pairs);
        Ok(SessionOpening {
            kind: "reward",
            learning_rate: config.peak_learning_rate(),
            optimisation: &config.optimisation,
            identity: self.identity(config)?,
            out: self.out,
            start: self.start,
            work_of_rows: pairs.iter().map(|pair| n_tokens(pair) as f64).collect(),
            groups: self.pairs.by_prompt().cloned(),
            work_besides: spread::work(&spread::scored_pairs(pairs, held_out)),
            work_per_evaluation: n_tokens_of(held_out) as f64 * EVALUATION_COST,
            eval_every: config.eval_every,
            best: None,
            check_checkpoint: |_| Ok(()),
        })
    }

    /// What tells the run from others: where prompts count alike, which pairs are about the same, too.
    fn identity(&self, config: &RewardConfig) -> Result<RunIdentity> {
        let model = hash_of_model(&self.model.folder)?;
        let [data, eval_data] = [&self.pairs, &self.held_out].map(hash_of_pairs);
        let inputs = [("model", model), ("data", data), (EVAL_DATA, eval_data)];
        Ok(RunIdentity::new("reward", config, inputs))
    }
}

/// The loop: the mean of the micro-batches' mean losses, as in TRL.
fn train(task: RewardTask, config: &RewardConfig, report: &mut Report) -> Result<VerbOutcome> {
    let opening = task.opening(config)?;
    let RewardTask { of_file, model, pairs, held_out, .. } = task;
    let mut session = TrainingSession::open(model, opening, report)?;
    session.tell_unreached(of_file, |row| [pairs.pairs[row].index], report);

    // 1. What the model can tell before it learns.
    if session.step() == 0 && !held_out.pairs.is_empty() {
        let measured = evaluate(&mut session, &held_out, config, report);
        if session.report_start(measured, report).is_break() {
            return Ok(VerbOutcome::Stopped);
        }
    }
    while !session.is_done() {
        // 2. Gradients of the step's micro-batches.
        let Some(seen) = learn_step(&mut session, &pairs, config, report)? else {
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
        if session.evaluates_now() && !held_out.pairs.is_empty() {
            match evaluate(&mut session, &held_out, config, report) {
                Some(evaluated) => metrics.extend(evaluated),
                None => return session.stop(metrics, export, report),
            }
        }
        if session.report_step(metrics, export, report)?.is_break() {
            return Ok(VerbOutcome::Stopped);
        }
    }
    // 5. How its scores are spread.
    let scored = spread::scored_pairs(pairs.pairs, held_out.pairs);
    let batch_size = config.optimisation.batch_size;
    if spread::measure(&mut session, &scored, batch_size, report).is_break() {
        return session.stop_within_step(export);
    }
    session.finish(export, report)
}

/// The gradients of a step, micro-batch by micro-batch; none when asked to stop.
fn learn_step(
    session: &mut TrainingSession,
    pairs: &FilePairs,
    config: &RewardConfig,
    report: &mut Report,
) -> Result<Option<Vec<ScoredPairs>>> {
    let micro_batches = session.micro_batches();
    let mut seen = Vec::new();
    for rows in &micro_batches {
        let batch = pairs.batch(rows);
        seen.push(learn(session, &batch, config, micro_batches.len() as f64)?);
        let n_tokens = batch.pairs.iter().copied().map(n_tokens).sum();
        if session.advance(n_tokens as f64, n_tokens, report).is_break() {
            return Ok(None);
        }
    }
    Ok(Some(seen))
}

fn export(model: &Transformer, folder: &Path) -> Result<()> {
    padding::save_with_padding(model, folder)
}

fn hash_of_pairs(file: &FilePairs) -> String {
    let pairs = file.pairs;
    let margins: Vec<i64> = pairs.iter().map(|pair| pair.margin.to_bits().cast_signed()).collect();
    let has_margins = pairs.iter().any(|pair| pair.margin != 0.0);
    let as_ids = |places: &Vec<usize>| places.iter().map(|&place| place as i64).collect();
    let of_prompts: Vec<Vec<i64>> = file.by_prompt().into_iter().flatten().map(as_ids).collect();
    let sequences =
        pairs.iter().flat_map(|pair| [pair.chosen.as_slice(), pair.rejected.as_slice()]);
    let sequences = sequences.chain(has_margins.then_some(margins.as_slice()));
    hash_of_sequences(sequences.chain(of_prompts.iter().map(Vec::as_slice)))
}

/// Of both answers, each with its prompt.
pub(crate) fn n_tokens(pair: &AnswerPair) -> u64 {
    (pair.chosen.len() + pair.rejected.len()) as u64
}

fn n_tokens_of(pairs: &[AnswerPair]) -> u64 {
    pairs.iter().map(n_tokens).sum()
}

/// Statistics of the scores of n pairs.
struct ScoredPairs {
    n: f64,
    /// Mean over the pairs, each as much as it counts.
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

    /// How many are right, and Σ chosen − rejected, each as much as it counts.
    fn weighed(&self, weights: Option<&Vec<f32>>) -> (f64, f64) {
        let Some(weights) = weights else { return (self.n_right, self.margin) };
        let of = |value: fn(f64) -> f64| {
            let weighed = self.margins.iter().zip(weights);
            weighed.map(|(margin, by)| f64::from(*by) * value(f64::from(*margin))).sum()
        };
        (of(right_of), of(|margin| margin))
    }
}

/// Adds the gradient of one of a step's micro-batches.
fn learn(
    session: &mut TrainingSession,
    batch: &PairBatch,
    config: &RewardConfig,
    n_micro_batches: f64,
) -> Result<ScoredPairs> {
    let (chosen, rejected) = batch.scores(&session.model);
    let loss = batch.loss(&chosen, &rejected, config);
    (&loss / n_micro_batches).backward();
    session.optimizer.gather_gradients()?;
    Ok(ScoredPairs::new(&chosen, &rejected, &loss))
}

/// Loss and accuracy on the held-out pairs; none when asked to stop.
fn evaluate(
    session: &mut TrainingSession,
    held_out: &FilePairs,
    config: &RewardConfig,
    report: &mut Report,
) -> Option<Map<String, Value>> {
    let mut measured = MeasuredPairs::default();
    for batch in held_out.batches(config.optimisation.batch_size) {
        measured.add(&session.model, &batch, config);
        let work = batch.pairs.iter().copied().map(n_tokens).sum::<u64>() as f64 * EVALUATION_COST;
        if session.advance(work, 0, report).is_break() {
            return None;
        }
    }
    let mut metrics = measured.metrics(held_out.n_counted());
    if config.prompt_weighting {
        metrics.insert("eval_prompts".into(), json!(held_out.n_counted()));
    }
    Some(metrics)
}

/// What a reward model makes of pairs that it does not learn from.
#[derive(Default)]
pub(crate) struct MeasuredPairs {
    n: f64,
    /// Σ
    loss: f64,
    n_right: f64,
    margin: f64,
    bias: LengthBias,
    calibration: Calibration,
}

impl MeasuredPairs {
    /// Adds pairs, scored in one forward pass.
    pub(crate) fn add(&mut self, model: &Transformer, batch: &PairBatch, config: &RewardConfig) {
        let scored = {
            let _guard = tch::no_grad_guard();
            let (chosen, rejected) = batch.scores(model);
            ScoredPairs::new(&chosen, &rejected, &batch.loss(&chosen, &rejected, config))
        };
        let (right, apart) = scored.weighed(batch.weights.as_ref());
        self.n += scored.n;
        self.loss += scored.loss * scored.n;
        self.n_right += right;
        self.margin += apart;
        for (pair, margin) in batch.pairs.iter().zip(&scored.margins) {
            self.bias.add(pair.chosen.len(), pair.rejected.len(), f64::from(*margin));
            self.calibration.add(f64::from(*margin));
        }
    }

    /// Means over the pairs, with Wilson's interval of the accuracy by so many verdicts: pairs about one
    /// prompt may be none of their own.
    pub(crate) fn metrics(&self, n_counted: usize) -> Map<String, Value> {
        let n_counted = n_counted as f64;
        let (low, high) = wilson_interval(self.n_right * (n_counted / self.n), n_counted);
        let mut metrics = object(json!({
            "eval_loss": self.loss / self.n,
            "eval_accuracy": self.n_right / self.n,
            "eval_accuracy_low": low,
            "eval_accuracy_high": high,
            "eval_margin": self.margin / self.n,
            "eval_pairs": self.n as u64,
        }));
        metrics.extend(self.bias.metrics());
        metrics.extend(self.calibration.metrics());
        metrics
    }
}

#[cfg(test)]
mod tests;
