//! The next token of each sequence from its logits.

use crate::run::failure::NOT_NUMBERS;
use tch::{Device, Kind, Tensor};

/// A token, and log p of it where that was asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct DrawnToken {
    pub(super) id: i64,
    pub(super) logprob: Option<f32>,
}

/// Without this a NaN would be drawn as the last token, or as one that the vocabulary lacks.
fn demand_numbers(of_rows: &Tensor) {
    let sum = of_rows.sum(Kind::Float).double_value(&[]);
    assert!(
        sum.is_finite(),
        "{NOT_NUMBERS}: its weights are damaged, or it was trained with too high a --learning-rate"
    );
}

/// The likeliest token of each row: (B, V) → B.
pub(super) fn greedy(logits: &Tensor) -> Vec<DrawnToken> {
    let (largest, tokens) = logits.max_dim(-1, false);
    demand_numbers(&largest);
    ids(&tokens).into_iter().map(|id| DrawnToken { id, logprob: None }).collect()
}

/// Which tokens take part in a draw, and how likely they are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DrawRule {
    /// 0 takes the likeliest token.
    pub temperature: f64,
    /// So many of the likeliest; 0 for all.
    pub top_k: usize,
    /// Of those the likeliest that together have this share of their probability (Holtzman et al. 2020;
    /// the token that crosses the line belongs to them).
    pub top_p: f64,
    /// Those at least so likely as this share of the likeliest (Nguyen et al. 2024).
    pub min_p: f64,
}

impl DrawRule {
    /// From the model's own distribution, at a temperature.
    pub fn at(temperature: f64) -> Self {
        Self { temperature, top_k: 0, top_p: 1.0, min_p: 0.0 }
    }

    /// As a client asks for it, what it leaves out changing nothing; an error names what cannot be and what
    /// it must be.
    pub fn checked(
        temperature: Option<f64>,
        top_k: Option<i64>,
        top_p: Option<f64>,
        min_p: Option<f64>,
    ) -> Result<Self, (&'static str, &'static str)> {
        let top_k = top_k.unwrap_or(0);
        let rule = Self {
            temperature: temperature.unwrap_or(1.0),
            top_k: top_k.max(0) as usize,
            top_p: top_p.unwrap_or(1.0),
            min_p: min_p.unwrap_or(0.0),
        };
        let wrong = [
            (!(0.0..=2.0).contains(&rule.temperature), "temperature", "from 0 to 2"),
            (top_k < -1, "top_k", "a number of tokens, or 0 or -1 for all"),
            (!(rule.top_p > 0.0 && rule.top_p <= 1.0), "top_p", "above 0 and at most 1"),
            (!(0.0..=1.0).contains(&rule.min_p), "min_p", "from 0 to 1"),
        ];
        match wrong.into_iter().find(|(is_wrong, ..)| *is_wrong) {
            Some((_, name, must)) => Err((name, must)),
            None => Ok(rule),
        }
    }

    fn takes_all(&self) -> bool {
        self.top_k == 0 && self.top_p >= 1.0 && self.min_p <= 0.0
    }

    /// The likeliest tokens first, 0 for those that do not take part, and which ones they are: (B, V) → two
    /// (B, k).
    fn kept(&self, probs: &Tensor) -> (Tensor, Tensor) {
        let n_tokens = probs.size()[1];
        let (mut kept, order) = match self.top_k as i64 {
            k if (1..n_tokens).contains(&k) => probs.topk(k, -1, true, true),
            _ => probs.sort(-1, true),
        };
        if self.top_p < 1.0 {
            let total = kept.sum_dim_intlist([-1_i64].as_slice(), true, Kind::Float);
            let before = kept.cumsum(-1, Kind::Float) - &kept;
            kept = &kept * before.lt_tensor(&(total * self.top_p)).to_kind(Kind::Float);
        }
        if self.min_p > 0.0 {
            let least = kept.narrow(1, 0, 1) * self.min_p;
            kept = &kept * kept.ge_tensor(&least).to_kind(Kind::Float);
        }
        (kept, order)
    }
}

/// A token of each row by inverse transform: (B, V) in f32, a uniform draw per row → B.
///
/// One uniform per sequence and a scan of the cumulated probabilities do what `multinomial` does
/// with an exponential draw per vocabulary entry. What does not take part is left out in the order of
/// transformers: temperature, top_k, top_p, min_p. A token's log-probability is that among all.
pub(super) fn by_chance(
    logits: &Tensor,
    rule: DrawRule,
    uniforms: &[f64],
    with_logprobs: bool,
) -> Vec<DrawnToken> {
    let probs = (logits / rule.temperature).softmax(-1, Kind::Float); // (B, V)
    let drawn = if rule.takes_all() {
        invert(&probs, uniforms)
    } else {
        let (kept, order) = rule.kept(&probs);
        order.gather(1, &invert(&kept, uniforms), false)
    }; // (B, 1)
    let tokens = ids(&drawn.squeeze_dim(1)).into_iter();
    if !with_logprobs {
        return tokens.map(|id| DrawnToken { id, logprob: None }).collect();
    }
    let logprobs = probs.gather(1, &drawn, false).log().view([-1]).to_device(Device::Cpu);
    let logprobs = Vec::<f32>::try_from(logprobs).expect("a row of numbers");
    tokens.zip(logprobs).map(|(id, logprob)| DrawnToken { id, logprob: Some(logprob) }).collect()
}

