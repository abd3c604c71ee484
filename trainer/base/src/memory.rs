//! About how much memory a run needs: what is there from its first step to its last, and what a
//! batch adds.
//!
//! Derived from what the trainer keeps (`trainer/src/model`: weights, what a layer saves for the
//! backward pass, logits in pieces) and held against peaks that were measured.

use crate::model_config::{MOST_HEADS, MOST_LAYERS, MOST_OF_A_SIZE};
use entity::run_config::{
    DpoConfig, Dtype, OptimiserSettings, PpoConfig, RewardConfig, SampleConfig, SftConfig,
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

/// The numbers of a transformer as `config.json` calls them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct ModelShape {
    pub vocab_size: u64,
    pub hidden_size: u64,
    pub intermediate_size: u64,
    pub num_hidden_layers: u64,
    pub num_attention_heads: u64,
    num_key_value_heads: Option<u64>,
    head_dim: Option<u64>,
    /// Tokens that the model reads at once.
    pub max_position_embeddings: Option<u64>,
}

impl ModelShape {
    /// Whether a model can have these sizes: what is reckoned from others overflows.
    pub fn is_possible(&self) -> bool {
        let sizes = [self.vocab_size, self.hidden_size, self.intermediate_size, self.head_size()];
        let heads = [self.num_attention_heads, self.key_heads()];
        sizes.iter().all(|&size| size <= MOST_OF_A_SIZE as u64)
            && heads.iter().all(|&heads| heads <= MOST_HEADS as u64)
            && self.num_hidden_layers <= MOST_LAYERS as u64
    }

    fn key_heads(&self) -> u64 {
        self.num_key_value_heads.unwrap_or(self.num_attention_heads)
    }

    pub fn head_size(&self) -> u64 {
        self.head_dim.unwrap_or(self.hidden_size / self.num_attention_heads.max(1))
    }

    /// Numbers of all heads' queries of a token.
    pub fn query_size(&self) -> u64 {
        self.num_attention_heads * self.head_size()
    }

    /// Numbers of all heads' keys of a token, and as many of its values.
    pub fn key_size(&self) -> u64 {
        self.key_heads() * self.head_size()
    }
}

/// A process that computes, before it has a model: libtorch and its buffers, in bytes.
const PROCESS: u64 = 400_000_000;

/// What tensors between two operations and the allocator's gaps add to what a layer saves.
const GAPS: f64 = 1.2;

/// Sequences up to this long keep the attention weights of every pair of places (`MATMUL_UP_TO`).
const PAIRS_UP_TO: u64 = 512;

/// Rows of logits that exist at a time (`head::ROWS`), and how many numbers they may be.
const ROWS: u64 = 512;
const LOGITS: u64 = ROWS * 49_152;

/// Bytes per logit: f32 logits, their softmax and its gradient, and that in the model's precision.
const PER_LOGIT: u64 = 14;

/// A model that takes part in a run.
#[derive(Clone, Copy, Debug)]
pub struct ModelInMemory {
    pub n_parameters: u64,
    pub shape: ModelShape,
}

/// In bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryEstimate {
    /// Weights, gradients and the optimiser's state, with the process itself.
    pub weights: u64,
    /// What a batch adds whose sequences are all as long as they may be.
    pub batch: u64,
    pub n_sequences: u64,
    /// Tokens of each.
    pub length: u64,
}

