//! The files of `trainer logprobs`.

use std::path::PathBuf;

/// Where `trainer logprobs` reads and writes.
#[derive(Clone, Debug, clap::Args)]
pub struct LogprobsPaths {
    /// Folder of the model
    #[arg(long, value_name = "DIR")]
    pub model: PathBuf,
    /// Prompts with answers: `messages`, or `prompt` and `completion`, a row per line
    #[arg(long, value_name = "FILE")]
    pub data: PathBuf,
    /// Where to write a line per row: index, prompt_token_ids, token_ids, logprobs
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
}
