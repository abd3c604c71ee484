//! What a supervised run holds besides its loop: model, optimiser, schedule, rows, checkpoints,
//! progress.

use crate::{
    math::{optimizer::AdamW, schedule::Schedule},
    model::Transformer,
    run::{
        batches::Batches,
        checkpoint::{Checkpoints, Rhythm},
    },
};
use anyhow::{Result, ensure};
use entity::message;
use entity::{
    report::{LogLevel, RunReport},
    run_config::OptimiserSettings,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::{
    ops::ControlFlow,
    path::{Path, PathBuf},
    time::Instant,
};
use trainer_base::{
    job::{Outcome, Report},
    progress::{Progress, say},
    settings::Resume,
};

/// What a session is opened with.
pub(crate) struct Opening<'a> {
    /// "sft", "reward", …
    pub(crate) kind: &'static str,
    pub(crate) learning_rate: f64,
    pub(crate) optimisation: &'a OptimiserSettings,
    /// What tells this run from others: configuration and inputs.
    pub(crate) identity: Value,
    pub(crate) out: &'a Path,
    pub(crate) resume: Resume,
    pub(crate) n_rows: usize,
    /// Work before the first step, of one pass over the rows, and of one evaluation, in tokens
    /// trained on.
    pub(crate) work_before: f64,
    pub(crate) work_per_epoch: f64,
    pub(crate) work_per_evaluation: f64,
    pub(crate) eval_every: usize,
}

/// A supervised run in progress.
pub(crate) struct Session {
    pub(crate) model: Transformer,
    pub(crate) optimizer: AdamW,
    pub(crate) batches: Batches,
    pub(crate) progress: Progress,
    /// Steps done.
    pub(crate) step: u64,
    /// The checkpoint that the run went on from.
    pub(crate) resumed_from: Option<PathBuf>,
    kind: &'static str,
    schedule: Schedule,
    max_grad_norm: f64,
    rhythm: Rhythm,
    eval_every: u64,
    checkpoints: Checkpoints,
    out: PathBuf,
    /// The last value of each metric.
    last: Map<String, Value>,
}

/// What a checkpoint holds besides weights and optimiser.
#[derive(Serialize, Deserialize)]
struct State {
    work: f64,
    tokens: u64,
    seconds: f64,
    last: Map<String, Value>,
}

const OPTIMIZER: &str = "optimizer.safetensors";

impl Session {
    /// Starts a run, or goes on from its newest checkpoint.
    pub(crate) fn open(model: Transformer, opening: &Opening, report: &mut Report) -> Result<Self> {
        let optimisation = opening.optimisation;
        ensure!(
            !same_folder(opening.out, &model.folder),
            message!(
                "out-is-model",
                "--out is the folder of the model; the result needs a folder of its own"
            )
        );
        let batches = Batches::new(opening.n_rows, optimisation);
        let (checkpoints, found) =
            Checkpoints::open::<State>(opening.out, opening.identity.clone(), opening.resume)?;
        let n_evaluations = match opening.eval_every as u64 {
            0 => 2,
            every => 2 + (batches.n_steps.saturating_sub(1)) / every,
        };
        let planned = opening.work_before
            + batches.epochs_after(batches.n_steps) * opening.work_per_epoch
            + n_evaluations as f64 * opening.work_per_evaluation;
        let mut session = Self {
            kind: opening.kind,
            schedule: Schedule {
                kind: optimisation.lr_scheduler,
                peak: opening.learning_rate,
                warmup_steps: optimisation.warmup_steps as u64,
                n_steps: batches.n_steps,
            },
            optimizer: AdamW::new(model.trainable(), optimisation.weight_decay),
            progress: Progress::new(batches.n_steps, planned),
            batches,
            model,
            step: 0,
            resumed_from: None,
            max_grad_norm: optimisation.max_grad_norm,
            rhythm: Rhythm::new(optimisation.save_every),
            eval_every: opening.eval_every as u64,
            checkpoints,
            out: opening.out.to_path_buf(),
            last: Map::new(),
        };
        if let Some(found) = found {
            say(report, LogLevel::Info, found.message());
            session.model.set_weights(&found.folder)?;
            session.optimizer.restore(&found.folder.join(OPTIMIZER), found.step)?;
            session.step = found.step;
            session.progress.resume(found.state.work, found.state.tokens, found.state.seconds);
            session.last = found.state.last;
            session.resumed_from = Some(found.folder);
        }
        Ok(session)
    }

