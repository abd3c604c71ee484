//! Names and shapes of a model's weights, as transformers has them.

use trainer_base::model_config::{ModelConfig, ModelPurpose};

pub(crate) const SCORE: &str = "score.weight";
pub(crate) const LM_HEAD: &str = "lm_head.weight";

/// The linear layers of a decoder layer with their outputs and inputs.
pub(crate) fn linear_layers(config: &ModelConfig) -> Vec<(&'static str, [i64; 2])> {
    let (d, f) = (config.hidden_size, config.intermediate_size);
    let (q, kv) = (config.n_heads * config.head_dim, config.n_kv_heads * config.head_dim);
    let mut layers = if config.fuses_projections {
        vec![("self_attn.qkv_proj", [q + 2 * kv, d])]
    } else {
        let kv = [kv, d];
        vec![("self_attn.q_proj", [q, d]), ("self_attn.k_proj", kv), ("self_attn.v_proj", kv)]
    };
    layers.push(("self_attn.o_proj", [d, q]));
    if config.fuses_projections {
        layers.push(("mlp.gate_up_proj", [2 * f, d]));
    } else {
        layers.extend([("mlp.gate_proj", [f, d]), ("mlp.up_proj", [f, d])]);
    }
    layers.push(("mlp.down_proj", [d, f]));
    layers
}

/// The norms of a decoder layer's inputs and outputs.
fn layer_norms(config: &ModelConfig) -> &'static [&'static str] {
    let all = &[
        "input_layernorm",
        "post_attention_layernorm",
        PRE_FEEDFORWARD_NORM,
        POST_FEEDFORWARD_NORM,
    ];
    if config.norms_outputs { all } else { &all[..2] }
}

pub(crate) const PRE_FEEDFORWARD_NORM: &str = "pre_feedforward_layernorm";
pub(crate) const POST_FEEDFORWARD_NORM: &str = "post_feedforward_layernorm";

/// Name and shape of every parameter, in transformers' order.
pub(crate) fn expected_shapes(config: &ModelConfig) -> Vec<(String, Vec<i64>)> {
    let ModelConfig { vocab_size: v, hidden_size: d, .. } = *config;
    let mut shapes = vec![("model.embed_tokens.weight".into(), vec![v, d])];
    for layer in 0..config.n_layers {
        for (part, [rows, columns]) in linear_layers(config) {
            let has_bias = match part {
                "self_attn.o_proj" => config.output_bias,
                part if part.starts_with("self_attn") => config.qkv_bias,
                _ => config.mlp_bias,
            };
            shapes.push((format!("model.layers.{layer}.{part}.weight"), vec![rows, columns]));
            if has_bias {
                shapes.push((format!("model.layers.{layer}.{part}.bias"), vec![rows]));
            }
        }
        let head_norms =
            ["self_attn.q_norm", "self_attn.k_norm"].map(|part| (part, config.head_dim));
        let norms = layer_norms(config).iter().map(|part| (*part, d));
        for (part, size) in head_norms.into_iter().filter(|_| config.qk_norm).chain(norms) {
            shapes.push((format!("model.layers.{layer}.{part}.weight"), vec![size]));
        }
    }
    shapes.push(("model.norm.weight".into(), vec![d]));
    match config.purpose {
        ModelPurpose::Language if config.tie_word_embeddings => {}
        ModelPurpose::Language => shapes.push((LM_HEAD.into(), vec![v, d])),
        ModelPurpose::Score => shapes.push((SCORE.into(), vec![1, d])),
    }
    shapes
}
