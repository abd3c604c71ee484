//! Pairs about the same prompt, which count together as one (Ouyang et al. 2022, equation 1): of K answers
//! that were ranked there are K (K − 1) / 2 pairs, and a prompt with many would outweigh one with few.

use super::RewardConfig;
use crate::{math::ops, model::Transformer};
use anyhow::Result;
use entity::message;
use std::{collections::HashMap, path::Path};
use tch::Tensor;
use trainer_base::rows::{AnswerPair, problem_of_row};

/// The pairs of a file.
pub(crate) struct FilePairs<'a> {
    pub(crate) pairs: &'a [AnswerPair],
    /// The places of each prompt's; none where each pair counts as much as any other.
    by_prompt: Option<Vec<Vec<usize>>>,
    /// How much each counts, 1 on average.
    weights: Option<Vec<f32>>,
}

impl<'a> FilePairs<'a> {
    /// Where prompts are to count alike and a row does not say which it is about, the error names it.
    pub(crate) fn new(
        pairs: &'a [AnswerPair],
        file: Option<&Path>,
        prompt_weighting: bool,
    ) -> Result<Self> {
        let alone = Self { pairs, by_prompt: None, weights: None };
        let Some(file) = file.filter(|_| prompt_weighting) else { return Ok(alone) };
        let (mut known, mut by_prompt) = (HashMap::new(), Vec::<Vec<usize>>::new());
        for (place, pair) in pairs.iter().enumerate() {
            let Some(prompt) = pair.prompt else {
                let unknown = message!(
                    "data-prompt-unknown",
                    "the row does not say where its prompt ends, and --prompt-weighting counts the pairs of each prompt: give it a column `prompt`, or leave --prompt-weighting out"
                );
                return Err(problem_of_row(file, pair.index, unknown).into());
            };
            let group = *known.entry(prompt).or_insert(by_prompt.len());
            if group == by_prompt.len() {
                by_prompt.push(Vec::new());
            }
            by_prompt[group].push(place);
        }
        if by_prompt.len() == pairs.len() {
            return Ok(alone);
        }
        let mut weights = vec![0.0; pairs.len()];
        let of_prompt = pairs.len() as f64 / by_prompt.len() as f64;
        for places in &by_prompt {
            places.iter().for_each(|&at| weights[at] = (of_prompt / places.len() as f64) as f32);
        }
        Ok(Self { pairs, by_prompt: Some(by_prompt), weights: Some(weights) })
    }

    /// The places of each prompt's, where prompts count alike.
    pub(crate) fn by_prompt(&self) -> Option<&Vec<Vec<usize>>> {
        self.by_prompt.as_ref()
    }

    /// How many verdicts there are that say nothing of each other: prompts where these count alike, or else
    /// pairs.
    pub(crate) fn n_counted(&self) -> usize {
        self.by_prompt.as_ref().map_or(self.pairs.len(), Vec::len)
    }

    /// All of them, so many at a time; those of a prompt follow each other where prompts count alike.
    pub(crate) fn batches(&self, size: usize) -> Vec<PairBatch<'a>> {
        let places: Vec<usize> = match &self.by_prompt {
            Some(by_prompt) => by_prompt.concat(),
            None => (0..self.pairs.len()).collect(),
        };
        places.chunks(size).map(|places| self.batch(places)).collect()
    }

    /// Those at these places.
    pub(crate) fn batch(&self, places: &[usize]) -> PairBatch<'a> {
        let weights = self.weights.as_ref();
        PairBatch {
            pairs: places.iter().map(|&place| &self.pairs[place]).collect(),
            weights: weights.map(|weights| places.iter().map(|&place| weights[place]).collect()),
        }
    }
}

/// n pairs of one forward pass.
pub(crate) struct PairBatch<'a> {
    pub(crate) pairs: Vec<&'a AnswerPair>,
    /// How much each counts, where they differ in that.
    pub(crate) weights: Option<Vec<f32>>,
}

impl PairBatch<'_> {
    /// Scores of the pairs: chosen and rejected (n), both sides in one forward pass. An answer of several
    /// pairs of a ranking is scored once.
    pub(crate) fn scores(&self, model: &Transformer) -> (Tensor, Tensor) {
        let chosen = self.pairs.iter().map(|pair| pair.chosen.as_slice());
        let rejected = self.pairs.iter().map(|pair| pair.rejected.as_slice());
        let sequences: Vec<&[i64]> = chosen.chain(rejected).collect();
        let scores = match &self.weights {
            None => model.sequence_scores(&sequences),
            Some(_) => scored_once(model, &sequences),
        };
        let n = self.pairs.len() as i64;
        (scores.narrow(0, 0, n), scores.narrow(0, n, n))
    }

    /// With the margins that the rows name (TRL's column `margin`).
    pub(crate) fn loss(&self, chosen: &Tensor, rejected: &Tensor, config: &RewardConfig) -> Tensor {
        let of_pairs = |values: &[f32]| Tensor::from_slice(values).to_device(chosen.device());
        let margins = self.pairs.iter().any(|pair| pair.margin != 0.0).then(|| {
            of_pairs(&self.pairs.iter().map(|pair| pair.margin as f32).collect::<Vec<_>>())
        });
        let weights = self.weights.as_deref().map(of_pairs);
        let coefficient = config.center_rewards_coefficient;
        ops::bradley_terry(chosen, rejected, margins.as_ref(), weights.as_ref(), coefficient)
    }
}

/// Scores of sequences, of which those that are the same are read once.
fn scored_once(model: &Transformer, sequences: &[&[i64]]) -> Tensor {
    let (mut known, mut once) = (HashMap::new(), Vec::new());
    let places: Vec<i64> = sequences
        .iter()
        .map(|&ids| {
            *known.entry(ids).or_insert_with(|| {
                once.push(ids);
                once.len() as i64 - 1
            })
        })
        .collect();
    let places = Tensor::from_slice(&places).to_device(model.device);
    model.sequence_scores(&once).index_select(0, &places)
}
