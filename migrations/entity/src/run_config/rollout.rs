//! What the methods have in common that learn from answers of their own: rollouts.

use super::{
    ConfigError, ConfigProblem, LoraSettings, MOST_ANSWERS, OptimiserSettings, RewardRules,
    RunConfig, at_least_one, at_most, is_positive, problem,
};

/// How such a method draws and scores its answers, by whatever names its own settings have.
#[derive(Clone, Debug, PartialEq)]
pub struct RolloutSettings {
    /// Answers to each prompt.
    pub n_answers: usize,
    /// Tokens of an answer at the most.
    pub answer_length: usize,
    /// Tokens of a prompt at the most.
    pub max_length: usize,
    pub temperature: f64,
    /// Subtracted from the score of an answer that did not end by itself.
    pub missing_eos_penalty: f64,
    pub rules: RewardRules,
    /// Answers over the whole run; 0 follows the epochs.
    pub episodes: usize,
    /// Passes over each rollout batch.
    pub passes: usize,
    pub eval_every: usize,
    /// The highest one.
    pub learning_rate: f64,
    /// Whether a policy that stays as it was is held beside the one that learns.
    pub has_reference: bool,
    pub lora: LoraSettings,
    pub optimisation: OptimiserSettings,
}

impl RolloutSettings {
    /// Prompts of a whole rollout batch.
    pub fn n_prompts(&self) -> usize {
        self.optimisation.batch_size.saturating_mul(self.optimisation.grad_accum)
    }
}

/// The settings of a method that learns from answers of its own.
pub trait RolloutConfig: RunConfig {
    fn rollouts(&self) -> RolloutSettings;
}

/// What is wrong with the settings of a method whose answers are judged beside each other.
pub(super) fn group_problems(
    found: &mut Vec<ConfigError>,
    n_answers: usize,
    answer_length: usize,
    passes: usize,
    clip: [(&str, f64); 2],
    temperature: f64,
) {
    if n_answers < 2 {
        found.push(problem("num_generations", ConfigProblem::BelowLeast { least: 2 }));
    }
    at_most(found, "num_generations", n_answers, MOST_ANSWERS);
    at_least_one(found, "max_completion_length", answer_length);
    at_least_one(found, "num_iterations", passes);
    for (field, value) in clip.into_iter().chain([("temperature", temperature)]) {
        if !is_positive(value) {
            found.push(problem(field, ConfigProblem::NotPositive));
        }
    }
}
