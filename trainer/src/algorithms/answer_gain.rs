//! Answers beside others to the same prompts, by their scores.
//!
//! The mean of the differences says which are better, and how surely. What the answers' length explains of it
//! is told apart: the difference where the length is the same is where a line through (change in length,
//! change in score) meets 0.

use crate::{
    math::statistics::{Estimate, correlation, intercept_estimate, mean_estimate, mean_of},
    run::session::object,
};
use serde_json::{Map, Value, json};

/// An answer to one prompt, or the means of several.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct MeasuredAnswer {
    /// Of a policy that learns as its answers are rewarded, with the penalty for one that did not end by
    /// itself.
    pub(crate) score: f64,
    /// In tokens.
    pub(crate) length: f64,
}

/// Answers by themselves.
pub(crate) fn alone(answers: &[MeasuredAnswer]) -> Map<String, Value> {
    let (scores, lengths) = columns(answers);
    let mut metrics = means(answers);
    if let Some(r) = correlation(&lengths, &scores) {
        metrics.insert("eval_score_length_correlation".into(), json!(r));
    }
    metrics
}

/// Answers beside those that they are compared with, prompt by prompt.
pub(crate) fn beside(before: &[MeasuredAnswer], now: &[MeasuredAnswer]) -> Map<String, Value> {
    let mut metrics = means(now);
    let pairs = || before.iter().zip(now);
    let gains: Vec<f64> = pairs().map(|(before, now)| now.score - before.score).collect();
    let longer: Vec<f64> = pairs().map(|(before, now)| now.length - before.length).collect();
    insert(&mut metrics, "eval_gain", mean_estimate(&gains));
    insert(&mut metrics, "eval_gain_same_length", intercept_estimate(&longer, &gains));
    metrics
}

/// A metric with its bounds, if there is one.
pub(crate) fn insert(metrics: &mut Map<String, Value>, name: &str, estimate: Option<Estimate>) {
    let Some(Estimate { value, low, high }) = estimate else { return };
    metrics.insert(name.into(), json!(value));
    metrics.insert(format!("{name}_low"), json!(low));
    metrics.insert(format!("{name}_high"), json!(high));
}

fn means(answers: &[MeasuredAnswer]) -> Map<String, Value> {
    let (scores, lengths) = columns(answers);
    object(json!({
        "eval_score": mean_of(&scores),
        "eval_length": mean_of(&lengths),
        "eval_prompts": answers.len(),
    }))
}

fn columns(answers: &[MeasuredAnswer]) -> (Vec<f64>, Vec<f64>) {
    answers.iter().map(|answer| (answer.score, answer.length)).unzip()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(of: impl Fn(f64) -> (f64, f64)) -> Vec<MeasuredAnswer> {
        let answer = |at: i32| {
            let (score, length) = of(f64::from(at));
            MeasuredAnswer { score, length }
        };
        (0..40).map(answer).collect()
    }

    fn number(metrics: &Map<String, Value>, name: &str) -> f64 {
        metrics[name].as_f64().unwrap()
    }

    #[test]
    fn what_length_explains_of_a_gain_is_told_apart() {
        let noise = |at: f64| (at * 7.0).sin() * 0.1;
        let start = answers(|at| (0.2 * (10.0 + at % 7.0) + noise(at), 10.0 + at % 7.0));
        // Each answer is a few tokens longer, and scores for that alone.
        let longer = |at: f64| 10.0 + at % 7.0 + 2.0 + at % 5.0;
        let only_longer =
            beside(&start, &answers(|at| (0.2 * longer(at) + noise(at + 3.0), longer(at))));
        assert!(number(&only_longer, "eval_gain_low") > 0.5, "{only_longer:?}");
        assert!(number(&only_longer, "eval_gain_same_length_low") < 0.0, "{only_longer:?}");
        let better =
            beside(&start, &answers(|at| (0.2 * longer(at) + 1.0 + noise(at + 3.0), longer(at))));
        assert!(number(&better, "eval_gain_same_length_low") > 0.8, "{better:?}");
        assert!(number(&alone(&start), "eval_score_length_correlation") > 0.9);
    }
}
