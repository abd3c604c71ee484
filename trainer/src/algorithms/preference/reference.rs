//! What the reference says of every row: two log-probabilities, computed once before the first step and
//! kept with each checkpoint, because the weights that they came from are gone after it (TRL:
//! `precompute_ref_log_probs`).

use super::PreferenceMethod;
use crate::{
    run::session::TrainingSession,
    tensor_file::{read_tensors, write_tensors},
};
use anyhow::{Context, Result, ensure};
use std::path::Path;
use tch::Tensor;
use trainer_base::{
    errors::{WithMessage, is_damaged},
    job::Report,
};

const FILE: &str = "reference_logprobs.safetensors";

/// log p of two sequences that a row has, each summed over its answer's tokens.
pub(in super::super) type TwoLogprobs = [f64; 2];

/// One entry per row, in the order of the files.
#[derive(Debug, PartialEq)]
pub(super) struct ReferenceLogprobs {
    pub(super) train: Vec<TwoLogprobs>,
    pub(super) eval: Vec<TwoLogprobs>,
}

impl ReferenceLogprobs {
    /// From the weights that the model has; none when asked to stop.
    pub(super) fn compute<M: PreferenceMethod>(
        session: &mut TrainingSession,
        [rows, held_out]: [&[M::Row]; 2],
        batch_size: usize,
        report: &mut Report,
    ) -> Option<Self> {
        let mut of = |rows: &[M::Row]| {
            let mut logprobs = Vec::new();
            for rows in rows.chunks(batch_size) {
                let rows: Vec<&M::Row> = rows.iter().collect();
                logprobs.extend(M::measure(&session.model, &rows));
                let work = rows.iter().map(|row| M::work_to_measure(row)).sum();
                if session.advance(work, 0, report).is_break() {
                    return None;
                }
            }
            Some(logprobs)
        };
        Some(Self { train: of(rows)?, eval: of(held_out)? })
    }

    pub(super) fn save(&self, checkpoint: &Path) -> Result<()> {
        let [train, eval] = [&self.train, &self.eval].map(|logprobs| {
            let flat: Vec<f32> = logprobs.iter().flatten().map(|logprob| *logprob as f32).collect();
            Tensor::from_slice(&flat).view([-1, 2])
        });
        let tensors = [("train".to_owned(), &train), ("eval".to_owned(), &eval)];
        write_tensors(&checkpoint.join(FILE), tensors.into_iter())
    }

    pub(super) fn load(checkpoint: &Path) -> Result<Self> {
        let file = checkpoint.join(FILE);
        let tensors = read_tensors(&file)?;
        let of = |name: &str| -> Result<Vec<TwoLogprobs>> {
            let tensor = tensors.get(name).context("a part is missing");
            let flat = Vec::<f32>::try_from(tensor?.view([-1]))?;
            ensure!(flat.len() % 2 == 0, "half a row");
            Ok(flat.chunks_exact(2).map(|two| [two[0].into(), two[1].into()]).collect())
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
        let reference =
            ReferenceLogprobs { train: vec![[-1.5, -2.25], [-100.0, -0.5]], eval: Vec::new() };
        reference.save(disk.path()).unwrap();
        assert_eq!(ReferenceLogprobs::load(disk.path()).unwrap(), reference);
        std::fs::write(disk.path().join(FILE), "half").unwrap();
        let error = format!("{:#}", ReferenceLogprobs::load(disk.path()).unwrap_err());
        assert!(error.contains(FILE) && error.contains("damaged"), "{error}");
    }
}
