//! The settings of supervised fine-tuning; TRL's `SFTConfig`.

use super::{ConfigError, LoraSettings, OptimiserSettings, RunConfig, supervised_problems};
use clap::Args;
use serde::{Deserialize, Serialize};

/// Supervised fine-tuning on demonstrations (TRL: `SFTConfig`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Args)]
pub struct SftConfig {
    /// Peak learning rate [default: 2e-5, and ten times as much with --lora-rank]
    #[arg(long)]
    pub learning_rate: Option<f64>,
    /// Tokens per sequence; longer ones are cut at the end
    #[arg(long, default_value_t = 1024)]
    pub max_length: usize,
    /// Measure the held-out loss every so many steps; 0 measures it about ten times; before the first and after the last always
    #[arg(long, default_value_t = 0)]
    pub eval_every: usize,
    #[command(flatten)]
    #[serde(flatten)]
    pub lora: LoraSettings,
    #[command(flatten)]
    #[serde(flatten)]
    pub optimisation: OptimiserSettings,
}

impl Default for SftConfig {
    fn default() -> Self {
        Self {
            learning_rate: None,
            max_length: 1024,
            eval_every: 0,
            lora: LoraSettings::default(),
            optimisation: OptimiserSettings::default(),
        }
    }
}

impl SftConfig {
    /// The peak learning rate, as it was asked for or by default.
    pub fn peak_learning_rate(&self) -> f64 {
        self.lora.learning_rate(self.learning_rate, 2e-5)
    }
}

impl RunConfig for SftConfig {
    fn resolved(&self) -> Self {
        Self { learning_rate: Some(self.peak_learning_rate()), ..self.clone() }
    }

    fn problems(&self) -> Vec<ConfigError> {
        supervised_problems(self.learning_rate, self.max_length, &self.lora, &self.optimisation)
    }
}
