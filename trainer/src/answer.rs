//! Using a model: decoding ([`generate`]), the verbs that answer and measure ([`sample`],
//! [`logprobs`], [`score`]), live answers over HTTP ([`serve`]), and what a model answers while it
//! is trained (`show`).

pub mod generate;
pub mod logprobs;
pub mod sample;
pub mod score;
pub mod serve;
pub(crate) mod show;
