//! The LM head in pieces: log-probabilities, and their gradient, without the (tokens × vocabulary)
//! matrix.
//!
//! Each piece's logits live only while its rows are worked on. The backward pass is written out:
//! with p the softmax of the logits z/T, ∂ log p_y / ∂ z = (1_y − p) / T; where logits are capped,
//! times the cap's slope.

use super::Transformer;
use crate::ffi;
use anyhow::Result;
use std::ops::Range;
use tch::{Kind, Tensor};

/// Rows whose logits exist at a time, and how many numbers they may be: 100 MB in f32, which is 512
/// rows with a vocabulary of 49,152 and 165 with Qwen's 151,936.
const ROWS: i64 = 512;
const LOGITS: i64 = ROWS * 49_152;

/// Statistics of each token: all (N), f32, without a gradient.
#[derive(Debug)]
pub struct TokenStatistics {
    /// log p of the token.
    pub logprobs: Tensor,
    /// Entropy of the distribution that it was drawn from, in nats.
    pub entropy: Tensor,
    /// 1 where the token is the likeliest one, else 0.
    pub is_likeliest: Tensor,
}

/// Log-probabilities of `ids` (N) after the hidden states `hidden` (N, D), at `temperature`.
pub fn logprobs(
    model: &Transformer,
    hidden: &Tensor,
    ids: &Tensor,
    temperature: f64,
) -> TokenStatistics {
    let _guard = tch::no_grad_guard();
    let pieces = pieces(model, hidden.size()[0]).map(|rows| {
        let piece = HeadPiece::new(model, &narrow(hidden, &rows), &narrow(ids, &rows), temperature);
        piece.statistics
    });
    collect(pieces.collect())
}

/// [`logprobs`] with the backward pass through the head and the body.
///
/// `gradient` is asked once per piece, with the rows and their log-probabilities (n), for
/// ∂ loss / ∂ log p of these rows: (n). Gradients are added to those that the parameters have.
pub fn logprobs_backward(
    model: &Transformer,
    hidden: &Tensor,
    ids: &Tensor,
    temperature: f64,
    mut gradient: impl FnMut(Range<i64>, &Tensor) -> Tensor,
) -> Result<TokenStatistics> {
    let states = hidden.detach();
    let mut state_gradients = Vec::new();
    let mut statistics = Vec::new();
    for rows in pieces(model, hidden.size()[0]) {
        let states = narrow(&states, &rows);
        let piece = {
            let _guard = tch::no_grad_guard();
            HeadPiece::new(model, &states, &narrow(ids, &rows), temperature)
        };
        let of_logprobs = gradient(rows, &piece.statistics.logprobs);
        let _guard = tch::no_grad_guard();
        let of_logits = piece.gradient(&of_logprobs, temperature).to_kind(model.kind); // (n, V)
        state_gradients.push(of_logits.matmul(model.lm_head()));
        if model.lm_head().requires_grad() {
            add_to_gradient(model.lm_head(), &of_logits, &states)?;
        }
        statistics.push(piece.statistics);
    }
    if !state_gradients.is_empty() {
        // tch's backward takes no gradient to start from: this product has it.
        (hidden * Tensor::cat(&state_gradients, 0)).sum(Kind::Float).backward();
    }
    Ok(collect(statistics))
}

fn pieces(model: &Transformer, n: i64) -> impl Iterator<Item = Range<i64>> {
    let rows = (LOGITS / model.config.vocab_size).clamp(1, ROWS);
    (0..n).step_by(rows as usize).map(move |start| start..n.min(start + rows))
}

fn narrow(x: &Tensor, rows: &Range<i64>) -> Tensor {
    x.narrow(0, rows.start, rows.end - rows.start)
}

fn collect(pieces: Vec<TokenStatistics>) -> TokenStatistics {
    let join = |of: fn(&TokenStatistics) -> &Tensor| {
        let parts: Vec<&Tensor> = pieces.iter().map(of).collect();
        if parts.is_empty() {
            Tensor::zeros([0], tch::kind::FLOAT_CPU)
        } else {
            Tensor::cat(&parts, 0)
        }
    };
    TokenStatistics {
        logprobs: join(|piece| &piece.logprobs),
        entropy: join(|piece| &piece.entropy),
        is_likeliest: join(|piece| &piece.is_likeliest),
    }
}

/// ids (n), their softmax (n, V), and what came of both.
struct HeadPiece {
    ids: Tensor,
    softmax: Tensor,
    /// Of capped logits by those before the cap: 1 − (z / c)². None without a cap.
    slope: Option<Tensor>,
    statistics: TokenStatistics,
}

impl HeadPiece {
    fn new(model: &Transformer, hidden: &Tensor, ids: &Tensor, temperature: f64) -> Self {
        let mut logits = model.lm_logits(hidden); // (n, V)
        let cap = model.config.logit_softcap;
        let slope = cap.map(|cap| 1.0 - (&logits / cap).square());
        if temperature != 1.0 {
            let _ = logits.g_div_scalar_(temperature);
        }
        let ids = ids.unsqueeze(1);
        let logprobs = (logits.gather(1, &ids, false) - logits.logsumexp([1], true)).squeeze_dim(1);
        let is_likeliest =
            logits.argmax(1, true).eq_tensor(&ids).squeeze_dim(1).to_kind(Kind::Float);
        // Entropy is log Σ exp z − Σ p z, as a product of a row and a column.
        let softmax = logits.softmax(-1, Kind::Float);
        let expected = softmax.unsqueeze(1).bmm(&logits.unsqueeze(2)).view([-1]);
        let entropy = logits.logsumexp([1], false) - expected;
        let statistics = TokenStatistics { logprobs, entropy, is_likeliest };
        Self { ids, softmax, slope, statistics }
    }

    /// ∂ loss / ∂ logits (n, V) from ∂ loss / ∂ log p (n).
    fn gradient(&self, of_logprobs: &Tensor, temperature: f64) -> Tensor {
        let scale = (of_logprobs / temperature).unsqueeze(1);
        let mut gradient = self.softmax.shallow_clone();
        let _ = gradient.g_mul_(&-&scale);
        let gradient = gradient.scatter_add_(1, &self.ids, &scale);
        match &self.slope {
            None => gradient,
            Some(slope) => gradient * slope,
        }
    }
}

/// weight.grad += left (n, V)ᵀ × right (n, D)
fn add_to_gradient(weight: &Tensor, left: &Tensor, right: &Tensor) -> Result<()> {
    if !weight.grad().defined() {
        ffi::set_gradient(weight, &weight.zeros_like())?;
    }
    let _ = weight.grad().addmm_(&left.tr(), right);
    Ok(())
}
