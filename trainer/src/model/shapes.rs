//! Names and shapes of a model's weights, as transformers has them.

use trainer_base::model_config::{ModelConfig, ModelPurpose};

pub(crate) const SCORE: &str = "score.weight";
pub(crate) const LM_HEAD: &str = "lm_head.weight";

/// The linear layers of a decoder layer, by their names in every family.
pub(crate) const LINEAR_LAYERS: [&str; 7] = [
    "self_attn.q_proj",
    "self_attn.k_proj",
    "self_attn.v_proj",
    "self_attn.o_proj",
    "mlp.gate_proj",
    "mlp.up_proj",
    "mlp.down_proj",
];

/// Outputs and inputs of each of [`LINEAR_LAYERS`].
pub(crate) fn linear_sizes(config: &ModelConfig) -> [(i64, i64); 7] {
    let (d, f) = (config.hidden_size, config.intermediate_size);
    let (q, kv) = (config.n_heads * config.head_dim, config.n_kv_heads * config.head_dim);
    [(q, d), (kv, d), (kv, d), (d, q), (f, d), (f, d), (d, f)]
}

/// Name and shape of every parameter, in transformers' order.
pub(crate) fn expected_shapes(config: &ModelConfig) -> Vec<(String, Vec<i64>)> {
    let ModelConfig { vocab_size: v, hidden_size: d, .. } = *config;
    let mut shapes = vec![("model.embed_tokens.weight".into(), vec![v, d])];
    for layer in 0..config.n_layers {
        for (part, (rows, columns)) in LINEAR_LAYERS.iter().zip(linear_sizes(config)) {
            let has_bias = match *part {
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
        let norms = [("input_layernorm", d), ("post_attention_layernorm", d)];
        for (part, size) in head_norms.iter().filter(|_| config.qk_norm).chain(&norms) {
            shapes.push((format!("model.layers.{layer}.{part}.weight"), vec![*size]));
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
