//! The settings of REINFORCE with a leave-one-out baseline; TRL's `RLOOConfig`.

use super::{
    ConfigError, LoraSettings, OptimiserSettings, RewardRules, RolloutConfig, RolloutSettings,
    RunConfig, not_negative, rollout::group_problems, supervised_problems,
};
use clap::Args;
use serde::{Deserialize, Serialize};

/// REINFORCE with a leave-one-out baseline: each answer is judged beside the others to its prompt, and no
/// value model is needed (TRL: `RLOOConfig`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Args)]
pub struct RlooConfig {
    /// Peak learning rate [default: 1e-6, and ten times as much with --lora-rank]
    #[arg(long)]
    pub learning_rate: Option<f64>,
    /// Tokens per prompt; longer prompts are dropped
    #[arg(long, default_value_t = 1024)]
    pub max_length: usize,
    /// Answers to each prompt, which are judged beside each other
    #[arg(long, default_value_t = 2)]
    pub num_generations: usize,
    /// Tokens of an answer at the most
    #[arg(long, default_value_t = 512)]
    pub max_completion_length: usize,
    /// Passes over each rollout batch, each an optimiser step
    #[arg(long, default_value_t = 1)]
    pub num_iterations: usize,
    /// β: weight of the KL divergence from the reference, which is taken off the score; 0 needs no reference
    #[arg(long, default_value_t = 0.05)]
    pub beta: f64,
    /// ε: how far below 1 the probability ratio of an answer counts, and above it without --epsilon-high
    #[arg(long, default_value_t = 0.2)]
    pub epsilon: f64,
    /// How far above 1 the probability ratio of an answer counts [default: as --epsilon]
    #[arg(long)]
    pub epsilon_high: Option<f64>,
    /// Scale the advantages of a batch to mean 0 and deviation 1
    #[arg(long, action = clap::ArgAction::Set, default_value_t = false, value_name = "true|false")]
    pub normalize_advantages: bool,
    /// Sampling temperature of the rollouts
    #[arg(long, default_value_t = 1.0)]
    pub temperature: f64,
    /// Subtracted from the score of an answer that did not end by itself; 0 subtracts nothing
    #[arg(long, default_value_t = 0.0)]
    pub missing_eos_penalty: f64,
    /// Measure the policy on held-out prompts every so many rollout batches; 0 measures it about ten times; before the first and after the last always
    #[arg(long, default_value_t = 0)]
    pub eval_every: usize,
    #[command(flatten)]
    #[serde(flatten)]
    pub rules: RewardRules,
    #[command(flatten)]
    #[serde(flatten)]
    pub lora: LoraSettings,
    #[command(flatten)]
    #[serde(flatten)]
    pub optimisation: OptimiserSettings,
}

impl Default for RlooConfig {
    fn default() -> Self {
        Self {
            learning_rate: None,
            max_length: 1024,
            num_generations: 2,
            max_completion_length: 512,
            num_iterations: 1,
            beta: 0.05,
            epsilon: 0.2,
            epsilon_high: None,
            normalize_advantages: false,
            temperature: 1.0,
            missing_eos_penalty: 0.0,
            eval_every: 0,
            rules: RewardRules::default(),
            lora: LoraSettings::default(),
            optimisation: OptimiserSettings::default(),
        }
    }
}

impl RlooConfig {
    /// The peak learning rate, as it was asked for or by default.
    pub fn peak_learning_rate(&self) -> f64 {
        self.lora.learning_rate(self.learning_rate, 1e-6)
    }

    /// How far above 1 the probability ratio counts.
    pub fn upper_epsilon(&self) -> f64 {
        self.epsilon_high.unwrap_or(self.epsilon)
    }
}

impl RolloutConfig for RlooConfig {
    fn rollouts(&self) -> RolloutSettings {
        RolloutSettings {
            n_answers: self.num_generations,
            answer_length: self.max_completion_length,
            max_length: self.max_length,
            temperature: self.temperature,
            missing_eos_penalty: self.missing_eos_penalty,
            rules: self.rules.clone(),
            episodes: 0,
            passes: self.num_iterations,
            eval_every: self.eval_every,
            learning_rate: self.peak_learning_rate(),
            has_reference: self.beta > 0.0,
            lora: self.lora.clone(),
            optimisation: self.optimisation.clone(),
        }
    }
}

impl RunConfig for RlooConfig {
    fn resolved(&self) -> Self {
        Self {
            learning_rate: Some(self.peak_learning_rate()),
            epsilon_high: Some(self.upper_epsilon()),
            ..self.clone()
        }
    }

    fn idle(&self) -> Vec<ConfigError> {
        [self.lora.idle(), self.rules.idle()].concat()
    }

    fn problems(&self) -> Vec<ConfigError> {
        let mut found = supervised_problems(
            self.learning_rate,
            self.max_length,
            &self.lora,
            &self.optimisation,
        );
        group_problems(
            &mut found,
            self.num_generations,
            self.max_completion_length,
            self.num_iterations,
            [("epsilon", self.epsilon), ("epsilon_high", self.upper_epsilon())],
            self.temperature,
        );
        self.rules.problems(&mut found, self.max_completion_length);
        not_negative(&mut found, "beta", self.beta);
        found
    }
}
