//! What methods share that learn from people's judgements without a reward model: a run is held to
//! what its beginning, the reference, said of every row.

mod answer_forward;
mod reference;

use crate::{
    model::{self, Transformer},
    run::{
        environment::ComputeEnvironment,
        estimate::RunEstimate,
        identity::{EVAL_DATA, RunIdentity, hash_of_model},
        session::{SessionOpening, TrainingSession},
    },
};
pub(super) use answer_forward::AnswerForward;
use anyhow::Result;
use entity::run_config::{LoraSettings, OptimiserSettings, RunConfig};
use reference::ReferenceLogprobs;
pub(super) use reference::TwoLogprobs;
use serde_json::{Map, Value, json};
use std::path::Path;
use trainer_base::{
    job::{Report, VerbOutcome},
    memory::{MemoryNeeds, RowLength},
    rows::{ComparedRow, LoadedRows, RunRows},
    settings::StartFlags,
};

/// A method with its settings.
pub(super) trait PreferenceMethod: RunConfig + MemoryNeeds {
    /// "dpo", …
    const KIND: &'static str;
    type Row: ComparedRow;
    /// What is known of a micro-batch that was learnt from.
    type Statistics;
    /// What is known of the held-out rows.
    type HeldOut: Default;

    fn optimisation(&self) -> &OptimiserSettings;
    fn lora(&self) -> &LoraSettings;
    fn peak_rate(&self) -> f64;
    fn eval_every(&self) -> usize;

    /// Everything of the rows that a run follows from.
    fn hash_of_rows(rows: &[Self::Row]) -> String;
    /// Tokens of a row that are learnt from.
    fn n_tokens(row: &Self::Row) -> u64;
    /// Work of learning from a row, and of measuring it, in tokens trained on.
    fn work_to_learn(row: &Self::Row) -> f64;
    fn work_to_measure(row: &Self::Row) -> f64;

    /// log p of the two sequences of each row, without a gradient.
    fn measure(model: &Transformer, rows: &[&Self::Row]) -> Vec<TwoLogprobs>;

    /// Adds the gradient of one of a step's micro-batches, given what the reference said.
    fn learn(
        &self,
        session: &mut TrainingSession,
        rows: &[&Self::Row],
        said: &[TwoLogprobs],
        n_micro_batches: f64,
    ) -> Result<Self::Statistics>;

    /// The mean loss of a micro-batch.
    fn loss(seen: &Self::Statistics) -> f64;
    /// The metrics of a step that are the method's own.
    fn metrics(seen: &[Self::Statistics]) -> Map<String, Value>;

    /// Adds a batch of held-out rows: what the policy and what the reference say of it.
    fn hold_out(
        &self,
        seen: &mut Self::HeldOut,
        rows: &[&Self::Row],
        policy: &[TwoLogprobs],
        said: &[TwoLogprobs],
    );
    fn held_out_metrics(seen: &Self::HeldOut) -> Map<String, Value>;
}

/// The folders that such a run works on.
pub(super) struct PreferencePaths<'a> {
    pub(super) model: &'a Path,
    pub(super) out: &'a Path,
    pub(super) start: StartFlags,
}

/// Trains a policy on rows that were read and writes it as a Hugging Face folder.
pub(super) fn run<M: PreferenceMethod>(
    method: &M,
    paths: &PreferencePaths,
    environment: &ComputeEnvironment,
    rows: RunRows<M::Row>,
    report: &mut Report,
) -> Result<VerbOutcome>
where
    for<'a> RowLength: From<&'a M::Row>,
{
    let RunRows { learnt: LoadedRows { rows, counts }, held_out } = rows;
    let lengths = rows.iter().collect();
    let memory = environment.tell_forecast(&[paths.model], method, &lengths, report);
    if paths.start.estimate {
        let (of_file, places) = (counts.of_file, |row: usize| [rows[row].place()]);
        let tokens: Vec<f64> = rows.iter().map(|row| M::n_tokens(row) as f64).collect();
        let estimate = RunEstimate { kind: M::KIND, memory };
        return Ok(estimate.over_rows(method.optimisation(), &tokens, (of_file, places), report));
    }
    let model = environment
        .load_to_train(paths.model, method.lora(), method.optimisation())?
        .expect_language()?;
    let opening = opening(method, paths, &model, [&rows, &held_out])?;
    let mut session = TrainingSession::open(model, opening, report)?;
    session.tell_unreached(counts.of_file, |row| [rows[row].place()], report);
    PreferenceRun { method, rows: &rows, held_out: &held_out }.train(&mut session, report)
}

