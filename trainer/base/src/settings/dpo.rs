//! The files of `trainer dpo`.

use super::{
    StartFlags,
    run_command::{RunCommand, RunOutput},
};
use entity::{model::ModelKind, run_input::InputSlot};
use std::path::PathBuf;

/// Where `trainer dpo` reads and writes.
#[derive(Clone, Debug, clap::Args)]
pub struct DpoPaths {
    /// Folder of the model to start from, which is the reference too
    #[arg(long, value_name = "DIR")]
    pub model: PathBuf,
    /// Comparisons: `chosen` and `rejected`, with `prompt` or with the prompt inside both
    #[arg(long, value_name = "FILE")]
    pub data: PathBuf,
    /// Folder for the policy, and for checkpoints meanwhile
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Comparisons that are not trained on, to measure the accuracy on
    #[arg(long, value_name = "FILE")]
    pub eval_data: Option<PathBuf>,
    #[command(flatten)]
    pub start: StartFlags,
}

pub(super) const COMMAND: RunCommand = RunCommand {
    verb: "dpo",
    models: &[(InputSlot::Model, "--model")],
    rows: Some("--data"),
    held_out_rows: Some("--eval-data"),
    output: RunOutput::Model { kind: ModelKind::Policy, word: "dpo" },
};
