//! How a reward model's scores are spread, which goes with the model: two keys of its config.json, which
//! transformers keeps, or beside adapters, whose config.json is their base's, a file of their own.

use super::{ModelConfig, ModelPurpose};
use crate::{
    adapters::{AdapterConfig, SCORE_STATISTICS},
    errors::{WithMessage, cannot_read, is_damaged},
    model_files,
};
use anyhow::Result;
use serde_json::{Map, Value, json};
use std::path::Path;

const MEAN: &str = "score_mean";
const STD: &str = "score_std";

/// Mean and standard deviation of the scores that a reward model gives, by which other scores of its are
/// told apart from what is usual (OpenRLHF: `config.mean`, `config.std`).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScoreStatistics {
    pub mean: f64,
    /// With Bessel's correction (torch.std); above 0.
    pub std: f64,
}

impl ScoreStatistics {
    /// Of scores; none where they do not differ.
    pub fn of(scores: &[f32]) -> Option<Self> {
        let n = scores.len() as f64;
        let mean = scores.iter().copied().map(f64::from).sum::<f64>() / n;
        let squares: f64 = scores.iter().map(|score| (f64::from(*score) - mean).powi(2)).sum();
        Self { mean, std: (squares / (n - 1.0)).sqrt() }.checked()
    }

    /// A score in deviations from the mean.
    pub fn normalised(self, score: f64) -> f64 {
        (score - self.mean) / self.std
    }

    /// As they are written.
    pub fn keys(self) -> Map<String, Value> {
        Map::from_iter([(MEAN.to_owned(), json!(self.mean)), (STD.to_owned(), json!(self.std))])
    }

    fn read(keys: &Map<String, Value>) -> Option<Self> {
        let number = |key: &str| keys.get(key)?.as_f64();
        Self { mean: number(MEAN)?, std: number(STD)? }.checked()
    }

    fn checked(self) -> Option<Self> {
        (self.mean.is_finite() && self.std.is_finite() && self.std > 0.0).then_some(self)
    }
}

impl ModelConfig {
    /// How a reward model's scores are spread, if it was measured.
    pub fn score_statistics(&self) -> Option<ScoreStatistics> {
        ScoreStatistics::read(&self.raw).filter(|_| self.purpose == ModelPurpose::Score)
    }

    /// Puts other ones in their place, which are written when the model is saved.
    pub fn set_score_statistics(&mut self, statistics: Option<ScoreStatistics>) {
        for key in [MEAN, STD] {
            self.raw.shift_remove(key);
        }
        self.raw.extend(statistics.map(ScoreStatistics::keys).unwrap_or_default());
    }

    /// Makes the configuration of a base that of the adapters in `folder`.
    pub(super) fn adapt(&mut self, folder: &Path) -> Result<()> {
        if AdapterConfig::read(folder)?.is_some_and(|adapters| adapters.makes_scores()) {
            self.purpose = ModelPurpose::Score;
        }
        let path = folder.join(SCORE_STATISTICS);
        let own = match path.exists() {
            false => None,
            true => {
                let text = model_files::read_text(&path).with_message(|| cannot_read(&path))?;
                let keys = serde_json::from_str(&text).with_message(|| is_damaged(&path))?;
                ScoreStatistics::read(&keys)
            }
        };
        // Those of a base are of other scores.
        self.set_score_statistics(own);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model_config::tests::parse;

    #[test]
    fn mean_and_deviation_are_those_of_numpy() {
        // numpy.array([1.5, -0.25, 3.0, 0.125, 2.75]): .mean(), .std(ddof=1)
        let scores = [1.5, -0.25, 3.0, 0.125, 2.75];
        let found = ScoreStatistics::of(&scores).unwrap();
        assert!((found.mean - 1.425).abs() < 1e-12, "{found:?}");
        assert!((found.std - 1.477_963_125_385_745_3).abs() < 1e-12, "{found:?}");
        // (3.0 - 1.425) / 1.4779631253857453
        assert!((found.normalised(3.0) - 1.065_655_815_728_777_7).abs() < 1e-12);
    }

    #[test]
    fn scores_that_do_not_differ_have_no_deviation_to_divide_by() {
        assert_eq!(ScoreStatistics::of(&[2.0, 2.0]), None);
        assert_eq!(ScoreStatistics::of(&[2.0]), None);
        assert_eq!(ScoreStatistics::of(&[]), None);
        assert_eq!(ScoreStatistics::of(&[1.0, f32::NAN]), None);
    }

    #[test]
    fn what_a_config_says_of_scores_counts_where_it_is_of_scores_and_can_be_divided_by() {
        let of = |purpose: &str, mean: Value, std: Value| {
            let architecture = format!("Llama{purpose}");
            let keys = json!({
                "architectures": [architecture], "id2label": {"0": "LABEL_0"},
                "score_mean": mean, "score_std": std
            });
            parse(keys).unwrap().score_statistics()
        };
        let score = "ForSequenceClassification";
        let known = ScoreStatistics { mean: -1.0, std: 2.0 };
        assert_eq!(of(score, json!(-1), json!(2.0)), Some(known));
        assert_eq!(of("ForCausalLM", json!(-1), json!(2.0)), None);
        for (mean, std) in [(json!(1), json!(0)), (json!(1), json!(-2)), (json!("1"), json!(2))] {
            assert_eq!(of(score, mean, std), None);
        }
        assert_eq!(of(score, json!(1), Value::Null), None);
    }
}
