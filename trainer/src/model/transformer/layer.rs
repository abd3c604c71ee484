//! One decoder layer: attention's projections and the MLP, each linear layer with its adapter.

use super::AdaptedBase;
use crate::model::{
    adapter::{A, B, LinearAdapter},
    attention::RotaryFactors,
};
use std::sync::Arc;
use tch::Tensor;
use trainer_base::model_config::ModelConfig;

#[derive(Debug)]
pub(crate) struct DecoderLayer {
    input_norm: Tensor,
    query: Linear,
    key: Linear,
    value: Linear,
    /// Of one head's queries and of its keys: (d)
    query_norm: Option<Tensor>,
    key_norm: Option<Tensor>,
    output: Linear,
    post_attention_norm: Tensor,
    gate: Linear,
    up: Linear,
    down: Linear,
}

#[derive(Debug)]
struct Linear {
    weight: Tensor,
    bias: Option<Tensor>,
    adapter: Option<LinearAdapter>,
}

impl Linear {
    fn forward(&self, x: &Tensor) -> Tensor {
        let y = x.linear(&self.weight, self.bias.as_ref());
        match &self.adapter {
            None => y,
            Some(adapter) => y + adapter.forward(x),
        }
    }
}

impl DecoderLayer {
    pub(super) fn new(
        name: &str,
        adapted: Option<&AdaptedBase>,
        find: &impl Fn(&str) -> Option<Tensor>,
    ) -> Option<Self> {
        let linear = |part: &str| {
            let side = |side: &str| find(&format!("{name}.{part}.{side}.weight"));
            let adapter = adapted.and_then(|AdaptedBase { shape, draws, .. }| {
                let (shape, draws) = (*shape, Arc::clone(draws));
                Some(LinearAdapter { a: side(A)?, b: side(B)?, shape, draws })
            });
            Some(Linear {
                weight: find(&format!("{name}.{part}.weight"))?,
                bias: find(&format!("{name}.{part}.bias")),
                adapter,
            })
        };
        Some(Self {
            input_norm: find(&format!("{name}.input_layernorm.weight"))?,
            query: linear("self_attn.q_proj")?,
            key: linear("self_attn.k_proj")?,
            value: linear("self_attn.v_proj")?,
            query_norm: find(&format!("{name}.self_attn.q_norm.weight")),
            key_norm: find(&format!("{name}.self_attn.k_norm.weight")),
            output: linear("self_attn.o_proj")?,
            post_attention_norm: find(&format!("{name}.post_attention_layernorm.weight"))?,
            gate: linear("mlp.gate_proj")?,
            up: linear("mlp.up_proj")?,
            down: linear("mlp.down_proj")?,
        })
    }

    /// Queries (scaled), keys (both rotated) and values of x (T, D): (T, heads or kv heads, d)
    pub(crate) fn project(
        &self,
        x: &Tensor,
        rotations: &RotaryFactors,
        config: &ModelConfig,
    ) -> (Tensor, Tensor, Tensor) {
        let x = norm(x, &self.input_norm, config);
        let heads = |linear: &Linear, n| linear.forward(&x).view([-1, n, config.head_dim]);
        let normed = |x: Tensor, weight: &Option<Tensor>| match weight {
            Some(weight) => norm(&x, weight, config),
            None => x,
        };
        let q = normed(heads(&self.query, config.n_heads), &self.query_norm);
        let k = normed(heads(&self.key, config.n_kv_heads), &self.key_norm);
        (rotations.query(&q), rotations.key(&k), heads(&self.value, config.n_kv_heads))
    }

    /// The rest of the layer: x (T, D) and what attention mixed (T, heads · d) → (T, D)
    pub(crate) fn finish(&self, x: &Tensor, mixed: &Tensor, config: &ModelConfig) -> Tensor {
        let x = x + self.output.forward(mixed);
        let inner = norm(&x, &self.post_attention_norm, config);
        let inner = self.gate.forward(&inner).silu() * self.up.forward(&inner);
        x + self.down.forward(&inner)
    }
}

/// Root mean square norm over the last dimension, its sums in f32 (Zhang and Sennrich 2019).
pub(super) fn norm(x: &Tensor, weight: &Tensor, config: &ModelConfig) -> Tensor {
    x.rms_norm(weight.size(), Some(weight), config.rms_norm_eps)
}
