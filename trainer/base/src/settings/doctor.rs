//! The flags of `trainer doctor`.

use super::ReportFormat;
use std::path::PathBuf;

#[derive(Clone, Debug, clap::Args)]
pub struct DoctorArgs {
    /// The folder that is to hold models, datasets and checkpoints
    #[arg(long, env = "ATTUNE_ARTIFACTS", value_name = "DIR")]
    pub artifacts: Option<PathBuf>,
    /// A table for a person, or one JSON object for a program, on stdout
    #[arg(long, value_enum, default_value_t = ReportFormat::Text)]
    pub report: ReportFormat,
    /// Processor threads to compute with [default: as many as there are cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,
}
