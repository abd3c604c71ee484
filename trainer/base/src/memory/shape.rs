//! The numbers of a transformer that memory is reckoned from.

use crate::model_config::{MOST_HEADS, MOST_LAYERS, MOST_OF_A_SIZE};
use serde::Deserialize;

/// The numbers of a transformer as `config.json` calls them.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
pub struct ModelShape {
    pub vocab_size: u64,
    pub hidden_size: u64,
    pub intermediate_size: u64,
    pub num_hidden_layers: u64,
    pub num_attention_heads: u64,
    pub(super) num_key_value_heads: Option<u64>,
    pub(super) head_dim: Option<u64>,
    pub(super) max_position_embeddings: Option<u64>,
    /// Where Phi-3's frequencies become others.
    pub(super) original_max_position_embeddings: Option<u64>,
    pub(super) attn_logit_softcapping: Option<f64>,
}

impl ModelShape {
    /// Tokens that the model reads at once.
    pub fn context(&self) -> Option<u64> {
        let both = [self.max_position_embeddings, self.original_max_position_embeddings];
        both.into_iter().flatten().min()
    }

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
