//! A reward model from comparisons: Bradley–Terry (TRL: `RewardTrainer`).
//!
//! A score is read at the last token of prompt and answer, which is where the sequence ends, whatever
//! that token is.

use crate::{
    algorithms::sft::EVALUATION_COST,
    math::ops,
    model::{PackedBatch, Transformer, padding},
    run::{
        environment::Environment,
        identity::{hash_of_model, hash_of_sequences},
        session::{Opening, Session, object},
    },
};
use anyhow::Result;
use entity::run_config::RewardConfig;
use serde_json::{Map, Value, json};
use std::path::Path;
use tch::{Kind, Tensor};
use trainer_base::{
    job::{Outcome, Report},
    rows::{self, Pair},
    settings::{Resume, RewardPaths},
    tokenizer::Tokenizer,
};

/// Trains a reward model and writes it as a `LlamaForSequenceClassification` folder.
pub fn run(paths: &RewardPaths, config: &RewardConfig, report: &mut Report) -> Result<Outcome> {
    let (device, dtype) = (config.optimisation.device, config.optimisation.dtype);
    let Some(environment) = Environment::start(device, dtype, report)? else {
        return Ok(Outcome::Stopped);
    };
    let tokenizer = Tokenizer::load(&paths.model)?;
    let max_length = rows::longest_sequence(&paths.model, config.max_length, report)?;
    let mut load = |file: &Path| rows::load_pairs(file, &tokenizer, max_length, report);
    let pairs = load(&paths.data)?.rows;
    let held_out = match &paths.eval_data {
        Some(file) => load(file)?.rows,
        None => Vec::new(),
    };
    let model = Transformer::load(&paths.model, environment.kind, environment.device)?
        .into_reward_model(config.optimisation.seed)?;
    let task =
        Task { model, pairs: &pairs, held_out: &held_out, out: &paths.out, resume: paths.resume };
    train(task, config, report)
}

struct Task<'a> {
    model: Transformer,
    pairs: &'a [Pair],
    held_out: &'a [Pair],
    out: &'a Path,
    resume: Resume,
}

/// The loop: the mean of the micro-batches' mean losses, as in TRL.
fn train(task: Task, config: &RewardConfig, report: &mut Report) -> Result<Outcome> {
    let Task { model, pairs, held_out, out, resume } = task;
    let batch_size = config.optimisation.batch_size;
    let opening = Opening {
        kind: "reward",
        learning_rate: config.learning_rate,
        optimisation: &config.optimisation,
        identity: identity(&model, pairs, config)?,
        out,
        resume,
        n_rows: pairs.len(),
        work_before: 0.0,
        work_per_epoch: pairs.iter().map(n_tokens).sum::<u64>() as f64,
        work_per_evaluation: held_out.iter().map(n_tokens).sum::<u64>() as f64 * EVALUATION_COST,
        eval_every: config.eval_every,
    };
    let mut session = Session::open(model, &opening, report)?;

    // 1. What the model can tell before it learns.
    if session.step == 0 && !held_out.is_empty() {
        let Some(mut metrics) = evaluate(&mut session, held_out, batch_size, config, report) else {
            return Ok(Outcome::Stopped);
        };
        metrics.insert("step".into(), json!(0));
        if session.report_step(metrics, export, report)?.is_break() {
            return Ok(Outcome::Stopped);
        }
    }
    while !session.is_done() {
        // 2. Gradients of the step's micro-batches.
        let micro_batches = session.batches.of_step(session.step);
        let n_micro_batches = micro_batches.len() as f64;
        let mut seen = Vec::new();
        for rows in &micro_batches {
            let pairs: Vec<&Pair> = rows.iter().map(|&row| &pairs[row]).collect();
            seen.push(learn(&mut session, &pairs, config, n_micro_batches)?);
            let n_tokens = pairs.iter().copied().map(n_tokens).sum();
            let flow = session.progress.advance(session.step, n_tokens as f64, n_tokens, report);
            if flow.is_break() {
                return session.stop_within_step(export);
            }
        }
        // 3. The step.
        let mean = |of: fn(&Scored) -> f64| seen.iter().map(of).sum::<f64>() / n_micro_batches;
        let mut metrics = session.update(mean(|scored| scored.loss))?;
        metrics.extend(object(json!({
            "accuracy": mean(|scored| scored.n_right / scored.n),
            "margin": mean(|scored| scored.margin / scored.n),
            "min_reward": mean(|scored| scored.min_reward),
            "mean_reward": mean(|scored| scored.mean_reward),
            "max_reward": mean(|scored| scored.max_reward),
            "num_tokens": session.progress.tokens(),
        })));
        // 4. What it can tell now.
        if session.evaluates_now() && !held_out.is_empty() {
            match evaluate(&mut session, held_out, batch_size, config, report) {
                Some(evaluated) => metrics.extend(evaluated),
                None => return session.stop(metrics, export, report),
            }
        }
        if session.report_step(metrics, export, report)?.is_break() && !session.is_done() {
            return Ok(Outcome::Stopped);
        }
    }
    session.finish(export)
}

fn export(model: &Transformer, folder: &Path) -> Result<()> {
    padding::save_with_padding(model, folder)
}

