//! Whether what judges pairs looks at more than their length.

use serde_json::{Map, Value, json};

/// Pairs in which a model prefers the longer answer, and in which people do, among those whose
/// answers differ in length.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct LengthBias {
    n: f64,
    /// A tie is half a preference.
    longer_preferred: f64,
    longer_chosen: f64,
}

impl LengthBias {
    /// Adds a pair: the tokens of its answers, and by how much the model prefers the chosen one.
    pub(crate) fn add(&mut self, chosen: usize, rejected: usize, margin: f64) {
        if chosen == rejected {
            return;
        }
        let is_chosen_longer = chosen > rejected;
        let for_chosen = right_of(margin);
        self.n += 1.0;
        self.longer_chosen += f64::from(is_chosen_longer);
        self.longer_preferred += if is_chosen_longer { for_chosen } else { 1.0 - for_chosen };
    }

    /// Shares under the names that the web app reads; nothing where no pair differs in length.
    pub(crate) fn metrics(&self) -> Map<String, Value> {
        if self.n == 0.0 {
            return Map::new();
        }
        let shares = [
            ("eval_longer_preferred", json!(self.longer_preferred / self.n)),
            ("eval_longer_chosen", json!(self.longer_chosen / self.n)),
        ];
        shares.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }
}

/// Whether a margin is right: 1 where the chosen answer is preferred, and half for a tie, as a coin
/// would have it.
pub(crate) fn right_of(margin: f64) -> f64 {
    match margin {
        margin if margin > 0.0 => 1.0,
        margin if margin < 0.0 => 0.0,
        _ => 0.5,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_that_likes_length_is_told_from_people_who_do_not() {
        let mut bias = LengthBias::default();
        bias.add(9, 5, 2.0);
        bias.add(4, 8, -1.0);
        bias.add(3, 7, 0.0);
        bias.add(6, 6, -5.0);
        let metrics = bias.metrics();
        let share = |name: &str| metrics[name].as_f64().unwrap();
        assert!((share("eval_longer_preferred") - 2.5 / 3.0).abs() < 1e-12);
        assert!((share("eval_longer_chosen") - 1.0 / 3.0).abs() < 1e-12);
        assert!(LengthBias::default().metrics().is_empty());
    }
}
