//! What is reported of methods that judge the answers to a prompt beside each other, under the names of
//! TRL's GRPOTrainer and RLOOTrainer.

use super::answers::ScoredAnswers;
use crate::math::ops::{ClippedLoss, deviation};
use serde_json::{Map, Value, json};
use tch::{Kind, Tensor};

/// What one optimiser step sums up. A ratio is of a token, or of an answer where the method takes it so.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct StepSums {
    loss: f64,
    n_ratios: f64,
    low_clipped: f64,
    high_clipped: f64,
    n_tokens: f64,
    entropy: f64,
    kl: Option<f64>,
}

impl StepSums {
    /// Adds a part of the step's loss.
    pub(crate) fn add_loss(&mut self, loss: &Tensor) {
        self.loss += sum(loss);
    }

    /// Adds ratios with their advantages, both (n): those that are clipped below 1 and above.
    pub(crate) fn add_ratios(&mut self, loss: &ClippedLoss, advantages: &Tensor) {
        let above = advantages.gt(0.0).to_kind(Kind::Float);
        let high = sum(&(&loss.clipped * above));
        self.high_clipped += high;
        self.low_clipped += sum(&loss.clipped) - high;
        self.n_ratios += loss.clipped.numel() as f64;
    }

    /// Adds some tokens' entropy, (n).
    pub(crate) fn add_entropy(&mut self, entropy: &Tensor) {
        self.entropy += sum(entropy);
        self.n_tokens += entropy.numel() as f64;
    }

    /// Adds some tokens' KL from the reference, (n).
    pub(crate) fn add_kl(&mut self, kl: &Tensor) {
        *self.kl.get_or_insert(0.0) += sum(kl);
    }
}

fn sum(values: &Tensor) -> f64 {
    values.sum(Kind::Double).double_value(&[])
}

/// Means over the optimiser steps of one rollout batch.
#[derive(Debug, Default)]
pub(crate) struct StepStatistics {
    steps: Vec<(StepSums, f64)>,
}

impl StepStatistics {
    /// Notes an optimiser step with the norm of its gradient before clipping.
    pub(crate) fn add(&mut self, sums: StepSums, grad_norm: f64) {
        self.steps.push((sums, grad_norm));
    }

    fn mean(&self, value: impl Fn(&StepSums) -> f64) -> f64 {
        self.steps.iter().map(|(step, _)| value(step)).sum::<f64>() / self.steps.len() as f64
    }

    /// The metrics of the batch, but for those that come from the plan. Answers are judged by `rewards`,
    /// n of them to each prompt.
    pub(crate) fn metrics(
        &self,
        answers: &ScoredAnswers,
        rewards: &[f32],
        n: usize,
    ) -> Map<String, Value> {
        let low = self.mean(|step| step.low_clipped / step.n_ratios);
        let high = self.mean(|step| step.high_clipped / step.n_ratios);
        let norms = self.steps.iter().map(|(_, norm)| norm);
        let Value::Object(mut metrics) = json!({
            "loss": self.mean(|step| step.loss),
            "grad_norm": norms.sum::<f64>() / self.steps.len() as f64,
            "entropy": self.mean(|step| step.entropy / step.n_tokens),
            "clip_ratio/low_mean": low,
            "clip_ratio/high_mean": high,
            "clip_ratio/region_mean": low + high,
        }) else {
            unreachable!("an object was written")
        };
        if self.steps.iter().all(|(step, _)| step.kl.is_some()) {
            let kl = self.mean(|step| step.kl.unwrap_or_default() / step.n_tokens);
            metrics.insert("kl".into(), json!(kl));
        }
        metrics.extend(reward_metrics(&answers.scores, rewards, n));
        metrics.extend(answers.length_metrics());
        metrics
    }
}

/// A deviation that is taken for none (torch's `isclose`).
const NO_DEVIATION: f64 = 1e-8;

/// How the scores spread, and how many groups there are in which no reward stands out, which teach
/// nothing.
fn reward_metrics(scores: &[f32], rewards: &[f32], n: usize) -> Map<String, Value> {
    let [scores, rewards] =
        [scores, rewards].map(|values| values.iter().copied().map(f64::from).collect::<Vec<f64>>());
    let n_groups = rewards.chunks(n).count() as f64;
    let alike = rewards.chunks(n).filter(|group| deviation(group) <= NO_DEVIATION).count() as f64;
    let Value::Object(metrics) = json!({
        "reward": scores.iter().sum::<f64>() / scores.len() as f64,
        "reward_std": deviation(&scores),
        "frac_reward_zero_std": alike / n_groups,
    }) else {
        unreachable!("an object was written")
    };
    metrics
}
