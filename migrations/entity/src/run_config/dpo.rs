//! The settings of direct preference optimisation; TRL's `DPOConfig`.

use super::{
    ConfigError, LoraSettings, OptimiserSettings, RunConfig, above_zero, supervised_problems,
};
use clap::Args;
use serde::{Deserialize, Serialize};

/// Direct preference optimisation on comparisons, without a reward model (TRL: `DPOConfig`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Args)]
pub struct DpoConfig {
    /// Peak learning rate [default: 1e-6, and ten times as much with --lora-rank]
    #[arg(long)]
    pub learning_rate: Option<f64>,
    /// Tokens per answer with its prompt; longer ones are cut at the end
    #[arg(long, default_value_t = 1024)]
    pub max_length: usize,
    /// β: how strongly the policy is held to the reference
    #[arg(long, default_value_t = 0.1)]
    pub beta: f64,
    /// Measure the held-out accuracy every so many steps; 0 measures it about ten times; before the first and after the last always
    #[arg(long, default_value_t = 0)]
    pub eval_every: usize,
    #[command(flatten)]
    #[serde(flatten)]
    pub lora: LoraSettings,
    #[command(flatten)]
    #[serde(flatten)]
    pub optimisation: OptimiserSettings,
}

impl Default for DpoConfig {
    fn default() -> Self {
        Self {
            learning_rate: None,
            max_length: 1024,
            beta: 0.1,
            eval_every: 0,
            lora: LoraSettings::default(),
            optimisation: OptimiserSettings::default(),
        }
    }
}

impl DpoConfig {
    /// The peak learning rate, as it was asked for or by default.
    pub fn peak_learning_rate(&self) -> f64 {
        self.lora.learning_rate(self.learning_rate, 1e-6)
    }
}

impl RunConfig for DpoConfig {
    fn resolved(&self) -> Self {
        Self { learning_rate: Some(self.peak_learning_rate()), ..self.clone() }
    }

    fn idle(&self) -> Vec<ConfigError> {
        self.lora.idle()
    }

    fn problems(&self) -> Vec<ConfigError> {
        let mut found = supervised_problems(
            self.learning_rate,
            self.max_length,
            &self.lora,
            &self.optimisation,
        );
        above_zero(&mut found, "beta", self.beta);
        found
    }
}
