//! What trains: one algorithm per file, each read top to bottom.

pub(crate) mod answer_gain;
mod calibration;
pub mod dpo;
pub mod grpo;
pub mod kto;
mod length_bias;
pub mod ppo;
mod preference;
pub mod pretrain;
pub mod reward;
pub mod rloo;
mod rollout;
pub mod sft;

use crate::run::{execute::configured, failure::VerbFailure};
use trainer_base::settings::TrainingVerb;

/// Runs the verb as its flags say.
pub(crate) fn run(verb: &TrainingVerb) -> Result<(), VerbFailure> {
    match verb {
        TrainingVerb::Pretrain(flags) => configured(flags, pretrain::run),
        TrainingVerb::Sft(flags) => configured(flags, sft::run),
        TrainingVerb::Reward(flags) => configured(flags, reward::run),
        TrainingVerb::Dpo(flags) => configured(flags, dpo::run),
        TrainingVerb::Kto(flags) => configured(flags, kto::run),
        TrainingVerb::Ppo(flags) => configured(flags, ppo::run),
        TrainingVerb::Grpo(flags) => configured(flags, grpo::run),
        TrainingVerb::Rloo(flags) => configured(flags, rloo::run),
    }
}
