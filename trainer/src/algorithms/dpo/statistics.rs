//! What is reported of pairs, under TRL's names.

use super::PairLogprobs;
use crate::{algorithms::length_bias::right_of, run::session::object};
use serde_json::{Map, Value, json};

/// A policy's numbers of n pairs beside the reference's: means over the pairs but for the count.
pub(super) struct PairStatistics {
    pub(super) n: f64,
    pub(super) loss: f64,
    /// Pairs whose chosen answer has the higher reward. A tie is half right, as a coin would have it:
    /// before the first step all are ties. TRL counts ties as wrong.
    pub(super) n_right: f64,
    pub(super) n_ties: f64,
    /// log-odds of chosen over rejected beside the reference's, pair by pair.
    pub(super) margins: Vec<f64>,
    /// β (log π − log π_ref) of the answers.
    pub(super) chosen_reward: f64,
    pub(super) rejected_reward: f64,
    pub(super) chosen_logprob: f64,
    pub(super) rejected_logprob: f64,
    /// Mean over the answer tokens, in nats; 0 where it was not looked at.
    pub(super) entropy: f64,
}

impl PairStatistics {
    pub(super) fn new(
        policy: &[PairLogprobs],
        reference: &[PairLogprobs],
        loss: f64,
        beta: f64,
    ) -> Self {
        let n = policy.len() as f64;
        let mean = |of: &dyn Fn(&PairLogprobs, &PairLogprobs) -> f64| {
            policy
                .iter()
                .zip(reference)
                .map(|(policy, reference)| of(policy, reference))
                .sum::<f64>()
                / n
        };
        let margin = |policy: &PairLogprobs, reference: &PairLogprobs| {
            (policy.chosen - reference.chosen) - (policy.rejected - reference.rejected)
        };
        let margins: Vec<f64> = policy.iter().zip(reference).map(|(p, r)| margin(p, r)).collect();
        Self {
            n,
            loss,
            n_right: margins.iter().copied().map(right_of).sum(),
            n_ties: margins.iter().filter(|margin| **margin == 0.0).count() as f64,
            chosen_reward: beta * mean(&|policy, reference| policy.chosen - reference.chosen),
            rejected_reward: beta * mean(&|policy, reference| policy.rejected - reference.rejected),
            chosen_logprob: mean(&|policy, _| policy.chosen),
            rejected_logprob: mean(&|policy, _| policy.rejected),
            entropy: 0.0,
            margins,
        }
    }
}

/// The metrics of a step that are DPO's own.
pub(super) fn metrics_of(seen: &[PairStatistics]) -> Map<String, Value> {
    object(json!({
        "rewards/chosen": mean(seen, |batch| batch.chosen_reward),
        "rewards/rejected": mean(seen, |batch| batch.rejected_reward),
        "rewards/accuracies": mean(seen, |batch| batch.n_right / batch.n),
        "rewards/ties": mean(seen, |batch| batch.n_ties / batch.n),
        "rewards/margins": mean(seen, |batch| batch.chosen_reward - batch.rejected_reward),
        "logps/chosen": mean(seen, |batch| batch.chosen_logprob),
        "logps/rejected": mean(seen, |batch| batch.rejected_logprob),
        "entropy": mean(seen, |batch| batch.entropy),
    }))
}

pub(super) fn mean(of: &[PairStatistics], value: impl Fn(&PairStatistics) -> f64) -> f64 {
    of.iter().map(value).sum::<f64>() / of.len() as f64
}
