//! Kahneman–Tversky optimisation: a policy learns from answers that are good or bad, each by itself
//! (Ethayarajh et al. 2024; TRL: `KTOTrainer`, loss `kto`).
//!
//! An answer is good by how much likelier it became than where the run began, beyond z: how far the
//! policy has gone in general, which is measured on prompts with answers of other rows. As in DPO, the
//! reference is the model that the run starts from and speaks once.

mod statistics;

use super::{
    answer_forward::AnswerForward,
    reference::{ReferenceLogprobs, TwoLogprobs},
};
use crate::{
    math::ops,
    model::{self, Transformer},
    run::{
        environment::ComputeEnvironment,
        identity::{EVAL_DATA, RunIdentity, hash_of_model, hash_of_sequences},
        session::{EVALUATION_COST, SessionOpening, TrainingSession},
    },
};
use anyhow::Result;
use entity::{message, report::LogLevel, row_use::RowUse, run_config::KtoConfig};
use serde_json::{Map, Value, json};
use statistics::{AnswerStatistics, HeldOutAnswers, mean, metrics_of};
use std::path::Path;
use tch::Tensor;
use trainer_base::{
    evaluation::DPO_LEARNING_COST,
    job::{Report, VerbOutcome},
    progress::say,
    rows::{self, LabelledAnswer, LoadedRows, RunRows},
    settings::{KtoPaths, StartFlags},
    tokenizer::Tokenizer,
};

/// Trains a policy on answers with a label and writes it as a Hugging Face folder.
pub fn run(paths: &KtoPaths, config: &KtoConfig, report: &mut Report) -> Result<VerbOutcome> {
    let (device, dtype) = (config.optimisation.device, config.optimisation.dtype);
    let Some(environment) = ComputeEnvironment::start(device, dtype, report)? else {
        return Ok(VerbOutcome::Stopped);
    };
    let tokenizer = Tokenizer::load(&paths.model)?;
    let max_length = rows::longest_sequence(&paths.model, config.max_length, report)?;
    let batch_size = config.optimisation.batch_size;
    let held_out = paths.eval_data.as_deref();
    let RunRows { learnt: LoadedRows { rows: answers, counts }, held_out } =
        rows::load_run_rows(&paths.data, held_out, report, |file, report| {
            rows::load_labelled(file, &tokenizer, max_length, batch_size, report)
        })?;
    warn_of_weights(&answers, config, report);
    let lengths = answers.iter().collect();
    environment.tell_forecast(&[&paths.model], config, &lengths, report);
    let model = environment
        .load_to_train(&paths.model, &config.lora, config.optimisation.seed)?
        .expect_language()?;
    let task = KtoTask {
        of_file: counts.of_file,
        model,
        answers: &answers,
        held_out: &held_out,
        out: &paths.out,
        start: paths.start,
    };
    train(task, config, report)
}

/// Says so where one side counts for more than the paper advises: λ_D n_D / (λ_U n_U) from 1 to 4/3
/// (eq. 8).
fn warn_of_weights(answers: &[LabelledAnswer], config: &KtoConfig, report: &mut Report) {
    let n_good = answers.iter().filter(|answer| answer.is_good).count();
    let n_bad = answers.len() - n_good;
    let (good, bad) =
        (config.desirable_weight * n_good as f64, config.undesirable_weight * n_bad as f64);
    let is_balanced = (0.99..=1.34).contains(&(good / bad));
    // Pairs have one of each, and weigh alike as they are.
    if is_balanced || n_good == 0 || n_bad == 0 {
        return;
    }
    let advised = config.undesirable_weight * n_bad as f64 / n_good as f64;
    let unbalanced = message!(
        "kto-weights",
        "{good} answers are good and {bad} are bad; for both sides to weigh alike, set --desirable-weight to about {weight}",
        good = n_good,
        bad = n_bad,
        weight = format!("{:.2}", 1.15 * advised)
    );
    say(report, LogLevel::Warning, unbalanced);
}

struct KtoTask<'a> {
    /// What was made of the file of answers.
    of_file: RowUse,
    model: Transformer,
    answers: &'a [LabelledAnswer],
    held_out: &'a [LabelledAnswer],
    out: &'a Path,
    start: StartFlags,
}

