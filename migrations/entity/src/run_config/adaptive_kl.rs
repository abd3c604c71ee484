//! The settings of an adaptive weight of the KL penalty; those of TRL's `PPOConfig` until 0.11.

use super::{ConfigError, ConfigProblem, MOST_OF_ANYTHING, at_most, not_negative, problem};
use clap::Args;
use serde::{Deserialize, Serialize};

/// A weight of the KL penalty that follows the KL (Ziegler et al. 2019, §2.2; TRL until 0.11: `adap_kl_ctrl`,
/// `target`, `horizon`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Args)]
#[serde(default)] // runs that are older than the settings go on
pub struct AdaptiveKl {
    /// Hold the KL from the reference near this, in nats per response (6, say): --kl-coef is where the weight of the penalty begins, which then rises while the KL is above and falls while it is below; 0 leaves the weight as it is
    #[arg(long, default_value_t = 0.0)]
    pub adaptive_kl_target: f64,
    /// Responses over which the adaptive weight rises or falls by about a fifth at the most: with fewer it follows faster
    #[arg(long, default_value_t = 10_000)]
    pub adaptive_kl_horizon: usize,
}

impl Default for AdaptiveKl {
    fn default() -> Self {
        Self { adaptive_kl_target: 0.0, adaptive_kl_horizon: 10_000 }
    }
}

impl AdaptiveKl {
    /// Whether the weight follows the KL.
    pub fn is_on(&self) -> bool {
        self.adaptive_kl_target > 0.0
    }

    /// What does nothing where the weight stays as it is.
    pub(super) fn idle(&self) -> Vec<ConfigError> {
        let horizon =
            (!self.is_on()).then(|| problem("adaptive_kl_horizon", ConfigProblem::NoKlTarget));
        horizon.into_iter().collect()
    }

    /// What is wrong with them where the weight begins at `kl_coef` and a rollout batch has so many responses.
    pub(super) fn problems(&self, found: &mut Vec<ConfigError>, kl_coef: f64, rollout: usize) {
        not_negative(found, "adaptive_kl_target", self.adaptive_kl_target);
        let horizon = self.adaptive_kl_horizon;
        at_most(found, "adaptive_kl_horizon", horizon, MOST_OF_ANYTHING);
        if !self.is_on() {
            if horizon != Self::default().adaptive_kl_horizon {
                found.extend(self.idle());
            }
            return;
        }
        // From a weight of 0 it does not move, and beyond its horizon a batch would turn the sign.
        if kl_coef == 0.0 {
            found.push(problem("kl_coef", ConfigProblem::NotPositive));
        }
        if horizon < rollout {
            let shorter = ConfigProblem::HorizonWithinBatch { rollout };
            found.push(problem("adaptive_kl_horizon", shorter));
        }
    }
}
