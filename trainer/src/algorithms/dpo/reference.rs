//! The reference's log-probabilities of every pair, kept with each checkpoint: the weights that they
//! came from are gone after the first step.

use super::{PairForward, PairLogprobs, n_tokens};
use crate::{
    run::session::{EVALUATION_COST, TrainingSession},
    tensor_file::{read_tensors, write_tensors},
};
use anyhow::{Context, Result, ensure};
use std::path::Path;
use tch::Tensor;
use trainer_base::errors::{WithMessage, is_damaged};
use trainer_base::{job::Report, rows::PreferencePair};

const FILE: &str = "reference_logprobs.safetensors";

/// One entry per pair, in the order of the files.
#[derive(Debug, PartialEq)]
pub(super) struct ReferenceLogprobs {
    pub(super) train: Vec<PairLogprobs>,
    pub(super) eval: Vec<PairLogprobs>,
}

impl ReferenceLogprobs {
    /// From the weights that the model has; none when asked to stop.
    pub(super) fn compute(
        session: &mut TrainingSession,
        pairs: &[PreferencePair],
        held_out: &[PreferencePair],
        batch_size: usize,
        report: &mut Report,
    ) -> Option<Self> {
        let _guard = tch::no_grad_guard();
        let mut logprobs = [pairs, held_out].map(|pairs| {
            let mut logprobs = Vec::new();
            for pairs in pairs.chunks(batch_size) {
                let pairs: Vec<&PreferencePair> = pairs.iter().collect();
                let forward = PairForward::new(&session.model, &pairs);
                logprobs.extend(forward.logprobs(&session.model));
                let work = pairs.iter().copied().map(n_tokens).sum::<u64>() as f64;
                if session.advance(work * EVALUATION_COST, 0, report).is_break() {
                    return None;
                }
            }
            Some(logprobs)
        });
        Some(Self { train: logprobs[0].take()?, eval: logprobs[1].take()? })
    }

    pub(super) fn save(&self, checkpoint: &Path) -> Result<()> {
        let [train, eval] = [&self.train, &self.eval].map(|logprobs| {
            let flat: Vec<f32> = logprobs
                .iter()
                .flat_map(|pair| [pair.chosen as f32, pair.rejected as f32])
                .collect();
            Tensor::from_slice(&flat).view([-1, 2])
        });
        let tensors = [("train".to_owned(), &train), ("eval".to_owned(), &eval)];
        write_tensors(&checkpoint.join(FILE), tensors.into_iter())
    }

    pub(super) fn load(checkpoint: &Path) -> Result<Self> {
        let file = checkpoint.join(FILE);
        let tensors = read_tensors(&file)?;
        let of = |name: &str| -> Result<Vec<PairLogprobs>> {
            let tensor = tensors.get(name).context("a part is missing");
            let flat = Vec::<f32>::try_from(tensor?.view([-1]))?;
            ensure!(flat.len() % 2 == 0, "half a pair");
            let pair =
                |pair: &[f32]| PairLogprobs { chosen: pair[0].into(), rejected: pair[1].into() };
            Ok(flat.chunks_exact(2).map(pair).collect())
        };
        let damaged = || is_damaged(&file);
        Ok(Self {
            train: of("train").with_message(damaged)?,
            eval: of("eval").with_message(damaged)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_gives_back_what_was_said_and_a_damaged_one_is_named() {
        let disk = tempfile::tempdir().unwrap();
        let pair = |chosen, rejected| PairLogprobs { chosen, rejected };
        let reference = ReferenceLogprobs {
            train: vec![pair(-1.5, -2.25), pair(-100.0, -0.5)],
            eval: Vec::new(),
        };
        reference.save(disk.path()).unwrap();
        assert_eq!(ReferenceLogprobs::load(disk.path()).unwrap(), reference);
        std::fs::write(disk.path().join(FILE), "half").unwrap();
        let error = format!("{:#}", ReferenceLogprobs::load(disk.path()).unwrap_err());
        assert!(error.contains(FILE) && error.contains("damaged"), "{error}");
    }
}
