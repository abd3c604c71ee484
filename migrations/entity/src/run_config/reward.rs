//! The settings of reward modelling; TRL's `RewardConfig`.

use super::{
    ConfigError, LoraSettings, OptimiserSettings, RunConfig, not_negative, supervised_problems,
};
use clap::Args;
use serde::{Deserialize, Serialize};

/// A reward model from comparisons, Bradley–Terry (TRL: `RewardConfig`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Args)]
pub struct RewardConfig {
    /// Peak learning rate [default: 1e-4, and ten times as much with --lora-rank]
    #[arg(long)]
    pub learning_rate: Option<f64>,
    /// Tokens per answer with its prompt; pairs with a longer one are dropped
    #[arg(long, default_value_t = 1024)]
    pub max_length: usize,
    /// Weight of (chosen + rejected)², which keeps scores around zero; 0 leaves it out
    #[arg(long, default_value_t = 0.0)]
    pub center_rewards_coefficient: f64,
    /// Count every prompt alike, whatever the number of its pairs: of answers that were ranked each prompt has many (Ouyang et al. 2022, equation 1). Its pairs follow each other, and an answer that several have is read once in a batch; the held-out accuracy counts prompts alike, too
    #[arg(long, action = clap::ArgAction::Set, default_value_t = false, value_name = "true|false")]
    #[serde(default)] // runs that are older than the setting go on
    pub prompt_weighting: bool,
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

impl Default for RewardConfig {
    fn default() -> Self {
        Self {
            learning_rate: None,
            max_length: 1024,
            center_rewards_coefficient: 0.0,
            prompt_weighting: false,
            eval_every: 0,
            lora: LoraSettings::default(),
            optimisation: OptimiserSettings::default(),
        }
    }
}

impl RewardConfig {
    /// The peak learning rate, as it was asked for or by default.
    pub fn peak_learning_rate(&self) -> f64 {
        self.lora.learning_rate(self.learning_rate, 1e-4)
    }
}

impl RunConfig for RewardConfig {
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
        not_negative(&mut found, "center_rewards_coefficient", self.center_rewards_coefficient);
        found
    }
}
