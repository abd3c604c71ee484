//! What a run is asked to do. One struct per kind serves the command line (a flag per field), the
//! `--config` file and the launch form (a key per field), and is stored with the run.
//!
//! Names and defaults are TRL's where TRL has the setting; the comment says so where they differ.

mod best;
mod dpo;
mod fetch;
mod grpo;
mod lora;
mod optimiser;
mod ppo;
mod pretrain;
mod reward;
mod rloo;
mod rollout;
mod sample;
mod sft;

pub use best::BestSettings;
pub use dpo::DpoConfig;
pub use fetch::{FetchConfig, FetchSource};
pub use grpo::{GrpoConfig, GrpoLoss, ScaleRewards};
pub use lora::LoraSettings;
pub use optimiser::OptimiserSettings;
pub use ppo::{KlEstimator, PpoConfig};
pub use pretrain::PretrainConfig;
pub use reward::RewardConfig;
pub use rloo::RlooConfig;
pub use rollout::{RolloutConfig, RolloutSettings};
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
/// often a checkpoint is written, and how often held-out rows are measured, unless the model that is kept
/// follows from that.
pub fn changeable(settings: &Map<String, Value>) -> &'static [&'static str] {
    let best = serde_json::from_value::<BestSettings>(Value::Object(settings.clone()));
    if best.is_ok_and(|best| best.is_on()) {
        &["save_every"]
    } else {
        &["save_every", "eval_every"]
    }
}

/// A run's configuration: defaults, overridden key by key, then checked.
pub trait RunConfig: Clone + Default + Serialize + DeserializeOwned + 'static {
    /// Settings that each parse but make no sense; every problem found, none when it can run.
    fn problems(&self) -> Vec<ConfigError>;

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
    if !(value.is_finite() && value >= 0.0) {
        found.push(problem(field, ConfigProblem::Negative));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Args;
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
        assert_eq!(parsed::<GrpoConfig>(), GrpoConfig::default());
        assert_eq!(parsed::<RlooConfig>(), RlooConfig::default());
        assert_eq!(parsed::<SampleConfig>(), SampleConfig::default());
    }

    #[test]
    fn an_override_reaches_a_nested_setting_and_an_unknown_one_is_refused_by_name() {
        let config = SftConfig::default()
            .with_overrides(&overrides(json!({"batch_size": 2, "learning_rate": 0.5})))
            .unwrap();
        assert_eq!((config.optimisation.batch_size, config.learning_rate), (2, Some(0.5)));
        let error =
            SftConfig::default().with_overrides(&overrides(json!({"batchsize": 2}))).unwrap_err();
        assert_eq!(error.field, "batchsize");
        let error = SftConfig::default()
            .with_overrides(&overrides(json!({"batch_size": "two"})))
            .unwrap_err();
        assert_eq!(error.field, "batch_size");
    }

    #[test]
    fn what_changes_no_weight_is_no_part_of_what_a_run_is() {
        let often = PpoConfig::default()
            .with_overrides(&overrides(json!({"save_every": 1, "eval_every": 3})))
            .unwrap();
        let other = PpoConfig::default().with_overrides(&overrides(json!({"seed": 1}))).unwrap();
        assert_eq!(often.identity(), PpoConfig::default().identity());
        assert_ne!(other.identity(), PpoConfig::default().identity());
        // The best model is that of one of the steps that were measured.
        let kept = |every: usize| {
            let settings = json!({"keep_best": true, "eval_every": every, "save_every": every});
            SftConfig::default().with_overrides(&overrides(settings)).unwrap().identity()
        };
        assert_ne!(kept(1), kept(2));
    }

    #[test]
    fn adapters_learn_ten_times_as_fast_unless_a_rate_is_asked_for() {
        let rate = |settings: Value| {
            RunKind::Sft.settings().checked(&overrides(settings)).unwrap()["learning_rate"].clone()
        };
        assert_eq!(rate(json!({})), 2e-5);
        assert_eq!(rate(json!({"lora_rank": 8})), 2e-4);
        assert_eq!(rate(json!({"lora_rank": 8, "learning_rate": 3e-5})), 3e-5);
    }

    #[test]
    fn the_settings_of_every_kind_are_checked_the_same_way() {
        for kind in RunKind::all().filter(|kind| *kind != RunKind::Fetch) {
            let settings = kind.settings();
            let checked = settings.checked(&Map::new()).unwrap();
            for (name, value) in settings.defaults().iter().filter(|(_, value)| !value.is_null()) {
                assert_eq!(checked.get(name), Some(value), "{kind:?}");
            }
            assert!(checked.values().all(|value| !value.is_null()), "{kind:?}: all is decided");
            let told = settings.checked(&overrides(json!({"batch_size": 0}))).unwrap_err();
            assert_eq!(told, [problem("batch_size", ConfigProblem::BelowLeast { least: 1 })]);
        }
        let nowhere = RunKind::Fetch.settings().checked(&Map::new()).unwrap_err();
        assert_eq!(nowhere, [problem("source", ConfigProblem::NoSource)]);
    }

    #[test]
    fn settings_of_adapters_are_refused_where_there_are_none() {
        for (name, value) in [("lora_alpha", 16.0), ("lora_dropout", 0.1)] {
            for kind in [RunKind::Sft, RunKind::Reward, RunKind::Dpo, RunKind::Ppo, RunKind::Grpo] {
                let checked = |rank: u64| {
                    let settings = json!({name: value, "lora_rank": rank});
                    kind.settings().checked(&overrides(settings))
                };
                assert_eq!(checked(0), Err(vec![problem(name, ConfigProblem::NoAdapters)]));
                assert!(checked(8).is_ok());
            }
        }
    }

    #[test]
    fn numbers_beyond_anything_are_refused_by_name() {
        for kind in RunKind::all().filter(|kind| *kind != RunKind::Fetch) {
            let settings = kind.settings();
            // Of these any number means something.
            let any = ["seed", "top_k", "eval_every", "early_stop_patience"];
            for (name, _) in settings.defaults().iter().filter(|(_, value)| value.is_u64()) {
                if any.contains(&name.as_str()) {
                    continue;
                }
                let told = settings.checked(&overrides(json!({ name.as_str(): u64::MAX })));
                let told = told.err().unwrap_or_else(|| panic!("{kind:?} takes it for {name}"));
                assert!(told.iter().any(|error| error.field == *name), "{kind:?}: {told:?}");
            }
        }
        let many = RunKind::Sample.settings().checked(&overrides(json!({"n": 1_000_000_000})));
        assert_eq!(many, Err(vec![problem("n", ConfigProblem::AboveMost { most: 100_000 })]));
        let endless = RunKind::Sft.settings().checked(&overrides(json!({"epochs": 1e300})));
        assert_eq!(endless.unwrap_err()[0].field, "epochs");
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