    pub(crate) fn is_done(&self) -> bool {
        self.step == self.batches.n_steps
    }

    /// Whether the held-out rows are to be looked at after the steps done.
    pub(crate) fn evaluates_now(&self) -> bool {
        self.step == 0
            || self.is_done()
            || (self.eval_every > 0 && self.step.is_multiple_of(self.eval_every))
    }

    /// Clips and steps; the metrics that every method has, `loss` being the step's.
    pub(crate) fn update(&mut self, loss: f64) -> Result<Map<String, Value>> {
        let step = self.step + 1;
        ensure!(
            loss.is_finite(),
            message!(
                "loss-no-number",
                "the loss of step {step} is {loss}: lower --learning-rate, or look for damaged weights",
                step = step,
                loss = loss.to_string()
            )
        );
        let grad_norm = self.optimizer.clip_gradients(self.max_grad_norm)?;
        ensure!(
            grad_norm.is_finite(),
            message!(
                "gradient-of-step-no-number",
                "the gradient of step {step} has the norm {norm}: lower --learning-rate",
                step = step,
                norm = grad_norm.to_string()
            )
        );
        let learning_rate = self.schedule.learning_rate(self.step);
        self.optimizer.step(learning_rate)?;
        self.step = step;
        Ok(object(json!({
            "step": step, "loss": loss, "grad_norm": grad_norm, "learning_rate": learning_rate,
            "epoch": self.batches.epochs_after(step),
        })))
    }

    /// Says the metrics of a step; when the answer is to stop, or it is time, writes a checkpoint.
    pub(crate) fn report_step(
        &mut self,
        metrics: Map<String, Value>,
        export: impl FnOnce(&Transformer, &Path) -> Result<()>,
        report: &mut Report,
    ) -> Result<ControlFlow<()>> {
        self.last.extend(metrics.clone());
        self.progress.mark();
        let flow = report(RunReport::Metrics { metrics });
        if !self.is_done() && (flow.is_break() || self.rhythm.is_due(self.step)) {
            self.save_checkpoint(export)?;
        }
        Ok(flow)
    }

    /// Says the metrics of the last step and ends with a checkpoint.
    pub(crate) fn stop(
        &mut self,
        metrics: Map<String, Value>,
        export: impl FnOnce(&Transformer, &Path) -> Result<()>,
        report: &mut Report,
    ) -> Result<Outcome> {
        self.last.extend(metrics.clone());
        // The answer is known: to stop.
        let _ = report(RunReport::Metrics { metrics });
        self.save_checkpoint(export)?;
        Ok(Outcome::Stopped)
    }

    /// Ends in the middle of a step, whose gradients are dropped, with a checkpoint of those before.
    pub(crate) fn stop_within_step(
        &mut self,
        export: impl FnOnce(&Transformer, &Path) -> Result<()>,
    ) -> Result<Outcome> {
        self.progress.rewind();
        self.save_checkpoint(export)?;
        Ok(Outcome::Stopped)
    }

    /// Nothing where there is nothing to keep yet, or checkpoints are not wanted.
    fn save_checkpoint(
        &mut self,
        export: impl FnOnce(&Transformer, &Path) -> Result<()>,
    ) -> Result<()> {
        if self.step == 0 || !self.rhythm.is_wanted() {
            return Ok(());
        }
        let began = Instant::now();
        let state = State {
            work: self.progress.done(),
            tokens: self.progress.tokens(),
            seconds: self.progress.seconds(),
            last: self.last.clone(),
        };
        self.checkpoints.save(self.step, &state, |folder| {
            export(&self.model, folder)?;
            self.optimizer.save(&folder.join(OPTIMIZER))
        })?;
        self.rhythm.written(began);
        Ok(())
    }

    /// Writes the result, then removes the checkpoints.
    pub(crate) fn finish(
        &mut self,
        export: impl FnOnce(&Transformer, &Path) -> Result<()>,
    ) -> Result<Outcome> {
        let summary = self.progress.summary(self.kind, self.step, self.last.clone());
        export(&self.model, &self.out)?;
        self.checkpoints.remove_all()?;
        Ok(Outcome::Finished(summary))
    }
}

fn same_folder(left: &Path, right: &Path) -> bool {
    match (left.canonicalize(), right.canonicalize()) {
        (Ok(left), Ok(right)) => left == right,
        _ => false,
    }
}

/// The map inside a `json!({…})`.
pub(crate) fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        other => unreachable!("not an object: {other}"),
    }
}
