//! The files of `trainer kto`.

use super::{
    StartFlags,
    run_command::{RunCommand, RunOutput},
};
use entity::{model::ModelKind, run_input::InputSlot};
use std::path::PathBuf;

/// Where `trainer kto` reads and writes.
#[derive(Clone, Debug, clap::Args)]
pub struct KtoPaths {
    /// Folder of the model to start from, which is the reference too
    #[arg(long, value_name = "DIR")]
    pub model: PathBuf,
    /// Answers with a `label`, true for a good one: `prompt` and `completion`, or `messages`; or
    /// comparisons, whose `chosen` is good and whose `rejected` is bad
    #[arg(long, value_name = "FILE")]
    pub data: PathBuf,
    /// Folder for the policy, and for checkpoints meanwhile
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Answers that are not trained on, to measure on whether good ones are told from bad ones
    #[arg(long, value_name = "FILE")]
    pub eval_data: Option<PathBuf>,
    #[command(flatten)]
    pub start: StartFlags,
}

pub(super) const COMMAND: RunCommand = RunCommand {
    verb: "kto",
    models: &[(InputSlot::Model, "--model")],
    rows: Some("--data"),
    held_out_rows: Some("--eval-data"),
    output: RunOutput::Model { kind: ModelKind::Policy, word: "kto" },
};
