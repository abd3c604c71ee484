//! A batch of answers: what was drawn, what the models say about it, and what follows for the
//! losses. Per-token values are packed: the responses' tokens one after the other, N in all.

use crate::math::ops;
use entity::run_config::PpoConfig;
use tch::{Device, Kind, Tensor};
use trainer_base::rows::TrainingExample;

/// Answers with what the frozen models, and the policy before its update, computed of them.
pub(super) struct RolloutBatch {
    /// Prompt and response.
    pub(super) sequences: Vec<TrainingExample>,
    /// By the reward model, less the penalty for a response that did not end by itself.
    pub(super) scores: Vec<f32>,
    /// log π_old of each token drawn: (N).
    pub(super) logprobs: Tensor,
    /// log π_ref of each token drawn: (N).
    pub(super) ref_logprobs: Tensor,
    /// The value before each token was drawn: (N).
    pub(super) values: Tensor,
}

/// What the updates need of a rollout: all (N).
pub(super) struct UpdateTargets {
    pub(super) advantages: Tensor,
    pub(super) returns: Tensor,
    /// β KL, the part of the rewards that is not the score.
    pub(super) kl: Tensor,
}

impl RolloutBatch {
    /// Tokens of each response.
    pub(super) fn lengths(&self) -> Vec<i64> {
        self.sequences.iter().map(response_length).collect()
    }

    /// Response tokens in all: N.
    pub(super) fn n_tokens(&self) -> usize {
        self.lengths().iter().sum::<i64>() as usize
    }

    /// The places, among the N tokens, of the responses at `picked`.
    pub(super) fn places(&self, picked: &[usize]) -> Tensor {
        let ends: Vec<i64> = self
            .lengths()
            .iter()
            .scan(0, |end, length| {
                *end += length;
                Some(*end)
            })
            .collect();
        let places: Vec<i64> = picked
            .iter()
            .flat_map(|&i| ends[i] - response_length(&self.sequences[i])..ends[i])
            .collect();
        Tensor::from_slice(&places).to_device(self.values.device())
    }

    /// Phases 3 and 4: rewards of each token, then advantages and returns.
    pub(super) fn targets(&self, config: &PpoConfig) -> UpdateTargets {
        let device = self.values.device();
        let lengths = self.lengths();
        let kl = ops::kl(config.kl_estimator, &self.logprobs, &self.ref_logprobs);
        let mut rewards = floats(&(-config.kl_coef * &kl));
        let mut end = 0;
        for (length, score) in lengths.iter().zip(&self.scores) {
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
        }
    }
}

pub(super) fn response_length(sequence: &TrainingExample) -> i64 {
    (sequence.ids.len() - sequence.prompt_len) as i64
}

pub(super) fn floats(tensor: &Tensor) -> Vec<f32> {
    Vec::try_from(tensor.to_kind(Kind::Float).to_device(Device::Cpu)).expect("a row of numbers")
}
