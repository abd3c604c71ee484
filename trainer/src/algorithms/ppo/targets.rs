//! What the models say of a batch of answers, and what follows for the losses.

use crate::algorithms::rollout::answers::{ScoredAnswers, floats};
use crate::math::ops;
use entity::run_config::PpoConfig;
use tch::Tensor;

/// Answers with what the frozen models, and the policy before its update, computed of them.
pub(super) struct RolloutBatch {
    pub(super) answers: ScoredAnswers,
    /// log π_old of each token drawn: (N).
    pub(super) logprobs: Tensor,
    /// log π_ref of each token drawn: (N).
    pub(super) ref_logprobs: Tensor,
    /// The value before each token was drawn: (N).
    pub(super) values: Tensor,
}

/// What the updates need of a rollout; tensors are (N).
pub(super) struct UpdateTargets {
    pub(super) advantages: Tensor,
    pub(super) returns: Tensor,
    /// KL from the reference, as it is estimated.
    pub(super) kl: Tensor,
    /// β, its weight in the rewards: the part of them that is not the score is −β KL.
    pub(super) kl_coef: f64,
}

impl RolloutBatch {
    /// The places, among the N tokens, of the answers at `picked`.
    pub(super) fn places(&self, picked: &[usize]) -> Tensor {
        self.answers.places(picked, self.values.device())
    }

    /// Phases 2 and 3: rewards of each token, then advantages and returns.
    pub(super) fn targets(&self, config: &PpoConfig, kl_coef: f64) -> UpdateTargets {
        let device = self.values.device();
        let lengths = self.answers.lengths();
        let kl = ops::kl(config.kl_estimator, &self.logprobs, &self.ref_logprobs);
        let mut rewards = floats(&(-kl_coef * &kl));
        let mut end = 0;
        for (length, score) in lengths.iter().zip(&self.answers.scores) {
            end += *length as usize;
            rewards[end - 1] += score;
        }
        if config.whiten_rewards {
            rewards = floats(&ops::whiten(&Tensor::from_slice(&rewards), true));
        }
        let values = floats(&self.values);
        let (advantages, returns) = ops::gae(&rewards, &values, &lengths, config.gamma, config.lam);
        UpdateTargets {
            advantages: ops::whiten(&Tensor::from_slice(&advantages), false).to_device(device),
            returns: Tensor::from_slice(&returns).to_device(device),
            kl,
            kl_coef,
        }
    }

    /// KL from the reference in nats per answer.
    pub(super) fn kl(&self, targets: &UpdateTargets) -> f64 {
        self.answers.per_answer(&targets.kl)
    }
}
