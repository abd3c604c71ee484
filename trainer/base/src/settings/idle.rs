//! Settings that were typed and do nothing beside the others: whoever types `--lora-alpha 32` believes that
//! adapters are trained, and is told that they are not. A `--config` file may hold them, as the one does
//! that a worker writes, which has every setting.

use super::{TrainingVerb, typed::n_given};
use entity::run_config::{ConfigError, RunConfig};
use std::ffi::OsString;

/// An error that names the settings that were typed for nothing, also where they are what they would be
/// anyway.
pub(super) fn refuse(verb: &TrainingVerb, typed: &[OsString]) -> Result<(), String> {
    let flag = |error: &ConfigError| error.field.replace('_', "-");
    let sentences: Vec<_> = settings(verb)
        .iter()
        .filter(|error| n_given(&flag(error), typed) > 0)
        .map(|error| format!("--{}: {}", flag(error), error.problem))
        .collect();
    if sentences.is_empty() { Ok(()) } else { Err(sentences.join("\n       ")) }
}

fn settings(verb: &TrainingVerb) -> Vec<ConfigError> {
    match verb {
        TrainingVerb::Pretrain(flags) => flags.config.idle(),
        TrainingVerb::Sft(flags) => flags.config.idle(),
        TrainingVerb::Reward(flags) => flags.config.idle(),
        TrainingVerb::Dpo(flags) => flags.config.idle(),
        TrainingVerb::Kto(flags) => flags.config.idle(),
        TrainingVerb::Ppo(flags) => flags.config.idle(),
        TrainingVerb::Grpo(flags) => flags.config.idle(),
        TrainingVerb::Rloo(flags) => flags.config.idle(),
    }
}