fn opening<'a, M: PreferenceMethod>(
    method: &'a M,
    paths: &PreferencePaths<'a>,
    model: &Transformer,
    rows: [&[M::Row]; 2],
) -> Result<SessionOpening<'a>> {
    let [data, eval_data] = rows.map(M::hash_of_rows);
    let inputs = [("model", hash_of_model(&model.folder)?), ("data", data), (EVAL_DATA, eval_data)];
    let [rows, held_out] = rows;
    let measured = |rows: &[M::Row]| rows.iter().map(M::work_to_measure).sum::<f64>();
    Ok(SessionOpening {
        kind: M::KIND,
        learning_rate: method.peak_rate(),
        optimisation: method.optimisation(),
        // The held-out rows belong to it: what the reference said of them is in the checkpoint.
        identity: RunIdentity::new(M::KIND, method, inputs),
        out: paths.out,
        start: paths.start,
        work_of_rows: rows.iter().map(M::work_to_learn).collect(),
        groups: None,
        work_besides: measured(rows) + measured(held_out),
        work_per_evaluation: measured(held_out),
        eval_every: method.eval_every(),
        best: None,
        check_checkpoint: |checkpoint| ReferenceLogprobs::load(checkpoint).map(drop),
    })
}

struct PreferenceRun<'a, M: PreferenceMethod> {
    method: &'a M,
    rows: &'a [M::Row],
    held_out: &'a [M::Row],
}

impl<M: PreferenceMethod> PreferenceRun<'_, M> {
    /// The loop: the mean of the micro-batches' mean losses, as in TRL.
    fn train(&self, session: &mut TrainingSession, report: &mut Report) -> Result<VerbOutcome> {
        // 1. The reference's log-probabilities, from the first step's weights or from the checkpoint.
        let found = match session.journal.resumed_from.clone() {
            Some(checkpoint) => Some(ReferenceLogprobs::load(&checkpoint)?),
            None => ReferenceLogprobs::compute::<M>(
                session,
                [self.rows, self.held_out],
                self.method.optimisation().batch_size,
                report,
            ),
        };
        let Some(reference) = found else { return Ok(VerbOutcome::Stopped) };
        let checkpoint = |model: &Transformer, folder: &Path| {
            export(model, folder)?;
            reference.save(folder)
        };

        // 2. What the policy can tell before it learns.
        if session.step() == 0 && !self.held_out.is_empty() {
            let measured = self.evaluate(session, &reference, report);
            if session.report_start(measured, report).is_break() {
                return Ok(VerbOutcome::Stopped);
            }
        }
        while !session.is_done() {
            // 3. Gradients of the step's micro-batches.
            let Some(seen) = self.learn_step(session, &reference, report)? else {
                return session.stop_within_step(checkpoint);
            };
            // 4. The step.
            let loss = seen.iter().map(M::loss).sum::<f64>() / seen.len() as f64;
            let mut metrics = session.update(loss)?;
            metrics.extend(M::metrics(&seen));
            metrics.insert("num_tokens".into(), json!(session.journal.progress.tokens()));
            // 5. What it can tell now.
            if session.evaluates_now() && !self.held_out.is_empty() {
                match self.evaluate(session, &reference, report) {
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
        &self,
        session: &mut TrainingSession,
        reference: &ReferenceLogprobs,
        report: &mut Report,
    ) -> Result<Option<Vec<M::Statistics>>> {
        let micro_batches = session.micro_batches();
        let mut seen = Vec::new();
        for places in &micro_batches {
            let rows: Vec<&M::Row> = places.iter().map(|&place| &self.rows[place]).collect();
            let said: Vec<TwoLogprobs> =
                places.iter().map(|&place| reference.train[place]).collect();
            seen.push(self.method.learn(session, &rows, &said, micro_batches.len() as f64)?);
            let work = rows.iter().map(|row| M::work_to_learn(row)).sum();
            let n_tokens = rows.iter().map(|row| M::n_tokens(row)).sum();
            if session.advance(work, n_tokens, report).is_break() {
                return Ok(None);
            }
        }
        Ok(Some(seen))
    }

    /// What the policy makes of the held-out rows; none when asked to stop.
    fn evaluate(
        &self,
        session: &mut TrainingSession,
        reference: &ReferenceLogprobs,
        report: &mut Report,
    ) -> Option<Map<String, Value>> {
        let batch_size = self.method.optimisation().batch_size;
        let mut seen = M::HeldOut::default();
        let batches = self.held_out.chunks(batch_size).zip(reference.eval.chunks(batch_size));
        for (rows, said) in batches {
            let rows: Vec<&M::Row> = rows.iter().collect();
            let policy = M::measure(&session.model, &rows);
            self.method.hold_out(&mut seen, &rows, &policy, said);
            let work = rows.iter().map(|row| M::work_to_measure(row)).sum();
            if session.advance(work, 0, report).is_break() {
                return None;
            }
        }
        Some(M::held_out_metrics(&seen))
    }
}

fn export(model: &Transformer, folder: &Path) -> Result<()> {
    model::save(model, folder, &Map::new())
}
