//! What a run is asked to do. One struct per kind serves the command line (a flag per field), the
//! `--config` file and the launch form (a key per field), and is stored with the run.
//!
//! Names and defaults are TRL's where TRL has the setting; the comment says so where they differ.

mod dpo;
mod fetch;
mod ppo;
mod pretrain;
mod reward;
mod sample;
mod sft;

pub use dpo::DpoConfig;
pub use fetch::{FetchConfig, FetchSource};
pub use ppo::{KlEstimator, PpoConfig};
pub use pretrain::PretrainConfig;
pub use reward::RewardConfig;
pub use sample::SampleConfig;
pub use sft::SftConfig;

use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

/// A setting that cannot be used, naming the field.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{field}: {problem}")]
pub struct ConfigError {
    pub field: String,
    pub problem: String,
}

fn problem(field: &str, problem: impl Into<String>) -> ConfigError {
    ConfigError { field: field.into(), problem: problem.into() }
}

/// A run's configuration: defaults, overridden key by key, then checked.
pub trait RunConfig: Clone + Default + Serialize + DeserializeOwned {
    /// Settings that each parse but make no sense; every problem found, none when it can run.
    fn problems(&self) -> Vec<ConfigError>;

    /// Puts `overrides` over `self`. Errors name the unknown key or the key whose value does not fit.
    fn with_overrides(&self, overrides: &Map<String, Value>) -> Result<Self, ConfigError> {
        let Ok(Value::Object(mut merged)) = serde_json::to_value(self) else {
            unreachable!("a configuration serialises to an object")
        };
        let mut config = self.clone();
        for (key, value) in overrides {
            if !merged.contains_key(key) {
                let known = merged.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
                return Err(problem(key, format!("unknown setting; the settings are {known}")));
            }
            merged.insert(key.clone(), value.clone());
            config = serde_json::from_value(Value::Object(merged.clone()))
                .map_err(|error| problem(key, error.to_string()))?;
        }
        Ok(config)
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum LrScheduler {
    /// Falls to zero over the run.
    #[default]
    Linear,
    /// Falls to zero along half a cosine.
    Cosine,
    /// Stays.
    Constant,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Dtype {
    /// bf16 where the hardware multiplies it fast, else f32.
    #[default]
    Auto,
    Bf16,
    F32,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Device {
    /// The first CUDA device if there is one, else the CPU.
    #[default]
    Auto,
    Cpu,
    Cuda,
}

/// How the optimiser walks: AdamW with betas 0.9 and 0.999 and epsilon 1e-8, as transformers' Trainer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Args)]
pub struct OptimiserSettings {
    /// Sequences (pairs for reward and DPO, prompts for PPO) per micro-batch
    #[arg(long, default_value_t = 8)]
    pub batch_size: usize,
    /// Micro-batches per optimiser step
    #[arg(long, default_value_t = 1)]
    pub grad_accum: usize,
    /// Passes over the data
    #[arg(long, default_value_t = 3.0)]
    pub epochs: f64,
    /// Stop after this many optimiser steps (PPO: rollout batches); 0 follows --epochs
    #[arg(long, default_value_t = 0)]
    pub max_steps: usize,
    /// Steps over which the learning rate rises from zero
    #[arg(long, default_value_t = 0)]
    pub warmup_steps: usize,
    /// How the learning rate falls after the warm-up
    #[arg(long, value_enum, default_value_t = LrScheduler::Linear)]
    pub lr_scheduler: LrScheduler,
    /// Decoupled weight decay; norms and biases are left out
    #[arg(long, default_value_t = 0.0)]
    pub weight_decay: f64,
    /// Clip the gradient to this norm; 0 does not clip
    #[arg(long, default_value_t = 1.0)]
    pub max_grad_norm: f64,
    /// Shuffle the rows in every epoch; false keeps the file's order
    #[arg(long, action = clap::ArgAction::Set, default_value_t = true, value_name = "true|false")]
    pub shuffle: bool,
    /// Seed of everything random
    #[arg(long, default_value_t = 42)]
    pub seed: u64,
    /// Precision of the forward and backward pass; weights and optimiser stay f32
    #[arg(long, value_enum, default_value_t = Dtype::Auto)]
    pub dtype: Dtype,
    /// Where to compute
    #[arg(long, value_enum, default_value_t = Device::Auto)]
    pub device: Device,
    /// Write a checkpoint every so many steps, and after five minutes without one; 0 writes none
    #[arg(long, default_value_t = 100)]
    pub save_every: usize,
}

impl Default for OptimiserSettings {
    fn default() -> Self {
        Self {
            batch_size: 8,
            grad_accum: 1,
            epochs: 3.0,
            max_steps: 0,
            warmup_steps: 0,
            lr_scheduler: LrScheduler::Linear,
            weight_decay: 0.0,
            max_grad_norm: 1.0,
            shuffle: true,
            seed: 42,
            dtype: Dtype::Auto,
            device: Device::Auto,
            save_every: 100,
        }
    }
}

impl OptimiserSettings {
    fn problems(&self) -> Vec<ConfigError> {
        let mut found = Vec::new();
        at_least_one(&mut found, "batch_size", self.batch_size);
        at_least_one(&mut found, "grad_accum", self.grad_accum);
        if self.max_steps == 0 && !is_positive(self.epochs) {
            found.push(problem("epochs", "must be above 0, or give max_steps"));
        }
        not_negative(&mut found, "weight_decay", self.weight_decay);
        not_negative(&mut found, "max_grad_norm", self.max_grad_norm);
        found
    }
}

fn supervised_problems(
    learning_rate: f64,
    max_length: usize,
    optimisation: &OptimiserSettings,
) -> Vec<ConfigError> {
    let mut found = optimisation.problems();
    if !is_positive(learning_rate) {
        found.push(problem("learning_rate", "must be above 0"));
    }
    if max_length < 2 {
        found.push(problem("max_length", "must be at least 2"));
    }
    found
}

fn is_positive(value: f64) -> bool {
    value.is_finite() && value > 0.0
}

fn at_least_one(found: &mut Vec<ConfigError>, field: &str, value: usize) {
    if value == 0 {
        found.push(problem(field, "must be at least 1"));
    }
}

fn not_negative(found: &mut Vec<ConfigError>, field: &str, value: f64) {
    if !(value.is_finite() && value >= 0.0) {
        found.push(problem(field, "must be 0 or above"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn overrides(value: Value) -> Map<String, Value> {
        value.as_object().expect("an object").clone()
    }

    #[test]
    fn the_command_line_and_the_struct_have_the_same_defaults() {
        #[derive(clap::Parser)]
        struct Cli<T: Args> {
            #[command(flatten)]
            config: T,
        }
        fn parsed<T: Args>() -> T {
            <Cli<T> as clap::Parser>::parse_from(["trainer"]).config
        }
        assert_eq!(parsed::<PretrainConfig>(), PretrainConfig::default());
        assert_eq!(parsed::<SftConfig>(), SftConfig::default());
        assert_eq!(parsed::<RewardConfig>(), RewardConfig::default());
        assert_eq!(parsed::<DpoConfig>(), DpoConfig::default());
        assert_eq!(parsed::<PpoConfig>(), PpoConfig::default());
        assert_eq!(parsed::<SampleConfig>(), SampleConfig::default());
    }

    #[test]
    fn an_override_reaches_a_nested_setting_and_an_unknown_one_is_refused_by_name() {
        let config = SftConfig::default()
            .with_overrides(&overrides(json!({"batch_size": 2, "learning_rate": 0.5})))
            .unwrap();
        assert_eq!((config.optimisation.batch_size, config.learning_rate), (2, 0.5));
        let error =
            SftConfig::default().with_overrides(&overrides(json!({"batchsize": 2}))).unwrap_err();
        assert_eq!(error.field, "batchsize");
        let error = SftConfig::default()
            .with_overrides(&overrides(json!({"batch_size": "two"})))
            .unwrap_err();
        assert_eq!(error.field, "batch_size");
    }

    #[test]
    fn impossible_settings_are_named() {
        let config = PpoConfig::default()
            .with_overrides(&overrides(
                json!({"minibatches": 9, "gamma": 1.5, "learning_rate": 0.0}),
            ))
            .unwrap();
        let fields: Vec<_> = config.problems().into_iter().map(|error| error.field).collect();
        assert_eq!(fields, ["learning_rate", "minibatches", "gamma"]);
        assert!(PpoConfig::default().problems().is_empty());
    }
}
