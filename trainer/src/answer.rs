//! Using a model: decoding ([`generate`]), the verbs that answer and measure ([`sample`],
//! [`logprobs`], [`score`]), live answers over HTTP ([`serve`]), and what a model answers while it
//! is trained (`show`).

pub mod generate;
pub mod logprobs;
pub mod sample;
pub mod score;
pub mod serve;
pub(crate) mod show;

use crate::run::{execute::configured, failure::VerbFailure};
use trainer_base::settings::AnswerVerb;

/// Runs the verb as its flags say.
pub(crate) fn run(verb: &AnswerVerb) -> Result<(), VerbFailure> {
    match verb {
        AnswerVerb::Sample(flags) => configured(flags, sample::run),
        AnswerVerb::Logprobs(flags) => configured(flags, logprobs::run),
        AnswerVerb::Score(flags) => configured(flags, score::run),
    }
}
