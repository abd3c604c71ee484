//! The settings of Kahneman–Tversky optimisation; TRL's `KTOConfig`.

use super::{
    ConfigError, ConfigProblem, LoraSettings, OptimiserSettings, RunConfig, above_zero,
    not_negative, problem, supervised_problems,
};
use clap::Args;
use serde::{Deserialize, Serialize};

/// Kahneman–Tversky optimisation on answers that are good or bad, each by itself (TRL: `KTOConfig`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Args)]
pub struct KtoConfig {
    /// Peak learning rate [default: 1e-6, and ten times as much with --lora-rank]
    #[arg(long)]
    pub learning_rate: Option<f64>,
    /// Tokens per answer with its prompt; longer ones are cut at the end
    #[arg(long, default_value_t = 1024)]
    pub max_length: usize,
    /// β: how strongly the policy is held to the reference
    #[arg(long, default_value_t = 0.1)]
    pub beta: f64,
    /// How much a good answer counts; where bad ones are more, raise it so that both sides weigh alike
    #[arg(long, default_value_t = 1.0)]
    pub desirable_weight: f64,
    /// How much a bad answer counts
    #[arg(long, default_value_t = 1.0)]
    pub undesirable_weight: f64,
    /// Measure the held-out answers every so many steps; 0 measures them about ten times; before the first and after the last always
    #[arg(long, default_value_t = 0)]
    pub eval_every: usize,
    #[command(flatten)]
    #[serde(flatten)]
    pub lora: LoraSettings,
    #[command(flatten)]
    #[serde(flatten)]
    pub optimisation: OptimiserSettings,
}

impl Default for KtoConfig {
    fn default() -> Self {
        Self {
            learning_rate: None,
            max_length: 1024,
            beta: 0.1,
            desirable_weight: 1.0,
            undesirable_weight: 1.0,
            eval_every: 0,
            lora: LoraSettings::default(),
            optimisation: OptimiserSettings::default(),
        }
    }
}

impl KtoConfig {
    /// The peak learning rate, as it was asked for or by default.
    pub fn peak_learning_rate(&self) -> f64 {
        self.lora.learning_rate(self.learning_rate, 1e-6)
    }
}

impl RunConfig for KtoConfig {
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
        not_negative(&mut found, "desirable_weight", self.desirable_weight);
        not_negative(&mut found, "undesirable_weight", self.undesirable_weight);
        if self.desirable_weight == 0.0 && self.undesirable_weight == 0.0 {
            found.push(problem("desirable_weight", ConfigProblem::NotPositive));
        }
        found
    }
}
