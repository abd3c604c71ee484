//! The four models: their log-probabilities, values and scores of sequences.

use super::PpoPaths;
use crate::{
    model::{PackedBatch, Transformer, head},
    run::environment::ComputeEnvironment,
};
use anyhow::ensure;
use entity::run_config::PpoConfig;
use entity::{message, message::KeyedMessage};
use tch::Tensor;
use trainer_base::{model_config::ModelPurpose, rows::TrainingExample};

/// Policy and value model learn; reference and reward model stay as they were loaded.
pub(super) struct PpoModels {
    pub(super) policy: Transformer,
    pub(super) value: Transformer,
    pub(super) reference: Transformer,
    pub(super) reward: Transformer,
}

impl PpoModels {
    /// The reference is the policy as it was, the value model starts as the reward model. Where adapters
    /// learn, each pair has its base in memory once, and both have one where it is the same folder.
    pub(super) fn load(
        paths: &PpoPaths,
        config: &PpoConfig,
        environment: &ComputeEnvironment,
    ) -> anyhow::Result<Self> {
        let (lora, seed) = (&config.lora, config.optimisation.seed);
        let policy = environment.load_to_train(&paths.policy, lora, seed)?.expect_language()?;
        let value = Transformer::load_to_train_beside(&policy, &paths.reward, lora, seed)?;
        let frozen = |model: &Transformer| match model.adapted {
            Some(_) => model.frozen_twin(),
            None => Transformer::load_frozen(&model.folder, model.kind, model.device),
        };
        let models = Self { reference: frozen(&policy)?, reward: frozen(&value)?, policy, value };
        ensure!(
            models.reward.config.purpose == ModelPurpose::Score,
            message!(
                "ppo-no-reward-model",
                "{folder} is a language model; `trainer reward` makes a reward model of it",
                folder = paths.reward.display()
            )
        );
        Ok(models)
    }

    /// An error where the embedding of the reward model, and so of the value model, ends before an
    /// id that the policy's has.
    pub(super) fn check_embedded(&self, ids: &[i64]) -> Result<(), KeyedMessage> {
        let n = self.reward.config.vocab_size;
        match ids.iter().find(|id| **id >= n) {
            None => Ok(()),
            Some(id) => Err(message!(
                "ppo-beyond-embedding",
                "the policy's id {id} is beyond the {n} rows of the reward model's embedding (vocab_size in its config.json): train a reward model that starts from the policy's own base",
                id = *id,
                n = n
            )),
        }
    }

    /// The reward model's score of each sequence, read at its last token.
    pub(super) fn scores(&self, sequences: &[Vec<i64>], batch_size: usize) -> Vec<f32> {
        let _no_grad = tch::no_grad_guard();
        let mut scores = Vec::with_capacity(sequences.len());
        for sequences in sequences.chunks(batch_size) {
            let sequences: Vec<&[i64]> = sequences.iter().map(Vec::as_slice).collect();
            scores.extend(super::rollout::floats(&self.reward.sequence_scores(&sequences)));
        }
        scores
    }
}

/// log π of each response token at the rollout's temperature, without gradient: (N).
pub(super) fn logprobs(
    model: &Transformer,
    sequences: &[TrainingExample],
    config: &PpoConfig,
) -> Tensor {
    let _no_grad = tch::no_grad_guard();
    over_micro_batches(sequences, config, |sequences| {
        let (hidden, ids) = response_hidden(model, sequences);
        head::logprobs(model, &hidden, &ids, config.temperature).logprobs
    })
}

/// The value before each response token, without gradient: (N).
pub(super) fn values(
    model: &Transformer,
    sequences: &[TrainingExample],
    config: &PpoConfig,
) -> Tensor {
    let _no_grad = tch::no_grad_guard();
    over_micro_batches(sequences, config, |sequences| {
        model.scores(&response_hidden(model, sequences).0)
    })
}

fn over_micro_batches(
    sequences: &[TrainingExample],
    config: &PpoConfig,
    of: impl Fn(&[&TrainingExample]) -> Tensor,
) -> Tensor {
    let sequences: Vec<&TrainingExample> = sequences.iter().collect();
    let parts: Vec<Tensor> = sequences.chunks(config.optimisation.batch_size).map(of).collect();
    Tensor::cat(&parts, 0)
}

/// The hidden states that predict the response tokens, (n, D), and these tokens, (n).
pub(super) fn response_hidden(
    model: &Transformer,
    sequences: &[&TrainingExample],
) -> (Tensor, Tensor) {
    let whole: Vec<&[i64]> = sequences.iter().map(|sequence| sequence.ids.as_slice()).collect();
    let prompts: Vec<usize> = sequences.iter().map(|sequence| sequence.prompt_len).collect();
    let batch = PackedBatch::new(&whole, model.device);
    let answers = batch.answers(&prompts);
    (model.hidden(&batch).index_select(0, &answers.rows), answers.ids)
}
