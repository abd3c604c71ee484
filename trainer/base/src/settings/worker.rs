//! The flags of `trainer worker`.

use clap::Args;
use entity::log_format::LogFormat;
use std::path::PathBuf;

#[derive(Clone, Debug, Args)]
pub struct WorkerArgs {
    /// The database that holds the runs: sqlite://… on this machine, or postgres://…
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    pub database_url: String,
    /// The folder that holds models, dataset versions and checkpoints; shared with the web app
    #[arg(long, env = "ATTUNE_ARTIFACTS", value_name = "DIR")]
    pub artifacts: PathBuf,
    /// How the web app calls this worker [default: host name and process id]
    #[arg(long, env = "ATTUNE_WORKER_NAME")]
    pub name: Option<String>,
    /// Address on which Prometheus finds the worker's numbers, at /metrics: HOST:PORT, of a network
    /// that strangers do not reach [default: none]
    #[arg(long, env = "ATTUNE_WORKER_METRICS_LISTEN", value_name = "HOST:PORT")]
    pub metrics_listen: Option<String>,
    /// How log lines are written to standard error
    #[arg(long, env = "ATTUNE_LOG_FORMAT", value_enum, default_value = "text")]
    pub log_format: LogFormat,
    /// Execute one run at the most, then exit
    #[arg(long)]
    pub once: bool,
    /// Days for which a cancelled or failed run can be continued: its newest checkpoint is kept so long
    #[arg(long, default_value_t = 14, value_name = "DAYS")]
    pub keep_checkpoints: u32,
    /// How often to look for a run while idle, in milliseconds
    #[arg(long, default_value_t = 1000)]
    pub poll_ms: u64,
    /// After how many seconds without a sign of life another worker takes a run over
    #[arg(long, default_value_t = 30)]
    pub lease_seconds: u64,
    /// Leave when stdin closes, so that the worker ends with the program that started it
    #[arg(long)]
    pub exit_with_stdin: bool,
    /// The program that executes a run; tests put another in its place [default: this one]
    #[arg(long, hide = true, value_name = "PATH")]
    pub child: Option<PathBuf>,
}
