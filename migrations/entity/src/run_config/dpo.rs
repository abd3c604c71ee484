//! The settings of direct preference optimisation; TRL's `DPOConfig`.

use super::{
    ConfigError, ConfigProblem, OptimiserSettings, RunConfig, is_positive, problem,
    supervised_problems,
};
use clap::Args;
use serde::{Deserialize, Serialize};

/// Direct preference optimisation on comparisons, without a reward model (TRL: `DPOConfig`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Args)]
pub struct DpoConfig {
    /// Peak learning rate
    #[arg(long, default_value_t = 1e-6)]
    pub learning_rate: f64,
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
    pub optimisation: OptimiserSettings,
}

impl Default for DpoConfig {
    fn default() -> Self {
        Self {
            learning_rate: 1e-6,
            max_length: 1024,
            beta: 0.1,
            eval_every: 0,
            optimisation: OptimiserSettings::default(),
        }
    }
}

impl RunConfig for DpoConfig {
    fn problems(&self) -> Vec<ConfigError> {
        let mut found =
            supervised_problems(self.learning_rate, self.max_length, &self.optimisation);
        if !is_positive(self.beta) {
            found.push(problem("beta", ConfigProblem::NotPositive));
        }
        found
    }
}
