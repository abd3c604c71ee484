//! The files of `trainer score`.

use std::path::PathBuf;

/// Where `trainer score` reads and writes.
#[derive(Clone, Debug, clap::Args)]
pub struct ScorePaths {
    /// Folder of the reward model
    #[arg(long, value_name = "DIR")]
    pub model: PathBuf,
    /// Answers (`messages`, or `prompt` and `completion`), pairs (`chosen` and `rejected`), or what
    /// `trainer sample` wrote
    #[arg(long, value_name = "FILE")]
    pub data: PathBuf,
    /// The prompts that `trainer sample` answered, where --data is what it wrote
    #[arg(long, value_name = "FILE")]
    pub prompts: Option<PathBuf>,
    /// Where to write a line per row: index and score, or index, chosen and rejected, or index and scores
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
}
