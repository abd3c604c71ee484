//! The policy beside the one that the run began with, on prompts that it never learns from.
//!
//! Both answer each prompt with the same draws, and both are scored as the policy's own answers are, so that the
//! mean of the differences says whether the policy has become better by its reward, and how surely. What
//! the answers' length explains of it is told apart: the difference where the length is the same is
//! where a line through (change in length, change in score) meets 0.

use super::{engine::RolloutEngine, plan::PromptTurn};
use crate::{
    math::statistics::{Estimate, correlation, intercept_estimate, mean_estimate, mean_of},
    model::Transformer,
    run::{evaluation::EvaluationSchedule, journal::RunJournal, session::object},
};
use anyhow::Result;
use serde_json::{Map, Value, json};
use std::ops::ControlFlow;
use trainer_base::{
    evaluation::{MEASURING_COST, MOST_MEASURED},
    job::Report,
    rows::PromptIds,
};

/// Held-out prompts, and how the policy answered them when the run began.
pub(super) struct HeldOut<'a> {
    prompts: &'a [PromptIds],
    start: Vec<MeasuredAnswer>,
    schedule: EvaluationSchedule,
}

/// An answer to one prompt.
#[derive(Clone, Copy, Debug, PartialEq)]
struct MeasuredAnswer {
    /// As its answers are rewarded, with the penalty for one that did not end by itself.
    score: f64,
    /// In tokens.
    length: f64,
}

/// The prompts that are measured.
pub(super) fn measured(prompts: &[PromptIds]) -> &[PromptIds] {
    &prompts[..prompts.len().min(MOST_MEASURED)]
}

impl<'a> HeldOut<'a> {
    /// Asks the policy as it was when the run began: a run that goes on finds the same. None when asked to
    /// stop.
    pub(super) fn open(
        engine: &RolloutEngine,
        prompts: &'a [PromptIds],
        schedule: EvaluationSchedule,
        journal: &mut RunJournal,
        report: &mut Report,
    ) -> Result<Option<Self>> {
        let prompts = measured(prompts);
        if prompts.is_empty() {
            return Ok(Some(Self { prompts, start: Vec::new(), schedule }));
        }
        // A method that is held to no reference has none in memory: it is there for this alone.
        let for_this;
        let start = match &engine.reference {
            Some(reference) => reference,
            None => {
                for_this = engine.policy.as_it_began()?;
                &for_this
            }
        };
        let start = measure_answers(engine, start, prompts, journal, report)?;
        Ok(start.map(|start| Self { prompts, start, schedule }))
    }

    /// What is known before the first step.
    pub(super) fn at_start(&self) -> Map<String, Value> {
        let (scores, lengths) = columns(&self.start);
        let mut metrics = means(&self.start);
        if let Some(r) = correlation(&lengths, &scores) {
            metrics.insert("eval_score_length_correlation".into(), json!(r));
        }
        metrics
    }

    /// The policy now, if it is time after `step`; the outer none when asked to stop.
    pub(super) fn measure(
        &self,
        engine: &RolloutEngine,
        step: u64,
        journal: &mut RunJournal,
        report: &mut Report,
    ) -> Result<Option<Map<String, Value>>> {
        if self.prompts.is_empty() || !self.schedule.is_due(step) {
            return Ok(Some(Map::new()));
        }
        let now = measure_answers(engine, &engine.policy, self.prompts, journal, report)?;
        Ok(now.map(|now| beside(&self.start, &now)))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.prompts.is_empty()
    }
}

/// The policy's answers beside those of the start, prompt by prompt.
fn beside(start: &[MeasuredAnswer], now: &[MeasuredAnswer]) -> Map<String, Value> {
    let mut metrics = means(now);
    let pairs = || start.iter().zip(now);
    let gains: Vec<f64> = pairs().map(|(start, now)| now.score - start.score).collect();
    let longer: Vec<f64> = pairs().map(|(start, now)| now.length - start.length).collect();
    let estimates = [
        ("eval_gain", mean_estimate(&gains)),
        ("eval_gain_same_length", intercept_estimate(&longer, &gains)),
    ];
    for (name, estimate) in estimates {
        let Some(Estimate { value, low, high }) = estimate else { continue };
        metrics.insert(name.into(), json!(value));
        metrics.insert(format!("{name}_low"), json!(low));
        metrics.insert(format!("{name}_high"), json!(high));
    }
    metrics
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

/// One scored answer of `model` to each prompt, with draws that are the same whenever it is asked.
/// None when asked to stop.
fn measure_answers(
    engine: &RolloutEngine,
    model: &Transformer,
    prompts: &[PromptIds],
    journal: &mut RunJournal,
    report: &mut Report,
) -> Result<Option<Vec<MeasuredAnswer>>> {
    // Keys that no rollout comes to, which count up from 0.
    let turn = |prompt: usize| PromptTurn { prompt, key: u64::MAX - prompt as u64 };
    let turns: Vec<PromptTurn> = (0..prompts.len()).map(turn).collect();
    let tick = &mut || journal.advance(0.0, 0, report);
    let Some(answers) = engine.answer(model, prompts, &turns, 1, tick) else { return Ok(None) };
    let asked: Vec<&PromptIds> = prompts.iter().collect();
    let scores = engine.score(&asked, &answers)?;
    let measured = scores.rewards.iter().zip(&answers).map(|(score, answer)| MeasuredAnswer {
        score: f64::from(*score),
        length: answer.token_ids.len() as f64,
    });
    let measured = measured.collect();
    // Work that nothing is learnt from.
    match journal.advance(prompts.len() as f64 * MEASURING_COST, 0, report) {
        ControlFlow::Continue(()) => Ok(Some(measured)),
        ControlFlow::Break(()) => Ok(None),
    }
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
        let held_out = HeldOut { prompts: &[], start, schedule: EvaluationSchedule::new(0, 1) };
        assert!(number(&held_out.at_start(), "eval_score_length_correlation") > 0.9);
    }
}
