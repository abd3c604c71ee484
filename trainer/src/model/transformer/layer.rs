//! One decoder layer: attention's projections and the MLP, each linear layer with its adapter.

use super::AdaptedBase;
use crate::model::{
    adapter::{A, B, LinearAdapter},
    attention::{RotaryFactors, causal_attention},
    packed::AttentionLayout,
    shapes::{POST_FEEDFORWARD_NORM, PRE_FEEDFORWARD_NORM},
    shared_tensor::SharedTensor,
};
use std::sync::Arc;
use tch::{Kind, Tensor};
use trainer_base::model_config::{Activation, ModelConfig};

/// Copies share their weights.
#[derive(Clone, Debug)]
pub(crate) struct DecoderLayer {
    input_norm: SharedTensor,
    query_key_value: InputLayers<3>,
    /// Of one head's queries and of its keys: (d)
    query_norm: Option<SharedTensor>,
    key_norm: Option<SharedTensor>,
    output: Linear,
    /// Of what the MLP reads; where outputs are normed, of what attention gives.
    post_attention_norm: SharedTensor,
    feedforward_norms: Option<[SharedTensor; 2]>,
    gate_up: InputLayers<2>,
    down: Linear,
}

/// What one layer reads of a batch beside the hidden states.
#[derive(Clone, Debug)]
pub(super) struct LayerPass {
    /// Which of the layers it is, from 0.
    pub(super) number: usize,
    pub(super) rotations: RotaryFactors,
    pub(super) layout: AttentionLayout,
    pub(super) config: Arc<ModelConfig>,
}

/// Linear layers that read the same: each a matrix of its own, or all of them one.
#[derive(Clone, Debug)]
enum InputLayers<const N: usize> {
    Apart([Linear; N]),
    Fused(Linear),
}

impl<const N: usize> InputLayers<N> {
    /// x (T, D) → of each, with as many columns as `sizes` says of them
    fn forward(&self, x: &Tensor, sizes: [i64; N]) -> [Tensor; N] {
        match self {
            Self::Apart(layers) => layers.each_ref().map(|layer| layer.forward(x)),
            Self::Fused(layer) => {
                let parts = layer.forward(x).split_with_sizes(sizes, -1);
                parts.try_into().expect("as many parts as sizes")
            }
        }
    }
}

#[derive(Clone, Debug)]
struct Linear {
    weight: SharedTensor,
    bias: Option<SharedTensor>,
    adapter: Option<LinearAdapter>,
}

impl Linear {
    fn forward(&self, x: &Tensor) -> Tensor {
        let y = x.linear(&self.weight, self.bias.as_deref());
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
        let find = |name: &str| find(name).map(SharedTensor::from);
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
        let norm = |part: &str| find(&format!("{name}.{part}.weight"));
        let query_key_value = match linear("self_attn.qkv_proj") {
            Some(fused) => InputLayers::Fused(fused),
            None => InputLayers::Apart([
                linear("self_attn.q_proj")?,
                linear("self_attn.k_proj")?,
                linear("self_attn.v_proj")?,
            ]),
        };
        let gate_up = match linear("mlp.gate_up_proj") {
            Some(fused) => InputLayers::Fused(fused),
            None => InputLayers::Apart([linear("mlp.gate_proj")?, linear("mlp.up_proj")?]),
        };
        let feedforward_norms = norm(PRE_FEEDFORWARD_NORM).zip(norm(POST_FEEDFORWARD_NORM));
        Some(Self {
            input_norm: norm("input_layernorm")?,
            query_key_value,
            query_norm: norm("self_attn.q_norm"),
            key_norm: norm("self_attn.k_norm"),
            output: linear("self_attn.o_proj")?,
            post_attention_norm: norm("post_attention_layernorm")?,
            feedforward_norms: feedforward_norms.map(<[SharedTensor; 2]>::from),
            gate_up,
            down: linear("mlp.down_proj")?,
        })
    }

    /// x (T, D) → (T, D)
    pub(super) fn forward(&self, x: &Tensor, pass: &LayerPass) -> Tensor {
        let LayerPass { number, rotations, layout, config } = pass;
        let (q, k, v) = self.project(x, rotations, config);
        let mixed = causal_attention(&q, &k, &v, layout, config, *number);
        self.finish(x, &mixed, config)
    }

    /// Queries (scaled), keys (both rotated) and values of x (T, D): (T, heads or kv heads, d)
    pub(crate) fn project(
        &self,
        x: &Tensor,
        rotations: &RotaryFactors,
        config: &ModelConfig,
    ) -> (Tensor, Tensor, Tensor) {
        let x = norm(x, &self.input_norm, config);
        let n = [config.n_heads, config.n_kv_heads, config.n_kv_heads];
        let parts = self.query_key_value.forward(&x, n.map(|n| n * config.head_dim));
        let [q, k, v] = [0, 1, 2].map(|i| parts[i].reshape([-1, n[i], config.head_dim]));
        let normed = |x: Tensor, weight: &Option<SharedTensor>| match weight {
            Some(weight) => norm(&x, weight, config),
            None => x,
        };
        let (q, k) = (normed(q, &self.query_norm), normed(k, &self.key_norm));
        (rotations.query(&q), rotations.key(&k), v)
    }

    /// The rest of the layer: x (T, D) and what attention mixed (T, heads · d) → (T, D)
    pub(crate) fn finish(&self, x: &Tensor, mixed: &Tensor, config: &ModelConfig) -> Tensor {
        let attended = self.output.forward(mixed);
        let Some([before, after]) = &self.feedforward_norms else {
            let x = x + attended;
            let inner = norm(&x, &self.post_attention_norm, config);
            return &x + self.mlp(&inner, config);
        };
        let x = x + norm(&attended, &self.post_attention_norm, config);
        let inner = norm(&x, before, config);
        &x + norm(&self.mlp(&inner, config), after, config)
    }

    fn mlp(&self, x: &Tensor, config: &ModelConfig) -> Tensor {
        let [gate, up] = self.gate_up.forward(x, [config.intermediate_size; 2]);
        let gate = match config.activation {
            Activation::Silu => gate.silu(),
            Activation::Gelu => gate.gelu("none"),
            Activation::GeluTanh => gate.gelu("tanh"),
        };
        self.down.forward(&(gate * up))
    }
}

/// Root mean square norm over the last dimension, its sums in f32 (Zhang and Sennrich 2019).
pub(super) fn norm(x: &Tensor, weight: &Tensor, config: &ModelConfig) -> Tensor {
    if config.norms_add_one {
        // In f32, where 1 + weight keeps the weight's digits.
        let weight = weight.to_kind(Kind::Float) + 1.0;
        let normed =
            x.to_kind(Kind::Float).rms_norm(weight.size(), Some(weight), config.rms_norm_eps);
        return normed.to_kind(x.kind());
    }
    x.rms_norm(weight.size(), Some(weight), config.rms_norm_eps)
}
