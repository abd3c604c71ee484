//! What a run is asked to do. One struct per kind serves the command line (a flag per field), the
//! `--config` file and the launch form (a key per field), and is stored with the run.
//!
//! Names and defaults are TRL's where TRL has the setting; the comment says so where they differ.

mod adaptive_kl;
mod best;
mod dpo;
mod fetch;
mod grpo;
mod kto;
mod lora;
mod optimiser;
mod ppo;
mod pretrain;
mod reward;
mod rloo;
mod rollout;
mod rules;
mod sample;
mod sft;

pub use adaptive_kl::AdaptiveKl;
pub use best::BestSettings;
pub use dpo::DpoConfig;
pub use fetch::{FetchConfig, FetchSource};
pub use grpo::{GrpoConfig, GrpoLoss, ScaleRewards};
pub use kto::KtoConfig;
pub use lora::LoraSettings;
pub use optimiser::OptimiserSettings;
pub use ppo::{KlEstimator, PpoConfig};
pub use pretrain::PretrainConfig;
pub use reward::RewardConfig;
pub use rloo::RlooConfig;
pub use rollout::{RolloutConfig, RolloutSettings};
pub use rules::RewardRules;
pub use sample::SampleConfig;
pub use sft::{LossOn, SftConfig};

use clap::ValueEnum;
use sea_orm::Iterable;
use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};
use std::marker::PhantomData;

/// The kinds of run. What is particular to the settings of one is a file of this folder; what the
/// programs do with it is a file of their own tables.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, Deserialize,
)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum RunKind {
    Sft,
    Sample,
    Reward,
    Dpo,
    Kto,
    Ppo,
    Grpo,
    Rloo,
    /// Brings a base: reads no model and no dataset version.
    Fetch,
}

impl RunKind {
    /// All of them, in the order in which a project comes to need them.
    pub fn all() -> impl Iterator<Item = Self> {
        Self::iter()
    }

    /// What can be done with the settings of a run of this kind.
    pub fn settings(self) -> &'static dyn RunSettings {
        match self {
            Self::Sft => &SettingsOf::<SftConfig>(PhantomData),
            Self::Sample => &SettingsOf::<SampleConfig>(PhantomData),
            Self::Reward => &SettingsOf::<RewardConfig>(PhantomData),
            Self::Dpo => &SettingsOf::<DpoConfig>(PhantomData),
            Self::Kto => &SettingsOf::<KtoConfig>(PhantomData),
            Self::Ppo => &SettingsOf::<PpoConfig>(PhantomData),
            Self::Grpo => &SettingsOf::<GrpoConfig>(PhantomData),
            Self::Rloo => &SettingsOf::<RlooConfig>(PhantomData),
            Self::Fetch => &SettingsOf::<FetchConfig>(PhantomData),
        }
    }
}

/// The settings of some kind of run as JSON: what is stored, typed into a form, or written to a file.
pub trait RunSettings: Sync {
    /// Every setting with its default.
    fn defaults(&self) -> Map<String, Value>;

    /// Every setting, `overrides` put over the defaults and what is left to the program decided; what
    /// cannot be read or makes no sense is named.
    fn checked(
        &self,
        overrides: &Map<String, Value>,
    ) -> Result<Map<String, Value>, Vec<ConfigError>>;
}

struct SettingsOf<C>(PhantomData<fn() -> C>);

impl<C: RunConfig> RunSettings for SettingsOf<C> {
    fn defaults(&self) -> Map<String, Value> {
        C::default().to_map()
    }

    fn checked(
        &self,
        overrides: &Map<String, Value>,
    ) -> Result<Map<String, Value>, Vec<ConfigError>> {
        let config = C::default().with_overrides(overrides).map_err(|error| vec![error])?;
        let problems = config.problems();
        if problems.is_empty() { Ok(config.resolved().to_map()) } else { Err(problems) }
    }
}

