//! The files of `trainer pretrain`.

use super::StartFlags;
use std::path::PathBuf;

/// Where `trainer pretrain` reads and writes.
#[derive(Clone, Debug, clap::Args)]
pub struct PretrainPaths {
    /// Folder with config.json and tokenizer.json; without weights in it they start at random
    #[arg(long, value_name = "DIR")]
    pub model: PathBuf,
    /// Texts: `text`, a row per line
    #[arg(long, value_name = "FILE")]
    pub data: PathBuf,
    /// Folder for the trained model, and for checkpoints meanwhile
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    #[command(flatten)]
    pub start: StartFlags,
}
