//! The policy beside the one that the run began with, on prompts that it never learns from.
//!
//! Both answer each prompt with the same draws, and both are scored as the policy's own answers are, so that the
//! mean of the differences says whether the policy has become better by its reward, and how surely.

use super::{engine::RolloutEngine, plan::PromptTurn};
use crate::{
    algorithms::answer_gain::{self, MeasuredAnswer},
    model::Transformer,
    run::{evaluation::EvaluationSchedule, journal::RunJournal},
};
use anyhow::Result;
use serde_json::{Map, Value};
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
        answer_gain::alone(&self.start)
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
        Ok(now.map(|now| answer_gain::beside(&self.start, &now)))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.prompts.is_empty()
    }
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