/// A setting that cannot be used, naming the field.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("{field}: {problem}")]
pub struct ConfigError {
    pub field: String,
    pub problem: ConfigProblem,
}

/// Why a setting cannot be used: in English for a shell, and as a kind for those who say it
/// otherwise.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum ConfigProblem {
    #[error("unknown setting; the settings are {known}")]
    Unknown { known: String },
    /// Not of the setting's type, in serde's words.
    #[error("{reason}")]
    Unreadable { reason: String },
    #[error("must be at least {least}")]
    BelowLeast { least: u64 },
    #[error("must be at most {most}")]
    AboveMost { most: u64 },
    #[error("must be above 0")]
    NotPositive,
    #[error("must be above 0, or give max_steps")]
    NoEnd,
    #[error("must be 0 or above")]
    Negative,
    #[error("must be from 0 to 1")]
    OutsideZeroToOne,
    #[error("must be above 0 and at most 1")]
    NoShare,
    #[error("must be 0 or above and below 1")]
    NoProperShare,
    #[error("must not exceed the {rollout} prompts of a rollout batch")]
    MoreMinibatchesThanPrompts { rollout: usize },
    /// A setting of adapters where all weights are trained.
    #[error("has no effect without adapters: give a rank (lora_rank, such as 16), or leave it out")]
    NoAdapters,
    #[error("is no regular expression: {reason}")]
    NoRegex { reason: String },
    #[error("is no JSON schema: {reason}")]
    NoSchema { reason: String },
    #[error("must be a number from -1000000000 to 1000000000")]
    NoWeight,
    /// The weight of a rule that is not given.
    #[error("has no effect without its rule: give that, too, or leave it out")]
    NoRule,
    #[error("must not be 0 where no rule rewards anything: give a rule, such as rule_regex")]
    NothingRewarded,
    #[error("must be at least the {rollout} responses of a rollout batch")]
    HorizonWithinBatch { rollout: usize },
    /// The horizon of a weight that stays as it is.
    #[error("has no effect without a target: give adaptive_kl_target (6, say), or leave it out")]
    NoKlTarget,
    #[error("must not exceed the tokens that an answer may have")]
    LongerThanAnswers,
    #[error("must be ORG/NAME, or a folder from / on")]
    NoSource,
    #[error("must be a branch, a tag or a commit")]
    NoRevision,
    #[error("must be left out: a folder has none")]
    RevisionOfFolder,
}

fn problem(field: &str, problem: ConfigProblem) -> ConfigError {
    ConfigError { field: field.into(), problem }
}

/// Settings that change no weight, and so may change while a run with these `settings` is half done: how
/// often a checkpoint is written, in which precision the model is at the end, whether layers are computed
/// once more in the backward pass, and how often held-out rows are measured, unless the model that is kept
/// follows from that.
pub fn changeable(settings: &Map<String, Value>) -> &'static [&'static str] {
    let best = serde_json::from_value::<BestSettings>(Value::Object(settings.clone()));
    if best.is_ok_and(|best| best.is_on()) {
        &["save_every", "save_dtype", "gradient_checkpointing"]
    } else {
        &["save_every", "save_dtype", "gradient_checkpointing", "eval_every"]
    }
}

