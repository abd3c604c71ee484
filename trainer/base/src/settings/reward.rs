//! The files of `trainer reward`.

use super::{
    StartFlags,
    run_command::{RunCommand, RunOutput},
};
use entity::{model::ModelKind, run_input::InputSlot};
use std::path::PathBuf;

/// Where `trainer reward` reads and writes.
#[derive(Clone, Debug, clap::Args)]
pub struct RewardPaths {
    /// Folder of the model to start from; a language model gets a new score head
    #[arg(long, value_name = "DIR")]
    pub model: PathBuf,
    /// Comparisons: `chosen` and `rejected`, with `prompt` or with the prompt inside both
    #[arg(long, value_name = "FILE")]
    pub data: PathBuf,
    /// Folder for the reward model, and for checkpoints meanwhile
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Comparisons that are not trained on, to measure the accuracy on
    #[arg(long, value_name = "FILE")]
    pub eval_data: Option<PathBuf>,
    #[command(flatten)]
    pub start: StartFlags,
}

pub(super) const COMMAND: RunCommand = RunCommand {
    verb: "reward",
    models: &[(InputSlot::Model, "--model")],
    rows: Some("--data"),
    held_out_rows: Some("--eval-data"),
    output: RunOutput::Model { kind: ModelKind::Reward, word: "reward" },
};
