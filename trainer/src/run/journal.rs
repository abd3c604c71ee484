//! What every training run keeps beside its models: how far it is, its last metrics, and its
//! checkpoints.

use super::best::BestSoFar;
use super::checkpoint::{CheckpointSchedule, FoundCheckpoint, RunCheckpoints};
use super::identity::RunIdentity;
use crate::ffi;
use anyhow::{Result, ensure};
use entity::{message, message::KeyedMessage, report::LogLevel};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::{ops::ControlFlow, path::Path, path::PathBuf, time::Instant};
use trainer_base::{
    job::{Report, VerbOutcome},
    progress::{RunProgress, say},
    settings::StartFlags,
};

/// What a journal is opened with.
pub(crate) struct JournalOpening<'a> {
    /// "sft", "reward", …
    pub(crate) kind: &'static str,
    pub(crate) out: &'a Path,
    pub(crate) start: StartFlags,
    /// What tells this run from others: configuration and inputs.
    pub(crate) identity: RunIdentity,
    pub(crate) save_every: usize,
    pub(crate) n_steps: u64,
    /// All of the run's work, in any unit that is about proportional to time.
    pub(crate) work: f64,
}

/// A run between two steps.
pub(crate) struct RunJournal {
    /// Steps done.
    pub(crate) step: u64,
    pub(crate) n_steps: u64,
    pub(crate) progress: RunProgress,
    /// The checkpoint that the run went on from.
    pub(crate) resumed_from: Option<PathBuf>,
    /// What a run knows of its best model, if it keeps that.
    pub(crate) best: Option<BestSoFar>,
    /// The loss on each held-out row before the first step, as the bits of f32.
    pub(crate) held_out_start: Option<Vec<u32>>,
    kind: &'static str,
    schedule: CheckpointSchedule,
    checkpoints: RunCheckpoints,
    out: PathBuf,
    /// The last value of each metric.
    last: Map<String, Value>,
}

/// What a checkpoint holds besides weights and optimisers. Nothing random is in it: draws and
/// orders are functions of the seed and of how far the run is.
#[derive(Serialize, Deserialize)]
struct JournalState {
    /// Optimiser steps, where a step of the run is several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    n_updates: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    best: Option<BestSoFar>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    held_out_start: Option<Vec<u32>>,
    work: f64,
    tokens: u64,
    seconds: f64,
    last: Map<String, Value>,
}

/// Steps after which what the allocator keeps for the next one goes back to the kernel. Texts of other
/// lengths leave other holes, and over hundreds of steps they would add up; each time costs a step as
/// much as it takes to ask for the pages again, a quarter of it.
const RELEASE_EVERY: u64 = 8;

impl RunJournal {
    /// Starts a run, or goes on from its newest checkpoint: `restore` takes models and optimisers out
    /// of its folder, whose optimisers have taken so many steps.
    pub(crate) fn open(
        opening: JournalOpening,
        report: &mut Report,
        mut restore: impl FnMut(&Path, u64) -> Result<()>,
    ) -> Result<Self> {
        let (checkpoints, found) = RunCheckpoints::open(
            opening.out,
            opening.identity,
            opening.start,
            report,
            |found: &FoundCheckpoint<JournalState>| {
                restore(&found.folder, found.state.n_updates.unwrap_or(found.step))
            },
        )?;
        let mut journal = Self {
            step: 0,
            n_steps: opening.n_steps,
            progress: RunProgress::new(opening.n_steps, opening.work),
            resumed_from: None,
            best: None,
            held_out_start: None,
            kind: opening.kind,
            schedule: CheckpointSchedule::new(opening.save_every),
            checkpoints,
            out: opening.out.to_path_buf(),
            last: Map::new(),
        };
        if let Some(found) = found {
            let state = found.state;
            journal.step = found.step;
            journal.progress.resume(state.work, state.tokens, state.seconds);
            journal.last = state.last;
            journal.best = state.best;
            journal.held_out_start = state.held_out_start;
            let going_on = message!(
                "going-on-from-checkpoint",
                "going on from the checkpoint after step {step}",
                step = found.step
            );
            say(report, LogLevel::Info, going_on);
            journal.resumed_from = Some(found.folder);
        }
        Ok(journal)
    }

    /// The run is to end after the steps done.
    pub(crate) fn end_here(&mut self, report: &mut Report) {
        self.n_steps = self.step;
        self.progress.end_here(self.step);
        // A run that is over need not be asked whether it is to stop.
        let _ = self.progress.advance(self.step, 0.0, 0, report);
    }

    /// Counts a step, of which nothing but weights and the optimiser's numbers is left in memory.
    pub(crate) fn end_step(&mut self) {
        self.step += 1;
        if self.step.is_multiple_of(RELEASE_EVERY) {
            ffi::release_freed_memory();
        }
    }

    pub(crate) fn is_done(&self) -> bool {
        self.step == self.n_steps
    }