/// A run's configuration: defaults, overridden key by key, then checked.
pub trait RunConfig: Clone + Default + Serialize + DeserializeOwned + 'static {
    /// Settings that each parse but make no sense; every problem found, none when it can run.
    fn problems(&self) -> Vec<ConfigError>;

    /// Settings that do nothing beside the others, whatever they are, and why. Those that are not at their
    /// defaults are among the problems, too.
    fn idle(&self) -> Vec<ConfigError> {
        Vec::new()
    }

    /// Every setting by its key.
    fn to_map(&self) -> Map<String, Value> {
        match serde_json::to_value(self) {
            Ok(Value::Object(settings)) => settings,
            other => panic!("a configuration serialises to an object, not {other:?}"),
        }
    }

    /// With what is left to the program decided.
    fn resolved(&self) -> Self {
        self.clone()
    }

    /// The settings that what comes of a run follows from: all but those that are [`changeable`]. A
    /// checkpoint belongs to a run with the same.
    fn identity(&self) -> Map<String, Value> {
        let mut settings = self.resolved().to_map();
        changeable(&settings).iter().for_each(|name| drop(settings.shift_remove(*name)));
        settings
    }

    /// Puts `overrides` over `self`. Errors name the unknown key or the key whose value does not fit.
    fn with_overrides(&self, overrides: &Map<String, Value>) -> Result<Self, ConfigError> {
        let mut merged = self.to_map();
        let mut config = self.clone();
        for (key, value) in overrides {
            if !merged.contains_key(key) {
                let known = merged.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
                return Err(problem(key, ConfigProblem::Unknown { known }));
            }
            merged.insert(key.clone(), value.clone());
            config = serde_json::from_value(Value::Object(merged.clone())).map_err(|error| {
                problem(key, ConfigProblem::Unreadable { reason: error.to_string() })
            })?;
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
    /// Stays, and falls to zero along half a cosine over the last steps (transformers: warmup_stable_decay).
    #[value(alias = "warmup_stable_decay")]
    #[serde(alias = "warmup_stable_decay")]
    Wsd,
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

/// Precision of the weights in a model folder that is finished.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum SaveDtype {
    /// bf16 where the model that it starts from is in bf16, else f32
    Auto,
    /// Every bit that was learnt
    #[default]
    #[value(alias = "float32")]
    F32,
    /// Rounded, in half the space
    #[value(alias = "bfloat16")]
    Bf16,
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

fn supervised_problems(
    learning_rate: Option<f64>,
    max_length: usize,
    lora: &LoraSettings,
    optimisation: &OptimiserSettings,
) -> Vec<ConfigError> {
    let mut found = optimisation.problems();
    lora.problems(&mut found);
    if learning_rate.is_some_and(|rate| !is_positive(rate)) {
        found.push(problem("learning_rate", ConfigProblem::NotPositive));
    }
    if max_length < 2 {
        found.push(problem("max_length", ConfigProblem::BelowLeast { least: 2 }));
    }
    at_most(&mut found, "max_length", max_length, MOST_OF_ANYTHING);
    found
}

fn is_positive(value: f64) -> bool {
    value.is_finite() && value > 0.0
}

/// The largest number of anything that is counted: products of two are numbers still.
const MOST_OF_ANYTHING: usize = 1_000_000_000;

/// The most answers to one prompt: all of their first tokens are drawn at once.
const MOST_ANSWERS: usize = 100_000;

fn at_least_one(found: &mut Vec<ConfigError>, field: &str, value: usize) {
    if value == 0 {
        found.push(problem(field, ConfigProblem::BelowLeast { least: 1 }));
    }
    at_most(found, field, value, MOST_OF_ANYTHING);
}

fn at_most(found: &mut Vec<ConfigError>, field: &str, value: usize, most: usize) {
    if value > most {
        found.push(problem(field, ConfigProblem::AboveMost { most: most as u64 }));
    }
}

fn not_negative(found: &mut Vec<ConfigError>, field: &str, value: f64) {
    if value.is_nan() || value < 0.0 {
        found.push(problem(field, ConfigProblem::Negative));
    }
    not_endless(found, field, value);
}

fn above_zero(found: &mut Vec<ConfigError>, field: &str, value: f64) {
    if value.is_nan() || value <= 0.0 {
        found.push(problem(field, ConfigProblem::NotPositive));
    }
    not_endless(found, field, value);
}

/// What is multiplied with it is a number still.
fn not_endless(found: &mut Vec<ConfigError>, field: &str, value: f64) {
    if value > MOST_OF_ANYTHING as f64 {
        found.push(problem(field, ConfigProblem::AboveMost { most: MOST_OF_ANYTHING as u64 }));
    }
}

#[cfg(test)]
mod tests;
