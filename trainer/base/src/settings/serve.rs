//! The flags of `trainer serve`.

use entity::run_config::{Device, Dtype};
use std::{net::SocketAddr, path::PathBuf};

/// What to serve, and where.
#[derive(Clone, Debug, clap::Args)]
pub struct ServeArgs {
    /// The model that answers: a Hugging Face folder
    #[arg(long, value_name = "DIR")]
    pub model: PathBuf,
    /// What clients call the model [default: the folder's name]
    #[arg(long)]
    pub name: Option<String>,
    /// Address to listen on; port 0 takes a free one, and the first line on stdout says which
    #[arg(long, default_value = "127.0.0.1:8000", value_name = "ADDRESS:PORT")]
    pub listen: SocketAddr,
    /// Address on which Prometheus finds the server's numbers, at /metrics, of a network that
    /// strangers do not reach [default: none]
    #[arg(long, value_name = "HOST:PORT")]
    pub metrics_listen: Option<String>,
    /// Answer only to those who send this key, as `Authorization: Bearer KEY`
    #[arg(long, env = "ATTUNE_SERVE_KEY", hide_env_values = true, value_name = "KEY")]
    pub api_key: Option<String>,
    /// Precision
    #[arg(long, value_enum, default_value_t = Dtype::Auto)]
    pub dtype: Dtype,
    /// Where to compute
    #[arg(long, value_enum, default_value_t = Device::Auto)]
    pub device: Device,
    /// End when stdin closes, so that the server ends with the program that started it
    #[arg(long)]
    pub exit_with_stdin: bool,
}
