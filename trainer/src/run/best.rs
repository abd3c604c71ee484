//! The best model of a run by its loss on held-out rows: which step it is of, and its weights on the disk.
//!
//! The weights lie in a folder of their own beside the checkpoints, and each checkpoint has them once more,
//! as links to the same files: a run that goes on from one has the best of the steps before it, whatever
//! came afterwards.

use anyhow::Result;
use entity::run_config::BestSettings;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::{
    fs,
    path::{Path, PathBuf},
};
use trainer_base::{
    checkpoint_folder,
    errors::{WithMessage, cannot_read, cannot_write},
};

/// The name of the weights in a checkpoint.
const IN_CHECKPOINT: &str = "best";

/// What is known of the measurements so far.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct BestSoFar {
    /// The step that was measured last.
    pub(crate) measured: u64,
    pub(crate) best: Option<BestStep>,
    /// Measurements since, none of them lower.
    pub(crate) n_since: u64,
}

/// The step with the lowest held-out loss.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct BestStep {
    pub(crate) step: u64,
    /// The bits of the loss: a number in JSON is not read to the last of them.
    loss_bits: u64,
    /// All that was measured on the held-out rows.
    pub(crate) measured: Map<String, Value>,
}

impl BestStep {
    pub(crate) fn loss(&self) -> f64 {
        f64::from_bits(self.loss_bits)
    }
}

/// What follows from a measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Judgement {
    Better,
    NoBetter,
    /// No better, once more than the run has patience for.
    Enough,
}

/// Keeps the best model of a run.
#[derive(Debug)]
pub(crate) struct BestKeeper {
    pub(crate) so_far: BestSoFar,
    patience: u64,
    folder: PathBuf,
}

impl BestKeeper {
    /// None where the last model is kept.
    pub(crate) fn new(out: &Path, settings: &BestSettings) -> Option<Self> {
        settings.is_on().then(|| Self {
            so_far: BestSoFar::default(),
            patience: settings.early_stop_patience as u64,
            folder: out.join(checkpoint_folder::BEST),
        })
    }

    /// Takes the loss that was measured after a step, with the other metrics; what is no number is no
    /// better (transformers: `EarlyStoppingCallback`).
    pub(crate) fn judge(
        &mut self,
        step: u64,
        loss: f64,
        metrics: &Map<String, Value>,
    ) -> Judgement {
        let so_far = &mut self.so_far;
        so_far.measured = step;
        if loss.is_finite() && so_far.best.as_ref().is_none_or(|best| loss < best.loss()) {
            let held_out = metrics.iter().filter(|(name, _)| name.starts_with("eval_"));
            let measured = held_out.map(|(name, value)| (name.clone(), value.clone())).collect();
            so_far.best = Some(BestStep { step, loss_bits: loss.to_bits(), measured });
            so_far.n_since = 0;
            return Judgement::Better;
        }
        so_far.n_since += 1;
        let is_enough = self.patience > 0 && so_far.n_since >= self.patience;
        if is_enough { Judgement::Enough } else { Judgement::NoBetter }
    }

    /// Puts the model that is the best now in the place of the one before: `write` puts it into a folder.
    pub(crate) fn keep(&self, write: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
        let unfinished = self.folder.with_extension("unfinished");
        checkpoint_folder::remove(&unfinished)?;
        write(&unfinished)?;
        checkpoint_folder::remove(&self.folder)?;
        fs::rename(&unfinished, &self.folder).with_message(|| cannot_write(&self.folder))
    }

    /// Where the best model's weights are, and what was measured of it.
    pub(crate) fn kept(&self) -> Option<(&Path, &BestStep)> {
        self.so_far.best.as_ref().map(|best| (self.folder.as_path(), best))
    }

    /// Puts the best model into a checkpoint, too.
    pub(crate) fn save_into(&self, checkpoint: &Path) -> Result<()> {
        match self.kept() {
            Some((folder, _)) => link_all(folder, &checkpoint.join(IN_CHECKPOINT)),
            None => Ok(()),
        }
    }

    /// Goes on with what a checkpoint knows.
    pub(crate) fn restore(&mut self, checkpoint: &Path, so_far: BestSoFar) -> Result<()> {
        self.so_far = so_far;
        checkpoint_folder::remove(&self.folder)?;
        match self.kept() {
            Some((folder, _)) => link_all(&checkpoint.join(IN_CHECKPOINT), folder),
            None => Ok(()),
        }
    }
}

/// The files of a folder in another one, which is made: as links, or as copies where there are none.
fn link_all(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_message(|| cannot_write(to))?;
    for entry in fs::read_dir(from).with_message(|| cannot_read(from))? {
        let entry = entry?;
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type()?.is_dir() {
            link_all(&from, &to)?;
        } else if fs::hard_link(&from, &to).is_err() {
            fs::copy(&from, &to).with_message(|| cannot_write(&to))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{
        Judgement::{Better, Enough, NoBetter},
        *,
    };
    use serde_json::json;

    fn measured(accuracy: f64) -> Map<String, Value> {
        json!({"loss": 9.0, "eval_accuracy": accuracy}).as_object().unwrap().clone()
    }

    fn keeper(out: &Path, early_stop_patience: usize) -> BestKeeper {
        BestKeeper::new(out, &BestSettings { keep_best: true, early_stop_patience }).unwrap()
    }

    #[test]
    fn a_run_has_enough_once_nothing_was_better_for_as_long_as_it_has_patience() {
        // transformers.EarlyStoppingCallback(early_stopping_patience=2) on these losses
        let losses = [3.0, 2.0, 2.0, 1.9, f64::NAN, 2.5];
        let mut keeper = keeper(Path::new("out"), 2);
        let judged: Vec<_> =
            (1..).zip(losses).map(|(step, loss)| keeper.judge(step, loss, &Map::new())).collect();
        assert_eq!(judged, [Better, Better, NoBetter, Better, NoBetter, Enough]);
        let (_, best) = keeper.kept().unwrap();
        assert_eq!((best.step, best.loss(), keeper.so_far.measured), (4, 1.9, 6));
        assert!(BestKeeper::new(Path::new("out"), &BestSettings::default()).is_none());
    }

    #[test]
    fn a_run_that_goes_on_has_the_best_of_its_checkpoint_whatever_came_later() {
        let out = tempfile::tempdir().unwrap();
        let (mut keeper, checkpoint) = (keeper(out.path(), 0), out.path().join("checkpoint-1"));
        let write = |text: &'static str| {
            move |folder: &Path| {
                fs::create_dir_all(folder.join("inner"))?;
                Ok(fs::write(folder.join("inner/weights"), text)?)
            }
        };
        keeper.judge(1, 2.0, &measured(0.5));
        keeper.keep(write("first")).unwrap();
        keeper.save_into(&checkpoint).unwrap();
        let known = keeper.so_far.clone();
        keeper.judge(2, 1.0, &measured(0.7));
        keeper.keep(write("second")).unwrap();
        let kept = || fs::read_to_string(keeper.folder.join("inner/weights")).unwrap();
        assert_eq!(kept(), "second");

        let mut other = self::keeper(out.path(), 0);
        other.restore(&checkpoint, known).unwrap();
        assert_eq!(kept(), "first");
        let (_, best) = other.kept().unwrap();
        assert_eq!((best.step, &best.measured["eval_accuracy"]), (1, &json!(0.5)));
        assert_eq!(best.measured.len(), 1, "what was learnt is no measurement");
        checkpoint_folder::remove_all_in(out.path()).unwrap();
        assert_eq!(fs::read_dir(out.path()).unwrap().count(), 0, "it goes with the checkpoints");
    }
}
