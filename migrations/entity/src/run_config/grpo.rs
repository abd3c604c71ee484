//! The settings of group relative policy optimisation; TRL's `GRPOConfig`.

use super::{
    ConfigError, LoraSettings, OptimiserSettings, RewardRules, RolloutConfig, RolloutSettings,
    RunConfig, not_negative, rollout::group_problems, supervised_problems,
};
use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

/// What the losses of tokens are a mean over (TRL: `loss_type`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub enum GrpoLoss {
    /// All tokens of a step alike (Yu et al. 2025); in one batch the same as TRL's bnpo
    #[default]
    #[serde(alias = "bnpo")]
    #[value(alias = "bnpo")]
    Dapo,
    /// Each answer's tokens, then the answers (Shao et al. 2024): tokens of long answers count less
    Grpo,
    /// All tokens, divided by what the answers may have at the most (Liu et al. 2025)
    DrGrpo,
}

/// What a score less its group's mean is divided by (TRL: `scale_rewards`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum ScaleRewards {
    /// The deviation of the answers to the same prompt
    #[default]
    Group,
    /// The deviation of the whole batch
    Batch,
    /// Nothing
    None,
}

/// Group relative policy optimisation: answers to one prompt are judged beside each other, and no value
/// model is needed (TRL: `GRPOConfig`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Args)]
pub struct GrpoConfig {
    /// Peak learning rate [default: 1e-6, and ten times as much with --lora-rank]
    #[arg(long)]
    pub learning_rate: Option<f64>,
    /// Tokens per prompt; longer prompts are dropped
    #[arg(long, default_value_t = 1024)]
    pub max_length: usize,
    /// Answers to each prompt, which are judged beside each other
    #[arg(long, default_value_t = 8)]
    pub num_generations: usize,
    /// Tokens of an answer at the most
    #[arg(long, default_value_t = 512)]
    pub max_completion_length: usize,
    /// Passes over each rollout batch, each an optimiser step
    #[arg(long, default_value_t = 1)]
    pub num_iterations: usize,
    /// β: weight of the KL divergence from the reference in the loss; 0 needs no reference
    #[arg(long, default_value_t = 0.0)]
    pub beta: f64,
    /// ε: how far below 1 the probability ratio counts, and above it without --epsilon-high
    #[arg(long, default_value_t = 0.2)]
    pub epsilon: f64,
    /// How far above 1 the probability ratio counts [default: as --epsilon; DAPO takes 0.28]
    #[arg(long)]
    pub epsilon_high: Option<f64>,
    /// What the losses of tokens are a mean over
    #[arg(long, value_enum, default_value_t = GrpoLoss::Dapo)]
    pub loss_type: GrpoLoss,
    /// What a score less its group's mean is divided by
    #[arg(long, value_enum, default_value_t = ScaleRewards::Group)]
    pub scale_rewards: ScaleRewards,
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

impl Default for GrpoConfig {
    fn default() -> Self {
        Self {
            learning_rate: None,
            max_length: 1024,
            num_generations: 8,
            max_completion_length: 512,
            num_iterations: 1,
            beta: 0.0,
            epsilon: 0.2,
            epsilon_high: None,
            loss_type: GrpoLoss::Dapo,
            scale_rewards: ScaleRewards::Group,
            temperature: 1.0,
            missing_eos_penalty: 0.0,
            eval_every: 0,
            rules: RewardRules::default(),
            lora: LoraSettings::default(),
            optimisation: OptimiserSettings::default(),
        }
    }
}

impl GrpoConfig {
    /// The peak learning rate, as it was asked for or by default.
    pub fn peak_learning_rate(&self) -> f64 {
        self.lora.learning_rate(self.learning_rate, 1e-6)
    }

    /// How far above 1 the probability ratio counts.
    pub fn upper_epsilon(&self) -> f64 {
        self.epsilon_high.unwrap_or(self.epsilon)
    }
}

impl RolloutConfig for GrpoConfig {
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

impl RunConfig for GrpoConfig {
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
