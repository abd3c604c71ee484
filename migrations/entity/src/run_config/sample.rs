//! The settings of sampling answers from a model.

use super::{
    ConfigError, ConfigProblem, Device, Dtype, MOST_ANSWERS, RunConfig, at_least_one, at_most,
    not_negative, problem,
};
use clap::Args;
use serde::{Deserialize, Serialize};

/// Answers from a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Args)]
pub struct SampleConfig {
    /// Answers per prompt
    #[arg(long, default_value_t = 4)]
    pub n: usize,
    /// Tokens of an answer at the most
    #[arg(long, default_value_t = 64)]
    pub max_new_tokens: usize,
    /// 0 takes the likeliest token; 1 samples from the model's own distribution
    #[arg(long, default_value_t = 1.0)]
    pub temperature: f64,
    /// Sample from so many of the likeliest tokens; 0 for all
    #[arg(long, default_value_t = 0)]
    #[serde(default)] // as older runs drew
    pub top_k: usize,
    /// Sample from the likeliest tokens that together have this probability
    #[arg(long, default_value_t = 1.0)]
    pub top_p: f64,
    /// Sample from the tokens that are at least so likely as this share of the likeliest
    #[arg(long, default_value_t = 0.0)]
    #[serde(default)]
    pub min_p: f64,
    /// End an answer before this text; nothing ends it where the text is empty
    #[arg(long, default_value = "", value_name = "TEXT")]
    #[serde(default)]
    pub stop: String,
    /// Sequences decoded at once
    #[arg(long, default_value_t = 32)]
    pub batch_size: usize,
    /// Tokens per prompt; longer prompts are an error, or left out
    #[arg(long, default_value_t = 1024)]
    pub max_length: usize,
    /// Leave out prompts that are too long, instead of ending with an error
    #[arg(long, action = clap::ArgAction::Set, default_value_t = false, value_name = "true|false")]
    pub skip_long_prompts: bool,
    /// Seed of the draws: the same seed gives the same answers
    #[arg(long, default_value_t = 42)]
    pub seed: u64,
    /// Precision
    #[arg(long, value_enum, default_value_t = Dtype::Auto)]
    pub dtype: Dtype,
    /// Where to compute
    #[arg(long, value_enum, default_value_t = Device::Auto)]
    pub device: Device,
}

impl Default for SampleConfig {
    fn default() -> Self {
        Self {
            n: 4,
            max_new_tokens: 64,
            temperature: 1.0,
            top_k: 0,
            top_p: 1.0,
            min_p: 0.0,
            stop: String::new(),
            batch_size: 32,
            max_length: 1024,
            skip_long_prompts: false,
            seed: 42,
            dtype: Dtype::Auto,
            device: Device::Auto,
        }
    }
}

impl RunConfig for SampleConfig {
    fn problems(&self) -> Vec<ConfigError> {
        let mut found = Vec::new();
        if self.n == 0 {
            found.push(problem("n", ConfigProblem::BelowLeast { least: 1 }));
        }
        at_most(&mut found, "n", self.n, MOST_ANSWERS);
        for (field, value) in [
            ("max_new_tokens", self.max_new_tokens),
            ("batch_size", self.batch_size),
            ("max_length", self.max_length),
        ] {
            at_least_one(&mut found, field, value);
        }
        not_negative(&mut found, "temperature", self.temperature);
        if !(self.top_p > 0.0 && self.top_p <= 1.0) {
            found.push(problem("top_p", ConfigProblem::NoShare));
        }
        if !(0.0..=1.0).contains(&self.min_p) {
            found.push(problem("min_p", ConfigProblem::OutsideZeroToOne));
        }
        found
    }
}