fn identity(model: &Transformer, pairs: &[Pair], config: &RewardConfig) -> Result<Value> {
    let mut config = object(serde_json::to_value(config)?);
    config.shift_remove("save_every");
    let sequences =
        pairs.iter().flat_map(|pair| [pair.chosen.as_slice(), pair.rejected.as_slice()]);
    Ok(json!({
        "kind": "reward",
        "config": config,
        "model": hash_of_model(&model.folder)?,
        "data": hash_of_sequences(sequences),
    }))
}

fn n_tokens(pair: &Pair) -> u64 {
    (pair.chosen.len() + pair.rejected.len()) as u64
}

/// The score of each sequence: its last hidden state through the head: (number of sequences), f32.
pub(crate) fn score(model: &Transformer, sequences: &[&[i64]]) -> Tensor {
    let batch = PackedBatch::new(sequences, model.device);
    let last = model.hidden(&batch).index_select(0, &batch.last_rows());
    model.scores(&last)
}

/// Scores of n pairs: chosen and rejected (n), both sides in one forward pass.
fn score_pairs(model: &Transformer, pairs: &[&Pair]) -> (Tensor, Tensor) {
    let chosen = pairs.iter().map(|pair| pair.chosen.as_slice());
    let rejected = pairs.iter().map(|pair| pair.rejected.as_slice());
    let scores = score(model, &chosen.chain(rejected).collect::<Vec<_>>());
    let n = pairs.len() as i64;
    (scores.narrow(0, 0, n), scores.narrow(0, n, n))
}

/// What the scores of n pairs say.
struct Scored {
    n: f64,
    /// Mean over the pairs.
    loss: f64,
    /// Pairs whose chosen answer scores higher; a tie is not right.
    n_right: f64,
    /// Σ chosen − rejected
    margin: f64,
    min_reward: f64,
    mean_reward: f64,
    max_reward: f64,
}

impl Scored {
    fn new(chosen: &Tensor, rejected: &Tensor, loss: &Tensor) -> Self {
        let _guard = tch::no_grad_guard();
        let value = |x: Tensor| x.double_value(&[]);
        let all = Tensor::cat(&[chosen, rejected], 0);
        Self {
            n: chosen.size()[0] as f64,
            loss: loss.double_value(&[]),
            n_right: value(chosen.gt_tensor(rejected).sum(Kind::Double)),
            margin: value((chosen - rejected).sum(Kind::Double)),
            min_reward: value(all.min()),
            mean_reward: value(all.mean(Kind::Double)),
            max_reward: value(all.max()),
        }
    }
}

/// Adds the gradient of one of a step's micro-batches.
fn learn(
    session: &mut Session,
    pairs: &[&Pair],
    config: &RewardConfig,
    n_micro_batches: f64,
) -> Result<Scored> {
    let (chosen, rejected) = score_pairs(&session.model, pairs);
    let loss = ops::bradley_terry(&chosen, &rejected, config.center_rewards_coefficient);
    (&loss / n_micro_batches).backward();
    session.optimizer.gather_gradients()?;
    Ok(Scored::new(&chosen, &rejected, &loss))
}

/// Loss and accuracy on the held-out pairs; none when asked to stop.
fn evaluate(
    session: &mut Session,
    pairs: &[Pair],
    batch_size: usize,
    config: &RewardConfig,
    report: &mut Report,
) -> Option<Map<String, Value>> {
    let (mut loss, mut n_right, mut margin) = (0.0, 0.0, 0.0);
    for pairs in pairs.chunks(batch_size) {
        let pairs: Vec<&Pair> = pairs.iter().collect();
        let scored = {
            let _guard = tch::no_grad_guard();
            let (chosen, rejected) = score_pairs(&session.model, &pairs);
            let coefficient = config.center_rewards_coefficient;
            Scored::new(&chosen, &rejected, &ops::bradley_terry(&chosen, &rejected, coefficient))
        };
        loss += scored.loss * scored.n;
        n_right += scored.n_right;
        margin += scored.margin;
        let work = pairs.iter().copied().map(n_tokens).sum::<u64>() as f64 * EVALUATION_COST;
        let step = session.step;
        if session.progress.advance(step, work, 0, report).is_break() {
            return None;
        }
    }
    let n = pairs.len() as f64;
    let (low, high) = wilson_interval(n_right, n);
    Some(object(json!({
        "eval_loss": loss / n,
        "eval_accuracy": n_right / n,
        "eval_accuracy_low": low,
        "eval_accuracy_high": high,
        "eval_margin": margin / n,
        "eval_pairs": pairs.len(),
    })))
}

/// Where the true rate lies with 95 % confidence, after `n_right` of `n` (Wilson 1927).
pub(crate) fn wilson_interval(n_right: f64, n: f64) -> (f64, f64) {
    const Z: f64 = 1.959_963_984_540_054;
    let rate = n_right / n;
    let center = (rate + Z * Z / (2.0 * n)) / (1.0 + Z * Z / n);
    let half = Z / (1.0 + Z * Z / n) * (rate * (1.0 - rate) / n + Z * Z / (4.0 * n * n)).sqrt();
    ((center - half).max(0.0), (center + half).min(1.0))
}

#[cfg(test)]
mod tests;
