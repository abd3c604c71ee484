//! What every verb has in common: it reports events through one closure and returns a summary.

use entity::report::{RunReport, RunSummary};
use std::ops::ControlFlow;

/// Log, progress and stop button in one: an algorithm calls it with what happened and stops at
/// once, with a checkpoint, when it answers `Break`. Tests pass a closure that pushes to a `Vec`.
pub type Report<'a> = dyn FnMut(RunReport) -> ControlFlow<()> + 'a;

/// How a verb ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    Finished(RunSummary),
    /// The report closure asked to stop; what was done is in the newest checkpoint.
    Stopped,
}

/// Whether to go on from a checkpoint in the output folder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Resume {
    /// From the newest complete checkpoint, if there is one.
    #[default]
    Auto,
    /// From the start; a checkpoint in the output folder is an error.
    Never,
    /// As `auto`, and whoever started it removes the checkpoints, once the result is safe.
    #[value(hide = true)]
    Held,
}

/// For tests: what a verb tells.
#[cfg(test)]
pub(crate) mod told {
    use super::{Outcome, Report, RunReport};
    use crate::progress::EVERY;
    use anyhow::Result;
    use serde_json::{Map, Value};
    use std::ops::ControlFlow;

    /// Runs a verb to the end, or to the break that it is asked for once it has told the metrics of
    /// step `until`.
    pub(crate) fn by(
        until: Option<u64>,
        verb: impl FnOnce(&mut Report) -> Result<Outcome>,
    ) -> (Vec<RunReport>, Outcome) {
        let mut events = Vec::new();
        let outcome = verb(&mut |event| {
            let stop = matches!(&event, RunReport::Metrics { metrics }
                if until.is_some() && metrics["step"].as_u64() == until);
            events.push(event);
            if stop { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        (events, outcome.unwrap())
    }

    /// Runs a verb until the `nth` time that it tells its progress after the metrics of `step`,
    /// which is within the next step.
    pub(crate) fn within(
        step: u64,
        nth: usize,
        verb: impl FnOnce(&mut Report) -> Result<Outcome>,
    ) -> (Vec<RunReport>, Outcome) {
        let (mut events, mut n_told) = (Vec::new(), None);
        let outcome = verb(&mut |event| {
            match &event {
                RunReport::Metrics { metrics } if metrics["step"] == step => n_told = Some(0),
                RunReport::Progress { .. } => n_told = n_told.map(|n| n + 1),
                _ => {}
            }
            if n_told.is_some() {
                std::thread::sleep(EVERY); // so that it tells the next time, too
            }
            events.push(event);
            let stop = n_told.is_some_and(|n| n >= nth);
            if stop { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        (events, outcome.unwrap())
    }

    pub(crate) fn metrics(events: &[RunReport]) -> Vec<Map<String, Value>> {
        let metrics = events.iter().filter_map(|event| match event {
            RunReport::Metrics { metrics } => Some(metrics.clone()),
            _ => None,
        });
        metrics.collect()
    }
}
