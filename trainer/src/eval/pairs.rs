//! A reward model by the pairs that people judged.

use super::{number, percent, tell};
use crate::{
    algorithms::reward::{FilePairs, MeasuredPairs, n_tokens},
    answer::logprobs::demand_numbers,
    model::Transformer,
};
use anyhow::Result;
use entity::{message, run_config::RewardConfig};
use serde_json::{Map, Value};
use trainer_base::{
    job::{Report, VerbOutcome},
    progress::RunProgress,
    rows::AnswerPair,
};

/// How often the chosen answer scores higher, how sure the model is of it, and whether it judges more than length.
pub(super) fn judge(
    model: &Transformer,
    pairs: &[AnswerPair],
    batch_size: usize,
    report: &mut Report,
) -> Result<VerbOutcome> {
    let work: u64 = pairs.iter().map(n_tokens).sum();
    let mut progress = RunProgress::new(pairs.len() as u64, work as f64);
    // Nothing is learnt: of a run's settings only those of the loss count, which are the usual ones.
    let config = RewardConfig::default();
    let (mut measured, mut n_done) = (MeasuredPairs::default(), 0);
    for batch in FilePairs::new(pairs, None, false)?.batches(batch_size) {
        measured.add(model, &batch, &config);
        n_done += batch.pairs.len() as u64;
        let tokens: u64 = batch.pairs.iter().copied().map(n_tokens).sum();
        if progress.advance(n_done, tokens as f64, tokens, report).is_break() {
            return Ok(VerbOutcome::Stopped);
        }
    }
    let metrics = measured.metrics(pairs.len());
    let found = |name: &str| metrics[name].as_f64().unwrap_or(f64::NAN) as f32;
    demand_numbers(&["eval_loss", "eval_margin"].map(found))?;
    say_all(&metrics, report);
    Ok(VerbOutcome::Finished(progress.summary("eval", n_done, metrics)))
}

fn say_all(metrics: &Map<String, Value>, report: &mut Report) {
    let accuracy = message!(
        "eval-accuracy",
        "the chosen answer scores higher in {accuracy} % of {pairs} pairs (95 % interval {low} to {high} %; a tie counts as half), by {margin} on average",
        accuracy = percent(metrics, "eval_accuracy"),
        pairs = metrics["eval_pairs"].as_u64().unwrap_or(0),
        low = percent(metrics, "eval_accuracy_low"),
        high = percent(metrics, "eval_accuracy_high"),
        margin = number(metrics, "eval_margin")
    );
    tell(report, accuracy);
    let calibration = message!(
        "eval-calibration",
        "it is sure of what it prefers by {sureness} % on average; calibration error {error} %",
        sureness = percent(metrics, "eval_sureness"),
        error = percent(metrics, "eval_calibration_error")
    );
    tell(report, calibration);
    if metrics.contains_key("eval_longer_preferred") {
        let length = message!(
            "eval-longer",
            "where the answers differ in length it prefers the longer one in {model} % of the pairs, and people in {people} %",
            model = percent(metrics, "eval_longer_preferred"),
            people = percent(metrics, "eval_longer_chosen")
        );
        tell(report, length);
    }
}
