//! What every verb has in common: it reports events through one closure and returns a summary.

use entity::report::{RunReport, RunSummary};
use std::ops::ControlFlow;

/// Log, progress and stop button in one: an algorithm calls it with what happened and stops at
/// once, with a checkpoint, when it answers `Break`. Tests pass a closure that pushes to a `Vec`.
pub type Report<'a> = dyn FnMut(RunReport) -> ControlFlow<()> + 'a;

/// How a verb ended.
#[derive(Clone, Debug, PartialEq)]
pub enum VerbOutcome {
    Finished(RunSummary),
    /// The report closure asked to stop; what was done is in the newest checkpoint.
    Stopped,
}
