//! What is reported of a rollout batch and its updates, under TRL's names.

use super::targets::{RolloutBatch, UpdateTargets};
use crate::math::ops::ClippedLoss;
use entity::run_config::PpoConfig;
use serde_json::{Map, Value, json};
use tch::{Kind, Tensor};

/// Sums over the response tokens of one optimiser step.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct UpdateSums {
    policy_loss: f64,
    policy_clipped: f64,
    approx_kl: f64,
    ratio: f64,
    entropy: f64,
    value_loss: f64,
    value_clipped: f64,
}

impl UpdateSums {
    /// Adds some tokens' policy loss and log ρ, both (n).
    pub(super) fn add_policy(&mut self, loss: &ClippedLoss, log_ratio: &Tensor) {
        self.policy_loss += sum(&loss.per_token);
        self.policy_clipped += sum(&loss.clipped);
        // k2 of the new policy to the old one, as TRL's approxkl.
        self.approx_kl += 0.5 * sum(&log_ratio.square());
        self.ratio += sum(&log_ratio.exp());
    }

    /// Adds some tokens' entropy, (n).
    pub(super) fn add_entropy(&mut self, entropy: &Tensor) {
        self.entropy += sum(entropy);
    }

    /// Adds some tokens' value loss.
    pub(super) fn add_value(&mut self, loss: &ClippedLoss) {
        self.value_loss += sum(&loss.per_token);
        self.value_clipped += sum(&loss.clipped);
    }

    fn divided_by(self, n_tokens: f64) -> Self {
        Self {
            policy_loss: self.policy_loss / n_tokens,
            policy_clipped: self.policy_clipped / n_tokens,
            approx_kl: self.approx_kl / n_tokens,
            ratio: self.ratio / n_tokens,
            entropy: self.entropy / n_tokens,
            value_loss: self.value_loss / n_tokens,
            value_clipped: self.value_clipped / n_tokens,
        }
    }
}

fn sum(values: &Tensor) -> f64 {
    values.sum(Kind::Double).double_value(&[])
}

/// Means over the optimiser steps of one rollout batch.
#[derive(Debug, Default)]
pub(super) struct UpdateStatistics {
    steps: Vec<UpdateSums>,
    grad_norms: Vec<f64>,
    /// The largest approximate KL of a minibatch, also of one that was not learnt.
    most_kl: f64,
}

impl UpdateStatistics {
    /// Notes an optimiser step: its sums over `n_tokens` response tokens and the norm of the
    /// gradient of policy and value model together, before clipping.
    pub(super) fn add(&mut self, sums: UpdateSums, n_tokens: f64, grad_norm: f64) {
        self.steps.push(sums.divided_by(n_tokens));
        self.grad_norms.push(grad_norm);
    }

    /// Notes how far the policy is from the one that answered, by the sums over a minibatch of `n_tokens`:
    /// the mean over its tokens of the approximate KL.
    pub(super) fn measure(&mut self, sums: &UpdateSums, n_tokens: f64) -> f64 {
        let kl = sums.approx_kl / n_tokens;
        self.most_kl = self.most_kl.max(kl);
        kl
    }

    /// Whether no minibatch has been learnt yet.
    pub(super) fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    fn mean(&self, value: impl Fn(&UpdateSums) -> f64) -> f64 {
        self.steps.iter().map(value).sum::<f64>() / self.steps.len() as f64
    }

    /// With Bessel's correction, as torch's `var`; 0 for a single step.
    fn ratio_variance(&self) -> f64 {
        let mean = self.mean(|step| step.ratio);
        let squares: f64 = self.steps.iter().map(|step| (step.ratio - mean).powi(2)).sum();
        squares / (self.steps.len().max(2) - 1) as f64
    }

    /// The metrics of the batch, but for those that come from the plan.
    pub(super) fn metrics(
        &self,
        rollout: &RolloutBatch,
        targets: &UpdateTargets,
        config: &PpoConfig,
    ) -> Map<String, Value> {
        let answers = &rollout.answers;
        let kl = rollout.kl(targets);
        let non_score_reward = -targets.kl_coef * kl;
        let score = answers.mean_score();
        let policy_loss = self.mean(|step| step.policy_loss);
        let value_loss = self.mean(|step| step.value_loss);
        let Value::Object(mut metrics) = json!({
            "loss": policy_loss + config.vf_coef * value_loss,
            "grad_norm": self.grad_norms.iter().sum::<f64>() / self.grad_norms.len() as f64,
            "objective/kl": kl,
            "objective/entropy": -answers.per_answer(&rollout.logprobs),
            "objective/non_score_reward": non_score_reward,
            "objective/rlhf_reward": non_score_reward + score,
            "objective/scores": score,
            "policy/approxkl_avg": self.mean(|step| step.approx_kl),
            "policy/clipfrac_avg": self.mean(|step| step.policy_clipped),
            "policy/entropy_avg": self.mean(|step| step.entropy),
            "loss/policy_avg": policy_loss,
            "loss/value_avg": value_loss,
            "val/clipfrac_avg": self.mean(|step| step.value_clipped),
            "val/ratio": self.mean(|step| step.ratio),
            "val/ratio_var": self.ratio_variance(),
            "val/num_eos_tokens": answers.n_ended(),
            // As TRL's GRPOTrainer calls it: tokens of a response.
            "completions/mean_length": answers.n_tokens() as f64 / answers.n_answers() as f64,
        }) else {
            unreachable!("an object was written")
        };
        if config.adaptive_kl.is_on() {
            metrics.insert("objective/kl_coef".into(), json!(targets.kl_coef));
        }
        if config.target_kl > 0.0 {
            metrics.insert("policy/approxkl_max".into(), json!(self.most_kl));
            metrics.insert("policy/minibatches_learnt".into(), json!(self.steps.len()));
        }
        metrics
    }
}
