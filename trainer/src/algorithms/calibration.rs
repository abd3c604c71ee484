//! Whether a reward model is as often right as it is sure.
//!
//! It is sure of the answer that it prefers by σ(|margin|), its probability under Bradley–Terry. A
//! policy that is trained against one that is too sure runs after differences that are not there.

use super::length_bias::right_of;
use serde_json::{Map, Value, json};

/// Bins of equal width over sureness from ½ to 1.
const N_BINS: usize = 10;

/// Sureness and correctness of pairs, bin by bin.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Calibration {
    bins: [SurenessBin; N_BINS],
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct SurenessBin {
    n: f64,
    /// Σ σ(|margin|)
    sureness: f64,
    /// A tie is half right.
    n_right: f64,
}

impl Calibration {
    /// Adds a pair by how much the model prefers the chosen answer.
    pub(crate) fn add(&mut self, margin: f64) {
        let sureness = 1.0 / (1.0 + (-margin.abs()).exp());
        let place = ((sureness - 0.5) * 2.0 * N_BINS as f64) as usize;
        let bin = &mut self.bins[place.min(N_BINS - 1)];
        bin.n += 1.0;
        bin.sureness += sureness;
        bin.n_right += right_of(margin);
    }

    /// The mean sureness, the expected calibration error Σ n_b/n · |right_b − sure_b| (Naeini et al.
    /// 2015; torchmetrics' `MulticlassCalibrationError` of two classes and 20 bins), and the
    /// reliability curve: `[sureness, part that is right, pairs]` of every bin that has any.
    pub(crate) fn metrics(&self) -> Map<String, Value> {
        let bins = || self.bins.iter().filter(|bin| bin.n > 0.0);
        let n: f64 = bins().map(|bin| bin.n).sum();
        if n == 0.0 {
            return Map::new();
        }
        let sureness = bins().map(|bin| bin.sureness).sum::<f64>() / n;
        let error = bins().map(|bin| (bin.n_right - bin.sureness).abs()).sum::<f64>() / n;
        let curve: Vec<[f64; 3]> =
            bins().map(|bin| [bin.sureness / bin.n, bin.n_right / bin.n, bin.n]).collect();
        let all = [
            ("eval_sureness", json!(sureness)),
            ("eval_calibration_error", json!(error)),
            ("eval_reliability", json!(curve)),
        ];
        all.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{fixture, numbers};

    #[test]
    fn calibration_is_measured_as_torchmetrics_does() {
        let golden = fixture("calibration.json");
        let mut calibration = Calibration::default();
        for margin in numbers(&golden["margins"]) {
            calibration.add(margin);
        }
        let metrics = calibration.metrics();
        for name in ["eval_calibration_error", "eval_sureness"] {
            let (ours, golden) = (metrics[name].as_f64().unwrap(), golden[name].as_f64().unwrap());
            assert!((ours - golden).abs() < 1e-6, "{name}: {ours} ≠ {golden}");
        }
        let pairs = |bin: &Value| bin[2].as_f64().unwrap();
        let curve = metrics["eval_reliability"].as_array().unwrap();
        assert_eq!(
            curve.iter().map(pairs).sum::<f64>(),
            golden["margins"].as_array().unwrap().len() as f64
        );
    }

    #[test]
    fn a_model_that_is_sure_and_wrong_is_told_from_one_that_knows_what_it_does_not_know() {
        let of = |margins: &[f64]| {
            let mut calibration = Calibration::default();
            margins.iter().for_each(|margin| calibration.add(*margin));
            calibration.metrics()["eval_calibration_error"].as_f64().unwrap()
        };
        assert!(of(&[9.0, -9.0, 9.0, -9.0]) > 0.49);
        assert!(of(&[0.0, 0.0]) < 1e-12);
        assert!(of(&[9.0, 9.0]) < 1e-3);
        assert!(of(&[f64::MAX, -f64::MAX]) > 0.49, "the greatest margin has a bin");
        assert!(Calibration::default().metrics().is_empty());
    }
}
