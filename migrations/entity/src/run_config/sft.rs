//! The settings of supervised fine-tuning; TRL's `SFTConfig`.

use super::{ConfigError, OptimiserSettings, RunConfig, supervised_problems};
use clap::Args;
use serde::{Deserialize, Serialize};

/// Supervised fine-tuning on demonstrations (TRL: `SFTConfig`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Args)]
pub struct SftConfig {
    /// Peak learning rate
    #[arg(long, default_value_t = 2e-5)]
    pub learning_rate: f64,
    /// Tokens per sequence; longer ones are cut at the end
    #[arg(long, default_value_t = 1024)]
    pub max_length: usize,
    /// Measure the held-out loss every so many steps; 0 measures it about ten times; before the first and after the last always
    #[arg(long, default_value_t = 0)]
    pub eval_every: usize,
    #[command(flatten)]
    #[serde(flatten)]
    pub optimisation: OptimiserSettings,
}

impl Default for SftConfig {
    fn default() -> Self {
        Self {
            learning_rate: 2e-5,
            max_length: 1024,
            eval_every: 0,
            optimisation: OptimiserSettings::default(),
        }
    }
}

impl RunConfig for SftConfig {
    fn problems(&self) -> Vec<ConfigError> {
        supervised_problems(self.learning_rate, self.max_length, &self.optimisation)
    }
}