impl<'a> KtoTask<'a> {
    /// What the run's session is opened with.
    fn opening(&self, config: &'a KtoConfig) -> Result<SessionOpening<'a>> {
        let measured =
            |answers: &[LabelledAnswer]| answers.iter().map(work_to_measure).sum::<f64>();
        Ok(SessionOpening {
            kind: "kto",
            learning_rate: config.peak_learning_rate(),
            optimisation: &config.optimisation,
            identity: identity(&self.model, self.answers, self.held_out, config)?,
            out: self.out,
            start: self.start,
            work_of_rows: self.answers.iter().map(work_to_learn).collect(),
            work_before: measured(self.answers) + measured(self.held_out),
            work_per_evaluation: measured(self.held_out),
            eval_every: config.eval_every,
            best: None,
            check_checkpoint: |checkpoint| ReferenceLogprobs::load(checkpoint).map(drop),
        })
    }
}

/// The loop: the mean of the micro-batches' mean losses, as in TRL.
fn train(task: KtoTask, config: &KtoConfig, report: &mut Report) -> Result<VerbOutcome> {
    let opening = task.opening(config)?;
    let KtoTask { of_file, model, answers, held_out, .. } = task;
    let mut session = TrainingSession::open(model, opening, report)?;
    session.tell_unreached(of_file, |row| [answers[row].index], report);

    // 1. The reference's log-probabilities, from the first step's weights or from the checkpoint.
    let found = match session.journal.resumed_from.clone() {
        Some(checkpoint) => Some(ReferenceLogprobs::load(&checkpoint)?),
        None => {
            let (rows, batch_size) = ([answers, held_out], config.optimisation.batch_size);
            let work = work_to_measure;
            ReferenceLogprobs::compute(&mut session, rows, batch_size, measure, work, report)
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
        let learnt = learn_step(&mut session, answers, &reference, config, report)?;
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
    answers: &[LabelledAnswer],
    reference: &ReferenceLogprobs,
    config: &KtoConfig,
    report: &mut Report,
) -> Result<Option<Vec<AnswerStatistics>>> {
    let micro_batches = session.micro_batches();
    let mut seen = Vec::new();
    for rows in &micro_batches {
        let chosen: Vec<&LabelledAnswer> = rows.iter().map(|&row| &answers[row]).collect();
        let said: Vec<TwoLogprobs> = rows.iter().map(|&row| reference.train[row]).collect();
        seen.push(learn(session, &chosen, &said, config, micro_batches.len() as f64)?);
        let work = chosen.iter().copied().map(work_to_learn).sum();
        let n_tokens = chosen.iter().map(|answer| answer.ids.len() as u64).sum();
        if session.advance(work, n_tokens, report).is_break() {
            return Ok(None);
        }
    }
    Ok(Some(seen))
}

fn export(model: &Transformer, folder: &Path) -> Result<()> {
    model::save(model, folder, &Map::new())
}

/// The held-out answers belong to it: the reference's log-probabilities of them are in the checkpoint.
fn identity(
    model: &Transformer,
    answers: &[LabelledAnswer],
    held_out: &[LabelledAnswer],
    config: &KtoConfig,
) -> Result<RunIdentity> {
    let [data, eval_data] = [answers, held_out].map(|answers| {
        let told: Vec<i64> = answers
            .iter()
            .flat_map(|answer| [answer.prompt_len as i64, i64::from(answer.is_good)])
            .collect();
        let texts = answers.iter().flat_map(|answer| [answer.ids.as_slice(), &answer.mismatched]);
        hash_of_sequences(texts.chain([told.as_slice()]))
    });
    let inputs = [("model", hash_of_model(&model.folder)?), ("data", data), (EVAL_DATA, eval_data)];
    Ok(RunIdentity::new("kto", config, inputs))
}

/// Work of a row in tokens that are trained on: its answer, and the mismatched one without a gradient.
fn work_to_learn(answer: &LabelledAnswer) -> f64 {
    answer.ids.len() as f64 * DPO_LEARNING_COST + answer.mismatched.len() as f64 * EVALUATION_COST
}

fn work_to_measure(answer: &LabelledAnswer) -> f64 {
    (answer.ids.len() + answer.mismatched.len()) as f64 * EVALUATION_COST
}

/// log p of each answer and of its prompt's mismatched one, without a gradient.
fn measure(model: &Transformer, answers: &[&LabelledAnswer]) -> Vec<TwoLogprobs> {
    let _guard = tch::no_grad_guard();
    let own = forward(model, answers).logprobs(model);
    let others = measure_mismatched(model, answers);
    own.into_iter().zip(others).map(|(own, other)| [own, other]).collect()
}

fn forward(model: &Transformer, answers: &[&LabelledAnswer]) -> AnswerForward {
    let ids: Vec<&[i64]> = answers.iter().map(|answer| answer.ids.as_slice()).collect();
    AnswerForward::new(model, &ids, &prompt_lens(answers))
}

fn measure_mismatched(model: &Transformer, answers: &[&LabelledAnswer]) -> Vec<f64> {
    let _guard = tch::no_grad_guard();
    let ids: Vec<&[i64]> = answers.iter().map(|answer| answer.mismatched.as_slice()).collect();
    AnswerForward::new(model, &ids, &prompt_lens(answers)).logprobs(model)
}

fn prompt_lens(answers: &[&LabelledAnswer]) -> Vec<usize> {
    answers.iter().map(|answer| answer.prompt_len).collect()
}

/// How far the policy has gone from the reference in general: the mean over the mismatched answers,
/// and at least 0.
fn distance(policy: &[f64], reference: &[TwoLogprobs]) -> f64 {
    let gone: f64 = policy.iter().zip(reference).map(|(policy, [_, said])| policy - said).sum();
    (gone / policy.len() as f64).max(0.0)
}

/// The mean loss of n answers, and its gradient by log π of each.
fn loss_of(
    answers: &[&LabelledAnswer],
    log_ratios: &[f64],
    z: f64,
    config: &KtoConfig,
) -> (f64, Vec<f64>) {
    let of_side = |good: f64, bad: f64| {
        let values: Vec<f64> =
            answers.iter().map(|answer| if answer.is_good { good } else { bad }).collect();
        Tensor::from_slice(&values)
    };
    let signs = of_side(1.0, -1.0);
    let weights = of_side(config.desirable_weight, config.undesirable_weight);
    let log_ratios = Tensor::from_slice(log_ratios).set_requires_grad(true);
    let loss = ops::kto(&log_ratios, &signs, &weights, config.beta, z);
    loss.backward();
    let gradient = Vec::<f64>::try_from(log_ratios.grad()).expect("one value per answer");
    (loss.double_value(&[]), gradient)
}

fn log_ratios(policy: &[f64], reference: &[TwoLogprobs]) -> Vec<f64> {
    policy.iter().zip(reference).map(|(policy, [said, _])| policy - said).collect()
}

/// Adds the gradient of one of a step's micro-batches.
fn learn(
    session: &mut TrainingSession,
    answers: &[&LabelledAnswer],
    reference: &[TwoLogprobs],
    config: &KtoConfig,
    n_micro_batches: f64,
) -> Result<AnswerStatistics> {
    let model = &session.model;
    let z = distance(&measure_mismatched(model, answers), reference);
    let forward = forward(model, answers);
    let policy = forward.logprobs(model);
    let log_ratios = log_ratios(&policy, reference);
    let (loss, gradients) = loss_of(answers, &log_ratios, z, config);
    let gradients: Vec<f64> =
        gradients.into_iter().map(|gradient| gradient / n_micro_batches).collect();
    let entropy = forward.backward(model, &gradients)?;
    session.optimizer.gather_gradients()?;
    let rewards: Vec<f64> = log_ratios.iter().map(|ratio| config.beta * ratio).collect();
    Ok(AnswerStatistics::new(answers, &rewards, &policy, [loss, z, entropy]))
}

/// Loss and rewards of the held-out answers; none when asked to stop.
fn evaluate(
    session: &mut TrainingSession,
    answers: &[LabelledAnswer],
    reference: &ReferenceLogprobs,
    config: &KtoConfig,
    report: &mut Report,
) -> Option<Map<String, Value>> {
    let batch_size = config.optimisation.batch_size;
    let mut seen = HeldOutAnswers::default();
    for (answers, said) in answers.chunks(batch_size).zip(reference.eval.chunks(batch_size)) {
        let answers: Vec<&LabelledAnswer> = answers.iter().collect();
        let measured = measure(&session.model, &answers);
        let (policy, mismatched): (Vec<f64>, Vec<f64>) =
            measured.into_iter().map(|[own, other]| (own, other)).unzip();
        let z = distance(&mismatched, said);
        let log_ratios = log_ratios(&policy, said);
        let (loss, _) = loss_of(&answers, &log_ratios, z, config);
        let rewards: Vec<f64> = log_ratios.iter().map(|ratio| config.beta * ratio).collect();
        seen.add(&answers, &rewards, loss, z);
        let work = answers.iter().copied().map(work_to_measure).sum();
        if session.advance(work, 0, report).is_break() {
            return None;
        }
    }
    Some(seen.metrics())
}

#[cfg(test)]
mod tests;
