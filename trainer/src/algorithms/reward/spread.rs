//! How the trained model's scores are spread: what PPO, GRPO and RLOO normalise them by, where they are asked
//! to. It is measured once, of the model that is kept, and goes with it.

use super::{PairBatch, n_tokens};
use crate::run::session::{EVALUATION_COST, TrainingSession};
use entity::{message, report::LogLevel};
use std::{ops::ControlFlow, sync::Arc};
use tch::{Device, Kind, Tensor};
use trainer_base::{
    evaluation::MOST_SCORED, job::Report, model_config::ScoreStatistics, progress::say,
    rows::AnswerPair,
};

/// The pairs whose answers are scored: of those that were held out, or else of those that were learnt from,
/// some from all over them.
pub(super) fn scored_pairs<'a>(
    learnt: &'a [AnswerPair],
    held_out: &'a [AnswerPair],
) -> Vec<&'a AnswerPair> {
    let pairs = if held_out.is_empty() { learnt } else { held_out };
    let n = pairs.len().min(MOST_SCORED);
    (0..n).map(|place| &pairs[place * pairs.len() / n]).collect()
}

/// The work of measuring them, in tokens trained on.
pub(super) fn work(pairs: &[&AnswerPair]) -> f64 {
    pairs.iter().map(|pair| n_tokens(pair)).sum::<u64>() as f64 * EVALUATION_COST
}

/// Scores the answers of these pairs, chosen and rejected, and has the model keep mean and deviation. Breaks
/// when asked to stop.
pub(super) fn measure(
    session: &mut TrainingSession,
    pairs: &[&AnswerPair],
    batch_size: usize,
    report: &mut Report,
) -> ControlFlow<()> {
    let mut scores = Vec::with_capacity(2 * pairs.len());
    for pairs in pairs.chunks(batch_size) {
        let _no_grad = tch::no_grad_guard();
        let batch = PairBatch { pairs: pairs.to_vec(), weights: None };
        let (chosen, rejected) = batch.scores(&session.model);
        let both = Tensor::cat(&[chosen, rejected], 0).to_kind(Kind::Float).to_device(Device::Cpu);
        scores.extend(Vec::<f32>::try_from(both).expect("a score of each answer"));
        session.advance(work(pairs), 0, report)?;
    }
    let found = ScoreStatistics::of(&scores);
    Arc::make_mut(&mut session.model.config).set_score_statistics(found);
    let n = scores.len();
    match found {
        Some(found) => {
            session.journal.note(&found.keys());
            let told = message!(
                "score-statistics",
                "the scores of {n} answers have the mean {mean} and the standard deviation {std}: the model keeps both, for --normalize-scores",
                n = n,
                mean = format!("{:.4}", found.mean),
                std = format!("{:.4}", found.std)
            );
            say(report, LogLevel::Info, told);
        }
        None => {
            let told = message!(
                "score-statistics-none",
                "the model scores all of {n} answers alike, so that --normalize-scores cannot be used with it: it has learnt nothing; give it more comparisons or more steps",
                n = n
            );
            say(report, LogLevel::Warning, told);
        }
    }
    ControlFlow::Continue(())
}
