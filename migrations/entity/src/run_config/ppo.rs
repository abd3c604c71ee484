//! The settings of proximal policy optimisation; TRL's `PPOConfig`.

use super::{
    AdaptiveKl, ConfigError, ConfigProblem, LoraSettings, MOST_OF_ANYTHING, OptimiserSettings,
    RewardRules, RolloutConfig, RolloutSettings, RunConfig, at_least_one, at_most, is_positive,
    not_negative, problem, supervised_problems,
};
use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum KlEstimator {
    /// log π − log π_ref: unbiased
    #[default]
    K1,
    /// exp(r) − 1 − r with r = log π_ref − log π: unbiased, never negative
    K3,
}

/// Proximal policy optimisation against a reward model (TRL: `PPOConfig`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Args)]
pub struct PpoConfig {
    /// Peak learning rate of policy and value model [default: 3e-6, and ten times as much with --lora-rank]
    #[arg(long)]
    pub learning_rate: Option<f64>,
    /// Tokens per prompt; longer prompts are dropped
    #[arg(long, default_value_t = 1024)]
    pub max_length: usize,
    /// Responses to roll out over the whole run; 0 follows --epochs
    #[arg(long, default_value_t = 0)]
    pub episodes: usize,
    /// Tokens of a response at the most
    #[arg(long, default_value_t = 53)]
    pub response_length: usize,
    /// Passes over each rollout batch
    #[arg(long, default_value_t = 4)]
    pub ppo_epochs: usize,
    /// Minibatches per pass, each an optimiser step
    #[arg(long, default_value_t = 1)]
    pub minibatches: usize,
    /// End the passes over a rollout batch once the KL between the policy and the one that answered is above 1.5 times this (per token; policy/approxkl_max in the metrics); 0 never ends them early
    #[arg(long, default_value_t = 0.0)]
    #[serde(default)] // runs that are older than the setting go on
    pub target_kl: f64,
    /// β: weight of the KL penalty against the reference, or with --adaptive-kl-target where it begins
    #[arg(long, default_value_t = 0.05)]
    pub kl_coef: f64,
    #[command(flatten)]
    #[serde(flatten)]
    pub adaptive_kl: AdaptiveKl,
    /// How the KL penalty is estimated per token
    #[arg(long, value_enum, default_value_t = KlEstimator::K1)]
    pub kl_estimator: KlEstimator,
    /// ε: how far the probability ratio may move the policy loss
    #[arg(long, default_value_t = 0.2)]
    pub cliprange: f64,
    /// How far a value may move from the rollout's
    #[arg(long, default_value_t = 0.2)]
    pub cliprange_value: f64,
    /// Weight of the value loss
    #[arg(long, default_value_t = 0.1)]
    pub vf_coef: f64,
    /// γ: discount per token
    #[arg(long, default_value_t = 1.0)]
    pub gamma: f64,
    /// λ of generalised advantage estimation
    #[arg(long, default_value_t = 0.95)]
    pub lam: f64,
    /// Whiten the rewards, keeping their mean, before the advantages
    #[arg(long, action = clap::ArgAction::Set, default_value_t = false, value_name = "true|false")]
    pub whiten_rewards: bool,
    /// Sampling temperature of the rollouts
    #[arg(long, default_value_t = 0.7)]
    pub temperature: f64,
    /// Subtracted from the score of a response that did not end by itself; 0 subtracts nothing
    #[arg(long, default_value_t = 0.0)]
    pub missing_eos_penalty: f64,
    /// Measure the policy on held-out prompts every so many rollout batches; 0 measures it about ten times; before the first and after the last always
    #[arg(long, default_value_t = 0)]
    #[serde(default)] // runs that are older than the setting are followed up
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

impl Default for PpoConfig {
    fn default() -> Self {
        Self {
            learning_rate: None,
            max_length: 1024,
            episodes: 0,
            response_length: 53,
            ppo_epochs: 4,
            minibatches: 1,
            target_kl: 0.0,
            kl_coef: 0.05,
            adaptive_kl: AdaptiveKl::default(),
            kl_estimator: KlEstimator::K1,
            cliprange: 0.2,
            cliprange_value: 0.2,
            vf_coef: 0.1,
            gamma: 1.0,
            lam: 0.95,
            whiten_rewards: false,
            temperature: 0.7,
            missing_eos_penalty: 0.0,
            eval_every: 0,
            rules: RewardRules::default(),
            lora: LoraSettings::default(),
            optimisation: OptimiserSettings::default(),
        }
    }
}

impl PpoConfig {
    /// The peak learning rate, as it was asked for or by default.
    pub fn peak_learning_rate(&self) -> f64 {
        self.lora.learning_rate(self.learning_rate, 3e-6)
    }
}

impl RolloutConfig for PpoConfig {
    fn rollouts(&self) -> RolloutSettings {
        RolloutSettings {
            n_answers: 1,
            answer_length: self.response_length,
            max_length: self.max_length,
            temperature: self.temperature,
            missing_eos_penalty: self.missing_eos_penalty,
            rules: self.rules.clone(),
            episodes: self.episodes,
            passes: self.ppo_epochs,
            eval_every: self.eval_every,
            learning_rate: self.peak_learning_rate(),
            has_reference: true,
            lora: self.lora.clone(),
            optimisation: self.optimisation.clone(),
        }
    }
}

impl RunConfig for PpoConfig {
    fn resolved(&self) -> Self {
        Self { learning_rate: Some(self.peak_learning_rate()), ..self.clone() }
    }

    fn idle(&self) -> Vec<ConfigError> {
        [self.lora.idle(), self.rules.idle(), self.adaptive_kl.idle()].concat()
    }

    fn problems(&self) -> Vec<ConfigError> {
        let mut found = supervised_problems(
            self.learning_rate,
            self.max_length,
            &self.lora,
            &self.optimisation,
        );
        self.rules.problems(&mut found, self.response_length);
        at_least_one(&mut found, "response_length", self.response_length);
        at_least_one(&mut found, "ppo_epochs", self.ppo_epochs);
        at_least_one(&mut found, "minibatches", self.minibatches);
        at_most(&mut found, "episodes", self.episodes, MOST_OF_ANYTHING);
        let rollout = self.rollouts().n_prompts();
        if self.minibatches > rollout.max(1) {
            found.push(problem(
                "minibatches",
                ConfigProblem::MoreMinibatchesThanPrompts { rollout },
            ));
        }
        not_negative(&mut found, "target_kl", self.target_kl);
        not_negative(&mut found, "kl_coef", self.kl_coef);
        self.adaptive_kl.problems(&mut found, self.kl_coef, rollout);
        for (field, value) in [
            ("cliprange", self.cliprange),
            ("cliprange_value", self.cliprange_value),
            ("temperature", self.temperature),
        ] {
            if !is_positive(value) {
                found.push(problem(field, ConfigProblem::NotPositive));
            }
        }
        not_negative(&mut found, "vf_coef", self.vf_coef);
        for (field, value) in [("gamma", self.gamma), ("lam", self.lam)] {
            if !(0.0..=1.0).contains(&value) {
                found.push(problem(field, ConfigProblem::OutsideZeroToOne));
            }
        }
        found
    }
}
