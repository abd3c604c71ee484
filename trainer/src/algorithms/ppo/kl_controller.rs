//! β, the weight of the KL penalty: what was asked for, or a weight that follows the KL.

use anyhow::Result;
use entity::run_config::PpoConfig;
use serde::{Deserialize, Serialize};
use std::{
    fs,
    path::{Path, PathBuf},
};
use trainer_base::errors::{WithMessage, cannot_read, cannot_write, is_damaged};

/// By how much of itself the weight changes over the horizon at the most.
const MOST_ERROR: f64 = 0.2;

/// Ziegler et al. 2019, §2.2; `AdaptiveKLController` of TRL until 0.11.
#[derive(Debug)]
pub(super) struct KlController {
    coefficient: f64,
    /// Nats per answer; 0 leaves the weight as it is.
    target: f64,
    /// Answers.
    horizon: f64,
}

/// What a checkpoint holds of it.
#[derive(Serialize, Deserialize)]
struct SavedCoefficient {
    /// The bits of an f64: a decimal number would not always come back as the same.
    kl_coef_bits: u64,
}

impl KlController {
    pub(super) fn new(config: &PpoConfig) -> Self {
        Self {
            coefficient: config.kl_coef,
            target: config.adaptive_kl.adaptive_kl_target,
            horizon: config.adaptive_kl.adaptive_kl_horizon as f64,
        }
    }

    /// β of the next batch.
    pub(super) fn coefficient(&self) -> f64 {
        self.coefficient
    }

    fn is_adaptive(&self) -> bool {
        self.target > 0.0
    }

    /// Follows a batch of `n_answers` whose KL from the reference was `kl`, in nats per answer.
    pub(super) fn follow(&mut self, kl: f64, n_answers: usize) {
        if self.is_adaptive() {
            let error = (kl / self.target - 1.0).clamp(-MOST_ERROR, MOST_ERROR);
            self.coefficient *= 1.0 + error * n_answers as f64 / self.horizon;
        }
    }

    /// Writes the weight into a checkpoint's folder, where it is no setting.
    pub(super) fn save(&self, folder: &Path) -> Result<()> {
        if !self.is_adaptive() {
            return Ok(());
        }
        let saved = SavedCoefficient { kl_coef_bits: self.coefficient.to_bits() };
        let file = file_in(folder);
        fs::write(&file, serde_json::to_vec(&saved)?).with_message(|| cannot_write(&file))
    }

    /// Goes on from what [`Self::save`] wrote.
    pub(super) fn restore(&mut self, folder: &Path) -> Result<()> {
        if !self.is_adaptive() {
            return Ok(());
        }
        let file = file_in(folder);
        let text = fs::read(&file).with_message(|| cannot_read(&file))?;
        let saved: SavedCoefficient =
            serde_json::from_slice(&text).with_message(|| is_damaged(&file))?;
        self.coefficient = f64::from_bits(saved.kl_coef_bits);
        Ok(())
    }
}

fn file_in(folder: &Path) -> PathBuf {
    folder.join("kl_controller.json")
}
