//! What is reported of pairs, under TRL's names.

use crate::{
    algorithms::{
        length_bias::{LengthBias, right_of},
        preference::TwoLogprobs,
    },
    math::statistics::wilson_interval,
    run::session::object,
};
use serde_json::{Map, Value, json};
use trainer_base::rows::PreferencePair;

/// A policy's numbers of n pairs beside the reference's: means over the pairs but for the count.
pub(crate) struct PairStatistics {
    pub(super) n: f64,
    pub(crate) loss: f64,
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
    /// Of log p of the chosen and of the rejected answer of each pair.
    pub(super) fn new(policy: &[TwoLogprobs], said: &[TwoLogprobs], loss: f64, beta: f64) -> Self {
        let n = policy.len() as f64;
        let mean = |of: &dyn Fn(&TwoLogprobs, &TwoLogprobs) -> f64| {
            policy.iter().zip(said).map(|(policy, said)| of(policy, said)).sum::<f64>() / n
        };
        let margin = |(policy, said): (&TwoLogprobs, &TwoLogprobs)| {
            (policy[0] - said[0]) - (policy[1] - said[1])
        };
        let margins: Vec<f64> = policy.iter().zip(said).map(margin).collect();
        Self {
            n,
            loss,
            n_right: margins.iter().copied().map(right_of).sum(),
            n_ties: margins.iter().filter(|margin| **margin == 0.0).count() as f64,
            chosen_reward: beta * mean(&|policy, said| policy[0] - said[0]),
            rejected_reward: beta * mean(&|policy, said| policy[1] - said[1]),
            chosen_logprob: mean(&|policy, _| policy[0]),
            rejected_logprob: mean(&|policy, _| policy[1]),
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

fn mean(of: &[PairStatistics], value: impl Fn(&PairStatistics) -> f64) -> f64 {
    of.iter().map(value).sum::<f64>() / of.len() as f64
}

/// What a policy makes of the held-out pairs: sums over them.
#[derive(Default)]
pub(crate) struct HeldOutPairs {
    n: f64,
    loss: f64,
    n_right: f64,
    n_ties: f64,
    margin: f64,
    bias: LengthBias,
}

impl HeldOutPairs {
    /// Adds a batch.
    pub(super) fn add(&mut self, pairs: &[&PreferencePair], of: &PairStatistics) {
        self.n += of.n;
        self.loss += of.loss * of.n;
        self.n_right += of.n_right;
        self.n_ties += of.n_ties;
        self.margin += (of.chosen_reward - of.rejected_reward) * of.n;
        for (pair, margin) in pairs.iter().zip(&of.margins) {
            self.bias.add(pair.chosen.len(), pair.rejected.len(), *margin);
        }
    }

    /// Loss and accuracy.
    pub(super) fn metrics(&self) -> Map<String, Value> {
        let n = self.n;
        let (low, high) = wilson_interval(self.n_right, n);
        let mut metrics = object(json!({
            "eval_loss": self.loss / n,
            "eval_rewards/ties": self.n_ties / n,
            "eval_rewards/accuracies": self.n_right / n,
            "eval_rewards/accuracies_low": low,
            "eval_rewards/accuracies_high": high,
            "eval_rewards/margins": self.margin / n,
            "eval_pairs": n as u64,
        }));
        metrics.extend(self.bias.metrics());
        metrics
    }
}