/// The first column whose cumulated weight exceeds the draw: (B, V) → (B, 1).
fn invert(weights: &Tensor, uniforms: &[f64]) -> Tensor {
    let cumulated = weights.cumsum(-1, Kind::Float);
    let total = cumulated.narrow(1, cumulated.size()[1] - 1, 1);
    demand_numbers(&total);
    // Rounded down to 24 bits: in f32 the product then stays below the total, and a token of
    // weight zero is never drawn.
    let uniforms: Vec<f32> = uniforms
        .iter()
        .map(|u| (u * f64::from(1 << 24)).floor() as f32 / (1 << 24) as f32)
        .collect();
    let target = Tensor::from_slice(&uniforms).to_device(weights.device()).unsqueeze(1) * total;
    target.searchsorted::<Tensor>(&cumulated, false, true, "right", None)
}

fn ids(tokens: &Tensor) -> Vec<i64> {
    Vec::try_from(tokens.to_device(Device::Cpu)).expect("a row of ids")
}

#[cfg(test)]
mod tests {
    use super::*;
    use trainer_base::random::uniform;

    fn drawn(probs: &[f32], temperature: f64, top_p: f64, n: u64) -> Vec<f64> {
        drawn_by(DrawRule { top_p, ..DrawRule::at(temperature) }, probs, n)
    }

    fn drawn_by(rule: DrawRule, probs: &[f32], n: u64) -> Vec<f64> {
        let logits = Tensor::from_slice(probs).log().expand([n as i64, -1], false);
        let uniforms: Vec<f64> = (0..n).map(|i| uniform(&[7, i])).collect();
        let mut shares = vec![0.0; probs.len()];
        for token in by_chance(&logits, rule, &uniforms, false) {
            shares[token.id as usize] += 1.0 / n as f64;
        }
        shares
    }

    /// Five standard errors of a share p of n draws.
    fn assert_shares(found: &[f64], expected: &[f64], n: u64) {
        for (found, p) in found.iter().zip(expected) {
            let bound = 5.0 * (p * (1.0 - p) / n as f64).sqrt();
            // Shares are sums of many small numbers.
            assert!((found - p).abs() <= bound + 1e-9, "{found} where {p} is expected");
        }
    }

    #[test]
    fn tokens_are_drawn_as_often_as_they_are_likely() {
        let found = drawn(&[0.1, 0.0, 0.6, 0.3], 1.0, 1.0, 20_000);
        assert_shares(&found, &[0.1, 0.0, 0.6, 0.3], 20_000);
    }

    #[test]
    fn a_low_temperature_sharpens() {
        // Squared and normalised.
        let found = drawn(&[0.1, 0.0, 0.6, 0.3], 0.5, 1.0, 20_000);
        assert_shares(&found, &[0.01 / 0.46, 0.0, 0.36 / 0.46, 0.09 / 0.46], 20_000);
    }

    #[test]
    fn top_p_keeps_the_likeliest_up_to_the_one_that_crosses_the_line() {
        let found = drawn(&[0.1, 0.05, 0.55, 0.3], 1.0, 0.6, 20_000);
        assert_shares(&found, &[0.0, 0.0, 0.55 / 0.85, 0.3 / 0.85], 20_000);
    }

    #[test]
    fn top_k_keeps_the_likeliest_and_top_p_is_of_what_they_share() {
        let probs = [0.1, 0.05, 0.55, 0.3];
        let rule = DrawRule { top_k: 2, ..DrawRule::at(1.0) };
        assert_shares(
            &drawn_by(rule, &probs, 20_000),
            &[0.0, 0.0, 0.55 / 0.85, 0.3 / 0.85],
            20_000,
        );
        // 0.55 of 0.85 is 0.647: more than 0.6 of what two tokens share, less than 0.6 of all.
        let rule = DrawRule { top_p: 0.6, ..rule };
        assert_shares(&drawn_by(rule, &probs, 20_000), &[0.0, 0.0, 1.0, 0.0], 20_000);
        let rule = DrawRule { top_k: 9, ..DrawRule::at(1.0) };
        assert_shares(&drawn_by(rule, &probs, 20_000), &[0.1, 0.05, 0.55, 0.3], 20_000);
    }

    #[test]
    fn min_p_keeps_what_is_likely_beside_the_likeliest() {
        let rule = DrawRule { min_p: 0.5, ..DrawRule::at(1.0) };
        let found = drawn_by(rule, &[0.1, 0.05, 0.55, 0.3], 20_000);
        assert_shares(&found, &[0.0, 0.0, 0.55 / 0.85, 0.3 / 0.85], 20_000);
    }

    #[test]
    fn a_model_without_numbers_draws_nothing() {
        let logits = Tensor::from_slice(&[0.5f32, f32::NAN, 0.0]).unsqueeze(0);
        for draw in
            [|l: &Tensor| greedy(l), |l: &Tensor| by_chance(l, DrawRule::at(1.0), &[0.3], false)]
        {
            let drawn = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| draw(&logits)));
            let message = *drawn.unwrap_err().downcast::<String>().unwrap();
            assert!(
                message.starts_with(NOT_NUMBERS) && message.contains("--learning-rate"),
                "{message}"
            );
        }
    }

    #[test]
    fn the_largest_draw_there_is_stays_inside() {
        let logits = Tensor::from_slice(&[0.5f32, 0.5, 0.0]).log().unsqueeze(0);
        for top_p in [1.0, 0.9] {
            let rule = DrawRule { top_p, ..DrawRule::at(1.0) };
            let drawn = by_chance(&logits, rule, &[1.0 - f64::EPSILON / 2.0], false);
            assert_eq!(drawn, [DrawnToken { id: 1, logprob: None }]);
        }
    }
}
