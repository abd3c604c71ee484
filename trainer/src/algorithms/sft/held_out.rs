//! The loss on held-out rows, row by row, beside that before the first step.
//!
//! The mean loss per token, and its change, is a quotient of two sums over rows: Σ loss / Σ tokens. How
//! sure it is follows from how far each row is from what that quotient expects of it (Cochran 1977, 6.4).

use super::{LearntSums, measure};
use crate::{
    math::statistics::{Estimate, mean_estimate},
    model::Transformer,
    run::session::object,
};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use trainer_base::rows::SupervisedExample;

/// What a language model makes of rows that it does not learn from.
#[derive(Default)]
pub(crate) struct MeasuredRows {
    sums: LearntSums,
    pub(super) rows: RowLosses,
}

impl MeasuredRows {
    /// Adds sequences, in one forward pass.
    pub(crate) fn add(&mut self, model: &Transformer, examples: &[&SupervisedExample]) {
        let statistics = measure(model, examples);
        let logprobs = Vec::<f32>::try_from(&statistics.logprobs).expect("one value per token");
        self.rows.add(examples, &logprobs);
        self.sums += LearntSums::new(&statistics);
    }

    /// Means over the tokens that would be learnt.
    pub(crate) fn metrics(&self) -> Map<String, Value> {
        object(json!({
            "eval_loss": self.sums.loss / self.sums.n,
            "eval_mean_token_accuracy": self.sums.n_likeliest / self.sums.n,
        }))
    }

    /// How many tokens would be learnt, and of how many rows of the file.
    pub(crate) fn n_tokens_and_rows(&self) -> (u64, usize) {
        (self.sums.n as u64, self.rows.0.len())
    }

    /// The mean loss per token as an estimate over the rows; none of one row alone.
    pub(crate) fn loss_estimate(&self) -> Option<Estimate> {
        per_token(&self.rows.0.values().copied().collect::<Vec<_>>())
    }
}

/// What was measured on each held-out row, by its place in the file.
#[derive(Debug, Default)]
pub(super) struct RowLosses(BTreeMap<usize, RowLoss>);

/// Over the tokens of a row that would be learnt.
#[derive(Clone, Copy, Debug, Default)]
struct RowLoss {
    loss: f64,
    n_tokens: f64,
}

impl RowLosses {
    /// Adds what was measured on some sequences, whose tokens come one after the other.
    pub(super) fn add(&mut self, examples: &[&SupervisedExample], logprobs: &[f32]) {
        let mut rest = logprobs;
        for example in examples {
            let (own, others) = rest.split_at(example.n_learnt());
            rest = others;
            let row = self.0.entry(example.index).or_default();
            row.loss -= own.iter().copied().map(f64::from).sum::<f64>();
            row.n_tokens += own.len() as f64;
        }
    }

    /// The losses as a checkpoint keeps them: the bits of f32, since a number in JSON is not read to the
    /// last of them.
    pub(super) fn bits(&self) -> Vec<u32> {
        self.0.values().map(|row| (row.loss as f32).to_bits()).collect()
    }

    /// By how much the mean loss per token has changed since the start, and how surely.
    pub(super) fn beside(&self, start: &[u32]) -> Map<String, Value> {
        let mut metrics = Map::from_iter([("eval_rows".to_owned(), json!(self.0.len()))]);
        let changes = self.0.values().zip(start).map(|(row, start)| RowLoss {
            loss: row.loss - f64::from(f32::from_bits(*start)),
            n_tokens: row.n_tokens,
        });
        let changes: Vec<RowLoss> = changes.collect();
        if let Some(Estimate { value, low, high }) = per_token(&changes) {
            metrics.insert("eval_loss_change".to_owned(), json!(value));
            metrics.insert("eval_loss_change_low".to_owned(), json!(low));
            metrics.insert("eval_loss_change_high".to_owned(), json!(high));
        }
        metrics
    }
}

/// Σ loss / Σ tokens.
fn per_token(rows: &[RowLoss]) -> Option<Estimate> {
    let sum = |of: fn(&RowLoss) -> f64| rows.iter().map(of).sum::<f64>();
    let n_tokens = sum(|row| row.n_tokens);
    let (mean, mean_tokens) = (sum(|row| row.loss) / n_tokens, n_tokens / rows.len() as f64);
    let of_rows: Vec<f64> =
        rows.iter().map(|row| mean + (row.loss - mean * row.n_tokens) / mean_tokens).collect();
    mean_estimate(&of_rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_as_sure_as_the_rows_agree() {
        let of = |changes: &[(f64, f64)]| {
            let rows = changes.iter().map(|&(loss, n_tokens)| RowLoss { loss, n_tokens });
            per_token(&rows.collect::<Vec<_>>())
        };
        // Every token alike, in rows of different lengths.
        let alike = of(&[(-1.0, 2.0), (-5.0, 10.0), (-2.0, 4.0)]).unwrap();
        assert!((alike.value + 0.5).abs() < 1e-12 && (alike.high - alike.low).abs() < 1e-9);
        // One row alone moves it: t.ppf(.975, 3) * 0.5 / 2 on either side of -0.25.
        let one = of(&[(-4.0, 4.0), (0.0, 4.0), (0.0, 4.0), (0.0, 4.0)]).unwrap();
        assert!((one.value + 0.25).abs() < 1e-12, "{one:?}");
        assert!((one.low + 0.25 + 3.182_446_305 * 0.25).abs() < 1e-6 && one.high > 0.0, "{one:?}");
        assert_eq!(of(&[(-1.0, 2.0)]), None);
    }
}
