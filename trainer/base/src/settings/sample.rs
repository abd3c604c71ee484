//! The files of `trainer sample`.

use super::run_command::{RunCommand, RunOutput};
use entity::run_input::InputSlot;
use std::path::PathBuf;

#[derive(Clone, Debug, clap::Args)]
pub struct SamplePaths {
    /// The model that answers: a Hugging Face folder
    #[arg(long, value_name = "DIR")]
    pub model: PathBuf,
    /// Prompts to answer (JSONL, .gz allowed)
    #[arg(long, value_name = "FILE")]
    pub prompts: PathBuf,
    /// Where the answers go: a line {"index", "completions"} per prompt, in the prompts' order
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
}

pub(super) const COMMAND: RunCommand = RunCommand {
    verb: "sample",
    models: &[(InputSlot::Model, "--model")],
    rows: Some("--prompts"),
    held_out_rows: None,
    output: RunOutput::File("completions.jsonl"),
};
