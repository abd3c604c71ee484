//! log p of whole answers behind their prompts, and its gradient: what DPO and KTO learn by.

use crate::model::{PackedBatch, Transformer, head};
use anyhow::Result;
use tch::{Kind, Tensor};

/// n answers in one forward pass.
pub(in super::super) struct AnswerForward {
    /// States before each answer token, with their gradient: (N, D)
    hidden: Tensor,
    /// The answer tokens: (N)
    ids: Tensor,
    /// Tokens of each of the n answers; they add up to N.
    lengths: Vec<i64>,
}

impl AnswerForward {
    /// Of sequences whose answers begin behind so many tokens.
    pub(in super::super) fn new(
        model: &Transformer,
        sequences: &[&[i64]],
        prompt_lens: &[usize],
    ) -> Self {
        let batch = PackedBatch::new(sequences, model.device);
        let answers = batch.answers(prompt_lens);
        let hidden = model.hidden(&batch).index_select(0, &answers.rows);
        Self { hidden, ids: answers.ids, lengths: answers.lengths }
    }

    /// Each summed over its answer's tokens, as precise as a checkpoint keeps it, without a gradient.
    pub(in super::super) fn logprobs(&self, model: &Transformer) -> Vec<f64> {
        let per_token = head::logprobs(model, &self.hidden, &self.ids, 1.0).logprobs; // (N)
        let values = Vec::<f32>::try_from(&per_token).expect("one value per token");
        let mut values = values.into_iter().map(f64::from);
        self.lengths
            .iter()
            .map(|&length| values.by_ref().take(length as usize).sum::<f64>())
            .map(|sum| f64::from(sum as f32))
            .collect()
    }

    /// Adds the gradient of a loss, given that by each answer's log p; the mean entropy of the answer
    /// tokens, in nats.
    pub(in super::super) fn backward(&self, model: &Transformer, gradients: &[f64]) -> Result<f64> {
        let of_tokens: Vec<f32> = gradients
            .iter()
            .zip(&self.lengths)
            .flat_map(|(&gradient, &length)| std::iter::repeat_n(gradient as f32, length as usize))
            .collect();
        let of_tokens = Tensor::from_slice(&of_tokens).to_device(model.device); // (N)
        let statistics =
            head::logprobs_backward(model, &self.hidden, &self.ids, 1.0, |rows, _| {
                of_tokens.narrow(0, rows.start, rows.end - rows.start)
            })?;
        Ok(match of_tokens.numel() {
            0 => 0.0,
            _ => statistics.entropy.mean(Kind::Double).double_value(&[]),
        })
    }
}
