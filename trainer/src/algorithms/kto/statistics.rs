//! What is reported of answers that are good or bad, under TRL's names.

use crate::{
    algorithms::length_bias::right_of, math::statistics::wilson_interval, run::session::object,
};
use serde_json::{Map, Value, json};
use trainer_base::rows::LabelledAnswer;

/// Means over the answers of a side of a micro-batch; none where it has none.
struct SideMeans {
    /// β (log π − log π_ref).
    reward: f64,
    logprob: f64,
}

/// A policy's numbers of a micro-batch.
pub(crate) struct AnswerStatistics {
    pub(crate) loss: f64,
    /// z: how far the policy has gone from its reference in general.
    kl: f64,
    /// Mean over the answer tokens, in nats.
    entropy: f64,
    good: Option<SideMeans>,
    bad: Option<SideMeans>,
}

impl AnswerStatistics {
    pub(super) fn new(
        answers: &[&LabelledAnswer],
        rewards: &[f64],
        logprobs: &[f64],
        [loss, kl, entropy]: [f64; 3],
    ) -> Self {
        let side = |is_good: bool| {
            let of = |values: &[f64]| mean_of(&of_side(answers, values, is_good));
            Some(SideMeans { reward: of(rewards)?, logprob: of(logprobs)? })
        };
        Self { loss, kl, entropy, good: side(true), bad: side(false) }
    }
}

/// The values of the answers that are good, or of the others.
fn of_side(answers: &[&LabelledAnswer], values: &[f64], is_good: bool) -> Vec<f64> {
    let values = answers.iter().zip(values).filter(|(answer, _)| answer.is_good == is_good);
    values.map(|(_, value)| *value).collect()
}

fn mean_of(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// The metrics of a step that are KTO's own: means of the micro-batches' means, as in TRL. A step that
/// saw one side alone says nothing of the other.
pub(super) fn metrics_of(seen: &[AnswerStatistics]) -> Map<String, Value> {
    let mut metrics = object(json!({
        "kl": mean(seen, |batch| batch.kl),
        "entropy": mean(seen, |batch| batch.entropy),
    }));
    let mut rewards = [None, None];
    for (place, name) in ["chosen", "rejected"].into_iter().enumerate() {
        let sides = seen.iter().filter_map(|batch| [&batch.good, &batch.bad][place].as_ref());
        let (of_rewards, of_logprobs): (Vec<f64>, Vec<f64>) =
            sides.map(|side| (side.reward, side.logprob)).unzip();
        rewards[place] = mean_of(&of_rewards);
        if let (Some(reward), Some(logprob)) = (rewards[place], mean_of(&of_logprobs)) {
            metrics.insert(format!("rewards/{name}"), json!(reward));
            metrics.insert(format!("logps/{name}"), json!(logprob));
        }
    }
    if let [Some(good), Some(bad)] = rewards {
        metrics.insert("rewards/margins".into(), json!(good - bad));
    }
    metrics
}

fn mean(of: &[AnswerStatistics], value: impl Fn(&AnswerStatistics) -> f64) -> f64 {
    of.iter().map(value).sum::<f64>() / of.len() as f64
}

/// What a policy makes of the held-out answers.
#[derive(Default)]
pub(crate) struct HeldOutAnswers {
    good: Vec<f64>,
    bad: Vec<f64>,
    /// Sums over the answers.
    loss: f64,
    kl: f64,
}

impl HeldOutAnswers {
    /// Adds a batch: the rewards of its answers, their mean loss, and z.
    pub(super) fn add(&mut self, answers: &[&LabelledAnswer], rewards: &[f64], loss: f64, kl: f64) {
        self.good.extend(of_side(answers, rewards, true));
        self.bad.extend(of_side(answers, rewards, false));
        self.loss += loss * answers.len() as f64;
        self.kl += kl * answers.len() as f64;
    }

    /// `eval_rewards/accuracies`: of a good and a bad answer, each drawn at random, how often the good one
    /// has the higher reward (the area under the ROC curve). Its interval is Wilson's for as many draws
    /// as the smaller side has answers, which is at least as wide as it must be: the variance is at most
    /// p (1 − p) / min(n, m) (Birnbaum & Klose 1957).
    pub(super) fn metrics(&self) -> Map<String, Value> {
        let n = (self.good.len() + self.bad.len()) as f64;
        let mut metrics = object(json!({
            "eval_loss": self.loss / n, "eval_kl": self.kl / n, "eval_answers": n as u64,
        }));
        let (Some(good), Some(bad)) = (mean_of(&self.good), mean_of(&self.bad)) else {
            return metrics;
        };
        let accuracy = self.accuracy();
        let n_sure = self.good.len().min(self.bad.len()) as f64;
        let (low, high) = wilson_interval(accuracy * n_sure, n_sure);
        metrics.extend(object(json!({
            "eval_rewards/chosen": good,
            "eval_rewards/rejected": bad,
            "eval_rewards/margins": good - bad,
            "eval_rewards/accuracies": accuracy,
            "eval_rewards/accuracies_low": low,
            "eval_rewards/accuracies_high": high,
        })));
        metrics
    }

    fn accuracy(&self) -> f64 {
        let right = |good: &f64| self.bad.iter().map(|bad| right_of(good - bad)).sum::<f64>();
        let n = (self.good.len() * self.bad.len()) as f64;
        self.good.iter().map(right).sum::<f64>() / n
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_well_good_answers_are_told_from_bad_ones_is_counted_over_all_of_both() {
        let seen =
            HeldOutAnswers { good: vec![2.0, 0.5, -1.0], bad: vec![0.5, -2.0], loss: 2.5, kl: 5.0 };
        let metrics = seen.metrics();
        let value = |name: &str| metrics[name].as_f64().unwrap();
        // 2 beats both, 0.5 ties with one and beats the other, −1 beats one.
        assert!((value("eval_rewards/accuracies") - 4.5 / 6.0).abs() < 1e-12);
        assert!(value("eval_rewards/accuracies_low") < 0.75);
        assert!((value("eval_rewards/margins") - (0.5 + 0.75)).abs() < 1e-12);
        assert_eq!((value("eval_loss"), value("eval_kl"), value("eval_answers")), (0.5, 1.0, 5.0));
        let alone = HeldOutAnswers { good: vec![1.0], ..HeldOutAnswers::default() };
        assert!(!alone.metrics().contains_key("eval_rewards/accuracies"));
    }
}