impl MemoryEstimate {
    pub fn total(&self) -> u64 {
        self.weights.saturating_add(self.batch)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Precision {
    Bf16,
    F32,
}

/// The settings of a kind of run that computes.
pub trait MemoryNeeds: DeserializeOwned {
    /// For a run with these settings and models, in the order of its form. None where one is missing.
    fn memory(&self, models: &[ModelInMemory]) -> Option<MemoryEstimate>;
}

/// For settings as they are stored.
pub fn of<C: MemoryNeeds>(config: &Value, models: &[ModelInMemory]) -> Option<MemoryEstimate> {
    serde_json::from_value::<C>(config.clone()).ok()?.memory(models)
}

impl MemoryNeeds for SftConfig {
    fn memory(&self, models: &[ModelInMemory]) -> Option<MemoryEstimate> {
        Some(supervised(*models.first()?, &self.optimisation, 1, self.max_length, true))
    }
}

impl MemoryNeeds for DpoConfig {
    fn memory(&self, models: &[ModelInMemory]) -> Option<MemoryEstimate> {
        Some(supervised(*models.first()?, &self.optimisation, 2, self.max_length, true))
    }
}

impl MemoryNeeds for RewardConfig {
    fn memory(&self, models: &[ModelInMemory]) -> Option<MemoryEstimate> {
        Some(supervised(*models.first()?, &self.optimisation, 2, self.max_length, false))
    }
}

impl MemoryNeeds for PpoConfig {
    /// Wants the policy and its reward model.
    fn memory(&self, models: &[ModelInMemory]) -> Option<MemoryEstimate> {
        let [policy, reward] = models else { return None };
        Some(ppo(*policy, *reward, self))
    }
}

impl MemoryNeeds for SampleConfig {
    fn memory(&self, models: &[ModelInMemory]) -> Option<MemoryEstimate> {
        Some(sampling(*models.first()?, self))
    }
}

/// SFT, DPO (whose reference speaks once, before the first step) and reward models.
fn supervised(
    model: ModelInMemory,
    optimisation: &OptimiserSettings,
    sequences_per_row: u64,
    max_length: usize,
    has_head: bool,
) -> MemoryEstimate {
    let n_sequences = sequences_per_row * optimisation.batch_size as u64;
    let length = model.at_most(max_length as u64);
    largest(optimisation.dtype, |precision| MemoryEstimate {
        weights: PROCESS + model.trained(precision),
        batch: model.saved(n_sequences, length, precision)
            + if has_head { model.logits(n_sequences.saturating_mul(length)) } else { 0 },
        n_sequences,
        length,
    })
}

/// Policy and value model learn, one after the other; reference and reward model stay as they are.
fn ppo(policy: ModelInMemory, reward: ModelInMemory, config: &PpoConfig) -> MemoryEstimate {
    let n_sequences = config.optimisation.batch_size as u64;
    let length = policy.at_most((config.max_length + config.response_length) as u64);
    let policy_batch = |precision| {
        policy.saved(n_sequences, length, precision)
            + policy.logits(n_sequences.saturating_mul(length))
    };
    largest(config.optimisation.dtype, |precision| MemoryEstimate {
        weights: PROCESS
            + [policy, reward]
                .map(|model| model.trained(precision) + model.frozen(precision))
                .iter()
                .sum::<u64>(),
        batch: policy_batch(precision).max(reward.saved(n_sequences, length, precision)),
        n_sequences,
        length,
    })
}

/// Weights, once more as the matrix products want them, and the keys and values of every place.
fn sampling(model: ModelInMemory, config: &SampleConfig) -> MemoryEstimate {
    let n_sequences = config.batch_size as u64;
    let length = model.at_most((config.max_length + config.max_new_tokens) as u64);
    largest(config.dtype, |precision| {
        let shape = &model.shape;
        let per_place = 2 * shape.key_size() * shape.num_hidden_layers * precision.bytes();
        MemoryEstimate {
            weights: PROCESS + 100_000_000 + 2 * model.frozen(precision),
            batch: n_sequences
                .saturating_mul(length.saturating_mul(per_place) + shape.vocab_size * 16),
            n_sequences,
            length,
        }
    })
}

/// "auto" is known to the worker's machine alone: the larger of both.
fn largest(dtype: Dtype, of: impl Fn(Precision) -> MemoryEstimate) -> MemoryEstimate {
    match dtype {
        Dtype::Bf16 => of(Precision::Bf16),
        Dtype::F32 => of(Precision::F32),
        Dtype::Auto => [Precision::Bf16, Precision::F32]
            .map(of)
            .into_iter()
            .max_by_key(MemoryEstimate::total)
            .expect("two"),
    }
}

impl Precision {
    fn bytes(self) -> u64 {
        match self {
            Self::Bf16 => 2,
            Self::F32 => 4,
        }
    }
}

impl ModelInMemory {
    /// Sequences are cut where the model's context ends.
    fn at_most(&self, length: u64) -> u64 {
        length.min(self.shape.max_position_embeddings.unwrap_or(u64::MAX))
    }

    /// f32 weights, their gradients and two moments; in bf16 a copy that computes, too.
    fn trained(&self, precision: Precision) -> u64 {
        let per_parameter = match precision {
            Precision::Bf16 => 18,
            Precision::F32 => 16,
        };
        per_parameter * self.n_parameters
    }

    fn frozen(&self, precision: Precision) -> u64 {
        precision.bytes() * self.n_parameters
    }

    /// What the layers save of a batch for the backward pass.
    ///
    /// Per token and layer the residual stream before and after attention and each once more,
    /// normed; queries, keys, values and what attention mixed; four vectors of the feed-forward
    /// part. Norms compute in f32 whatever the precision. Short sequences keep the attention
    /// weights, in f32 and in bf16, and longer ones go through a kernel that wants a key and a
    /// value per query head.
    fn saved(&self, n_sequences: u64, length: u64, precision: Precision) -> u64 {
        let shape = &self.shape;
        let keeps_pairs = length <= PAIRS_UP_TO;
        let mixing = if keeps_pairs {
            2 * shape.query_size() + 2 * shape.key_size()
        } else {
            5 * shape.query_size()
        };
        let norms = match precision {
            Precision::Bf16 => 4 * shape.hidden_size * precision.bytes() + 16 * shape.hidden_size,
            Precision::F32 => 6 * shape.hidden_size * precision.bytes(),
        };
        let rest = (mixing + 4 * shape.intermediate_size) * precision.bytes();
        let per_pair = match (keeps_pairs, precision) {
            (false, _) => 0,
            (true, Precision::Bf16) => 6,
            (true, Precision::F32) => 4,
        };
        let pairs = length * shape.num_attention_heads * per_pair;
        let per_token = shape.num_hidden_layers * (norms + rest + pairs);
        (n_sequences as f64 * length as f64 * per_token as f64 * GAPS) as u64
    }

    fn logits(&self, n_tokens: u64) -> u64 {
        let rows = (LOGITS / self.shape.vocab_size.max(1)).clamp(1, ROWS);
        n_tokens.min(rows) * self.shape.vocab_size * PER_LOGIT
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use entity::run_config::RunKind;
    use serde_json::json;

    /// SmolLM2-135M.
    const SMALL: ModelInMemory = ModelInMemory {
        n_parameters: 134_515_008,
        shape: ModelShape {
            vocab_size: 49_152,
            hidden_size: 576,
            intermediate_size: 1536,
            num_hidden_layers: 30,
            num_attention_heads: 9,
            num_key_value_heads: Some(3),
            head_dim: None,
            max_position_embeddings: Some(8192),
        },
    };

    /// Peaks of the resident set in MB (`peak_rss_mb`) of three steps on two cores, rows as long as
    /// they may be: kind, length, batch size, precision.
    const MEASURED: &[(RunKind, u64, u64, &str, u64)] = &[
        (RunKind::Sft, 64, 1, "bf16", 2844),
        (RunKind::Sft, 128, 1, "bf16", 2871),
        (RunKind::Sft, 128, 4, "bf16", 3289),
        (RunKind::Sft, 256, 1, "bf16", 3008),
        (RunKind::Sft, 256, 4, "bf16", 4435),
        (RunKind::Sft, 512, 1, "bf16", 3763),
        (RunKind::Sft, 512, 4, "bf16", 6738),
        (RunKind::Sft, 1024, 1, "bf16", 3676),
        (RunKind::Sft, 1024, 4, "bf16", 7861),
        (RunKind::Sft, 64, 1, "f32", 2550),
        (RunKind::Sft, 256, 4, "f32", 4474),
        (RunKind::Sft, 512, 2, "f32", 5388),
        (RunKind::Sft, 1024, 2, "f32", 6347),
        (RunKind::Reward, 64, 1, "bf16", 2771),
        (RunKind::Reward, 256, 4, "bf16", 5415),
        (RunKind::Reward, 512, 2, "bf16", 6203),
        (RunKind::Dpo, 256, 4, "bf16", 5774),
        (RunKind::Dpo, 1024, 2, "bf16", 7745),
        (RunKind::Sample, 64, 8, "bf16", 1044),
        (RunKind::Sample, 512, 32, "bf16", 1374),
        (RunKind::Sample, 512, 32, "f32", 2416),
    ];

    /// The same of PPO: tokens of prompts, of responses, and the peak.
    const MEASURED_PPO: &[(u64, u64, u64)] = &[(64, 53, 6527), (256, 53, 9401), (256, 200, 12718)];

    #[track_caller]
    fn is_close(what: &str, memory: MemoryEstimate, peak: u64) {
        let ratio = memory.total() as f64 / (peak * 1_000_000) as f64;
        println!("{what}: {} MB for {peak} MB, {ratio:.2}", memory.total() / 1_000_000);
        assert!((0.95..1.25).contains(&ratio), "{what}: {memory:?} for {peak} MB");
    }

    #[test]
    fn an_estimate_is_hardly_ever_below_what_was_measured_and_not_far_above() {
        for &(kind, length, batch_size, dtype, peak) in MEASURED {
            let config = match kind {
                RunKind::Sample => {
                    json!({"max_length": length, "batch_size": batch_size, "dtype": dtype,
                    "max_new_tokens": 16})
                }
                _ => json!({"max_length": length, "batch_size": batch_size, "dtype": dtype}),
            };
            let memory = estimate(kind, &config, &[SMALL]).unwrap();
            is_close(&format!("{kind:?} {length} × {batch_size} {dtype}"), memory, peak);
        }
        for &(prompt, response, peak) in MEASURED_PPO {
            let config = json!({"max_length": prompt, "response_length": response, "batch_size": 8, "dtype": "bf16"});
            let memory = estimate(RunKind::Ppo, &config, &[SMALL, SMALL]).unwrap();
            is_close(&format!("PPO {prompt} + {response}"), memory, peak);
        }
    }

    /// For the defaults of a kind with these over them.
    fn estimate(
        kind: RunKind,
        overrides: &Value,
        models: &[ModelInMemory],
    ) -> Option<MemoryEstimate> {
        let settings = kind.settings().checked(overrides.as_object().unwrap()).unwrap();
        let config = settings.into();
        match kind {
            RunKind::Sft => of::<SftConfig>(&config, models),
            RunKind::Sample => of::<SampleConfig>(&config, models),
            RunKind::Reward => of::<RewardConfig>(&config, models),
            RunKind::Dpo => of::<DpoConfig>(&config, models),
            RunKind::Ppo => of::<PpoConfig>(&config, models),
            RunKind::Fetch => None,
        }
    }

    #[test]
    fn a_precision_that_the_machine_chooses_counts_as_the_hungrier_one() {
        let total = |dtype: &str| {
            estimate(RunKind::Sft, &json!({"dtype": dtype}), &[SMALL]).unwrap().total()
        };
        assert_eq!(total("auto"), total("bf16").max(total("f32")));
    }

    #[test]
    fn no_sequence_is_longer_than_the_context() {
        let of =
            |length: u64| estimate(RunKind::Sft, &json!({"max_length": length}), &[SMALL]).unwrap();
        assert_eq!(of(8192), of(100_000));
    }

    #[test]
    fn ppo_without_a_reward_model_is_not_estimated() {
        assert_eq!(estimate(RunKind::Ppo, &json!({}), &[SMALL]), None);
    }
}
