//! How `trainer logprobs`, `trainer score` and `trainer eval` measure.

use entity::run_config::{ConfigError, ConfigProblem, Device, Dtype, RunConfig};
use serde::{Deserialize, Serialize};

/// How `logprobs`, `score` and `eval` measure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, clap::Args)]
pub struct MeasureConfig {
    /// Tokens per sequence; longer rows are cut (logprobs, eval --model) or dropped (score, eval --reward), and counted
    #[arg(long, default_value_t = 1024)]
    pub max_length: usize,
    /// Sequences per forward pass
    #[arg(long, default_value_t = 8)]
    pub batch_size: usize,
    /// Precision
    #[arg(long, value_enum, default_value_t = Dtype::F32)]
    pub dtype: Dtype,
    /// Where to compute
    #[arg(long, value_enum, default_value_t = Device::Auto)]
    pub device: Device,
}

impl Default for MeasureConfig {
    fn default() -> Self {
        Self { max_length: 1024, batch_size: 8, dtype: Dtype::F32, device: Device::Auto }
    }
}

impl RunConfig for MeasureConfig {
    fn problems(&self) -> Vec<ConfigError> {
        let problem = |field: &str, least: u64| ConfigError {
            field: field.into(),
            problem: ConfigProblem::BelowLeast { least },
        };
        let mut found = Vec::new();
        if self.max_length < 2 {
            found.push(problem("max_length", 2));
        }
        if self.batch_size == 0 {
            found.push(problem("batch_size", 1));
        }
        found
    }
}
