//! The settings of training on raw text, to predict the next token.

use super::{ConfigError, LoraSettings, OptimiserSettings, RunConfig, supervised_problems};
use clap::Args;
use serde::{Deserialize, Serialize};

/// Next-token training on raw text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Args)]
pub struct PretrainConfig {
    /// Peak learning rate
    #[arg(long, default_value_t = 1e-3)]
    pub learning_rate: f64,
    /// Tokens per sequence; longer texts are split
    #[arg(long, default_value_t = 1024)]
    pub max_length: usize,
    #[command(flatten)]
    #[serde(flatten)]
    pub optimisation: OptimiserSettings,
}

impl Default for PretrainConfig {
    fn default() -> Self {
        Self { learning_rate: 1e-3, max_length: 1024, optimisation: OptimiserSettings::default() }
    }
}

impl RunConfig for PretrainConfig {
    fn problems(&self) -> Vec<ConfigError> {
        supervised_problems(
            Some(self.learning_rate),
            self.max_length,
            &LoraSettings::default(),
            &self.optimisation,
        )
    }
}