    /// Whether a checkpoint is to be written after the steps done.
    pub(crate) fn is_checkpoint_due(&self) -> bool {
        !self.is_done() && self.schedule.is_due(self.step)
    }

    /// Counts work, of which `tokens` were trained on, within the step under way.
    pub(crate) fn advance(
        &mut self,
        work: f64,
        tokens: u64,
        report: &mut Report,
    ) -> ControlFlow<()> {
        self.progress.advance(self.step, work, tokens, report)
    }

    /// Keeps the newest value of each metric, for the summary.
    pub(crate) fn note(&mut self, metrics: &Map<String, Value>) {
        self.last.extend(metrics.clone());
    }

    /// Writes a checkpoint: `write` puts models and optimisers into its folder. Nothing where there is
    /// nothing to keep yet, or checkpoints are not wanted.
    pub(crate) fn save(
        &mut self,
        n_updates: Option<u64>,
        write: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<()> {
        if self.step == 0 || !self.schedule.is_wanted() {
            return Ok(());
        }
        let began = Instant::now();
        let state = JournalState {
            n_updates,
            best: self.best.clone(),
            held_out_start: self.held_out_start.clone(),
            work: self.progress.done(),
            tokens: self.progress.tokens(),
            seconds: self.progress.seconds(),
            last: self.last.clone(),
        };
        self.checkpoints.save(self.step, &state, write)?;
        self.schedule.written(began);
        Ok(())
    }

    /// Writes the result, then removes the checkpoints.
    pub(crate) fn finish(
        &mut self,
        report: &mut Report,
        export: impl FnOnce(&Path, &mut Report) -> Result<()>,
    ) -> Result<VerbOutcome> {
        let summary = self.progress.summary(self.kind, self.step, self.last.clone());
        export(&self.out, report)?;
        self.checkpoints.remove_all()?;
        Ok(VerbOutcome::Finished(summary))
    }
}

/// Refuses an output folder that is the folder of an input: the result would overwrite it.
pub(crate) fn refuse_as_output(out: &Path, input: &Path, name: KeyedMessage) -> Result<()> {
    let is_same = match (out.canonicalize(), input.canonicalize()) {
        (Ok(out), Ok(input)) => out == input,
        _ => false,
    };
    ensure!(
        !is_same,
        message!(
            "out-is-input",
            "--out is the folder of the {name}; the result needs a folder of its own",
            name = name
        )
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use entity::run_config::SampleConfig;
    use serde_json::json;

    fn open(out: &Path, restored: &mut Option<u64>) -> RunJournal {
        let opening = JournalOpening {
            kind: "ppo",
            out,
            start: StartFlags::default(),
            identity: RunIdentity::new("sample", &SampleConfig::default(), []),
            save_every: 1,
            n_steps: 4,
            work: 40.0,
        };
        RunJournal::open(opening, &mut |_| ControlFlow::Continue(()), |_, n_updates| {
            *restored = Some(n_updates);
            Ok(())
        })
        .unwrap()
    }

    #[test]
    fn a_run_goes_on_with_its_steps_its_optimisers_steps_and_its_last_metrics() {
        let out = tempfile::tempdir().unwrap();
        let mut restored = None;
        let mut journal = open(out.path(), &mut restored);
        assert_eq!(restored, None);
        let ignore = &mut |_| ControlFlow::Continue(());
        let _ = journal.advance(10.0, 7, ignore);
        journal.step = 1;
        journal.note(json!({"loss": 0.5}).as_object().unwrap());
        journal.save(Some(8), |_| Ok(())).unwrap();

        let mut resumed = open(out.path(), &mut restored);
        assert_eq!((resumed.step, restored), (1, Some(8)));
        assert_eq!((resumed.progress.done(), resumed.progress.tokens()), (10.0, 7));
        let VerbOutcome::Finished(summary) = resumed.finish(ignore, |_, _| Ok(())).unwrap() else {
            panic!("it was not asked to stop")
        };
        assert_eq!((summary.kind.as_str(), &summary.last["loss"]), ("ppo", &json!(0.5)));
        assert!(open(out.path(), &mut None).resumed_from.is_none(), "its checkpoints are gone");
    }

    #[test]
    fn a_checkpoint_of_a_run_whose_steps_are_its_optimisers_has_no_number_of_its_own() {
        let out = tempfile::tempdir().unwrap();
        let mut journal = open(out.path(), &mut None);
        journal.step = 3;
        journal.save(None, |_| Ok(())).unwrap();
        let text = std::fs::read_to_string(out.path().join("checkpoint-3/attune_state.json"));
        assert!(!text.unwrap().contains("n_updates"));
        let mut restored = None;
        open(out.path(), &mut restored);
        assert_eq!(restored, Some(3));
    }

    #[test]
    fn nothing_is_kept_of_a_run_before_its_first_step() {
        let out = tempfile::tempdir().unwrap();
        let mut journal = open(out.path(), &mut None);
        journal.save(None, |_| panic!("nothing is to be written")).unwrap();
        assert!(open(out.path(), &mut None).resumed_from.is_none());
    }
}
