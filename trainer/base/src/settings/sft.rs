//! The files of `trainer sft`.

use super::{
    StartFlags,
    run_command::{RunCommand, RunOutput},
};
use entity::{model::ModelKind, run_input::InputSlot};
use std::path::PathBuf;

/// Where `trainer sft` reads and writes.
#[derive(Clone, Debug, clap::Args)]
pub struct SftPaths {
    /// Folder of the model to start from
    #[arg(long, value_name = "DIR")]
    pub model: PathBuf,
    /// Demonstrations: `messages`, or `prompt` and `completion`, a row per line
    #[arg(long, value_name = "FILE")]
    pub data: PathBuf,
    /// Folder for the trained model, and for checkpoints meanwhile
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Demonstrations that are not trained on, to measure the loss on
    #[arg(long, value_name = "FILE")]
    pub eval_data: Option<PathBuf>,
    #[command(flatten)]
    pub start: StartFlags,
}

pub(super) const COMMAND: RunCommand = RunCommand {
    verb: "sft",
    models: &[(InputSlot::Model, "--model")],
    rows: Some("--data"),
    held_out_rows: Some("--eval-data"),
    output: RunOutput::Model { kind: ModelKind::Sft, word: "sft" },
};
