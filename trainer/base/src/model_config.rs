//! `config.json` of a model folder.

mod family;
mod numbers;
mod rope;
mod score_statistics;
mod window;

pub use family::ModelFamily;
pub use rope::{LinearScaling, Llama3Scaling, LongScaling, RopeConfig, RopeScaling, YarnScaling};
pub use score_statistics::ScoreStatistics;
pub use window::SlidingWindow;

use crate::{adapters, errors::WithMessage, model_files};
use anyhow::{Result, bail, ensure};
use entity::message;
use family::supported;
use numbers::HeadSizes;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::path::Path;

/// What the forward pass has to know of a model.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelConfig {
    pub family: ModelFamily,
    pub vocab_size: i64,
    pub hidden_size: i64,
    pub intermediate_size: i64,
    pub n_layers: i64,
    pub n_heads: i64,
    /// Heads of keys and values; `n_heads / n_kv_heads` query heads share each.
    pub n_kv_heads: i64,
    pub head_dim: i64,
    /// Tokens that the model was made to read.
    pub max_positions: i64,
    pub rms_norm_eps: f64,
    /// A norm multiplies by 1 + its weight.
    pub norms_add_one: bool,
    /// What attention and MLP give is normed, too, before it is added.
    pub norms_outputs: bool,
    pub rope: RopeConfig,
    pub window: Option<SlidingWindow>,
    /// What products of queries and keys are multiplied by.
    pub attention_scale: f64,
    /// c · tanh(x / c) of them, and of the logits.
    pub attention_softcap: Option<f64>,
    pub logit_softcap: Option<f64>,
    pub activation: Activation,
    /// Embeddings are multiplied by √D.
    pub scales_embedding: bool,
    /// Queries, keys and values are one matrix, gate and up another.
    pub fuses_projections: bool,
    /// The LM head is the embedding.
    pub tie_word_embeddings: bool,
    /// Queries, keys and values have biases.
    pub qkv_bias: bool,
    /// What attention mixed is put together with a bias.
    pub output_bias: bool,
    pub mlp_bias: bool,
    /// Each head's queries and keys are normed before they are rotated.
    pub qk_norm: bool,
    /// Its row of the embedding learns nothing from being looked up, as in transformers
    /// (`nn.Embedding`'s `padding_idx`), even where the same token ends answers.
    pub pad_token_id: Option<i64>,
    /// Standard deviation of a weight that has to be made (transformers: `initializer_range`).
    pub initializer_range: f64,
    pub purpose: ModelPurpose,
    /// The file as it is, for what is passed on when the model is saved.
    pub raw: Map<String, Value>,
}

/// The largest sizes that are taken for a model's: far above any that exists, and small enough that
/// no product of them overflows.
pub(crate) const MOST_OF_A_SIZE: i64 = 1 << 24;
pub(crate) const MOST_LAYERS: i64 = 10_000;
pub(crate) const MOST_HEADS: i64 = 1 << 16;

/// Tokens that a model may say that it reads at once.
const MOST_POSITIONS: i64 = 1 << 30;

/// What the last layer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModelPurpose {
    /// Next tokens: `…ForCausalLM`.
    Language,
    /// One score for a sequence: `…ForSequenceClassification` with one label.
    Score,
}

/// What the MLP's gate goes through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    Silu,
    Gelu,
    /// Its approximation by tanh.
    GeluTanh,
}

/// The keys as transformers writes them; version 5 moved RoPE into `rope_parameters`.
#[derive(Deserialize)]
struct ConfigFile {
    #[serde(default)]
    architectures: Vec<String>,
    vocab_size: i64,
    hidden_size: i64,
    intermediate_size: i64,
    num_hidden_layers: i64,
    num_attention_heads: i64,
    num_key_value_heads: Option<i64>,
    head_dim: Option<i64>,
    max_position_embeddings: Option<i64>,
    original_max_position_embeddings: Option<i64>,
    rms_norm_eps: Option<f64>,
    hidden_act: Option<String>,
    hidden_activation: Option<String>,
    rope_theta: Option<f64>,
    rope_local_base_freq: Option<f64>,
    partial_rotary_factor: Option<f64>,
    rope_scaling: Option<Value>,
    rope_parameters: Option<Value>,
    query_pre_attn_scalar: Option<f64>,
    #[serde(default)]
    use_sliding_window: bool,
    max_window_layers: Option<usize>,
    sliding_window_pattern: Option<usize>,
    layer_types: Option<Vec<String>>,
    tie_word_embeddings: Option<bool>,
    #[serde(default)]
    attention_bias: bool,
    #[serde(default)]
    mlp_bias: bool,
    #[serde(default = "default_initializer_range")]
    initializer_range: f64,
    id2label: Option<Map<String, Value>>,
}

fn default_initializer_range() -> f64 {
    0.02
}

impl ModelConfig {
    /// Reads `config.json` of `folder`, or of its base where the folder holds adapters alone; an
    /// architecture that this trainer does not compute is an error that names it.
    pub fn read(folder: &Path) -> Result<Self> {
        let path = adapters::folder_with(folder, "config.json")?.join("config.json");
        let text = model_files::read_text(&path).with_message(|| {
            message!(
                "model-unreadable",
                "cannot read {path}: a model is a Hugging Face folder with config.json, model.safetensors and tokenizer.json",
                path = path.display()
            )
        })?;
        let mut config = Self::parse(&text).with_message(|| {
            message!("model-unusable", "{path} cannot be used", path = path.display())
        })?;
        if path.parent() != Some(folder) {
            config.adapt(folder)?;
        }
        Ok(config)
    }

    /// Tokens that a token of this layer sees, itself among them; none: all before it.
    pub fn window_of(&self, layer: usize) -> Option<i64> {
        let window = self.window.as_ref()?;
        window.layers.get(layer)?.then_some(window.size)
    }

    /// Reads the text of a `config.json`.
    pub fn parse(text: &str) -> Result<Self> {
        let raw: Map<String, Value> = serde_json::from_str(text)?;
        let family = ModelFamily::of(&raw)?;
        let file: ConfigFile = serde_json::from_value(Value::Object(raw.clone()))?;
        let purpose = purpose(&file, family)?;
        let defaults = family.defaults();
        let HeadSizes { n_heads, n_kv_heads, head_dim } = numbers::heads(&file, &defaults)?;
        let max_positions = file.max_position_embeddings.unwrap_or(defaults.max_positions);
        check_sizes(&file, head_dim, max_positions)?;
        let rope = rope::of_file(&file, family)?;
        rope.check(head_dim)?;
        // Mistral and Phi-3 have none, whatever the file says.
        let has_bias =
            file.attention_bias && !matches!(family, ModelFamily::Mistral | ModelFamily::Phi3);
        let scalar = file.query_pre_attn_scalar.unwrap_or(256.0);
        let scalar = if family.is_gemma() { scalar } else { head_dim as f64 };
        let (attention_softcap, logit_softcap) = numbers::caps(&raw, family)?;
        Ok(Self {
            family,
            vocab_size: file.vocab_size,
            hidden_size: file.hidden_size,
            intermediate_size: file.intermediate_size,
            n_layers: file.num_hidden_layers,
            n_heads,
            n_kv_heads,
            head_dim,
            max_positions: rope.most_positions().map_or(max_positions, |n| n.min(max_positions)),
            rms_norm_eps: numbers::rms_norm_eps(&file, &defaults)?,
            norms_add_one: family.is_gemma(),
            norms_outputs: family.is_gemma(),
            rope,
            window: window::of_file(&raw, &file, family)?,
            attention_scale: 1.0 / scalar.sqrt(),
            attention_softcap,
            logit_softcap,
            activation: activation(&file, family)?,
            scales_embedding: family.is_gemma(),
            fuses_projections: family == ModelFamily::Phi3,
            tie_word_embeddings: file.tie_word_embeddings.unwrap_or(defaults.tie_word_embeddings),
            qkv_bias: family == ModelFamily::Qwen2 || has_bias,
            output_bias: family != ModelFamily::Qwen2 && has_bias,
            mlp_bias: family == ModelFamily::Llama && file.mlp_bias,
            qk_norm: matches!(family, ModelFamily::Qwen3 | ModelFamily::Gemma3),
            pad_token_id: raw.get("pad_token_id").map_or(defaults.pad_token_id, Value::as_i64),
            initializer_range: file.initializer_range,
            purpose,
            raw,
        })
    }
}

fn activation(file: &ConfigFile, family: ModelFamily) -> Result<Activation> {
    let name = if family.is_gemma() {
        file.hidden_activation.as_deref().unwrap_or("gelu_pytorch_tanh")
    } else {
        file.hidden_act.as_deref().unwrap_or("silu")
    };
    match name {
        "silu" => Ok(Activation::Silu),
        "gelu" => Ok(Activation::Gelu),
        "gelu_pytorch_tanh" | "gelu_new" => Ok(Activation::GeluTanh),
        _ => bail!(message!(
            "model-other-activation",
            "hidden_act is {found}; this trainer computes \"silu\", \"gelu\" and \"gelu_pytorch_tanh\"",
            found = format!("{name:?}")
        )),
    }
}

fn purpose(file: &ConfigFile, family: ModelFamily) -> Result<ModelPurpose> {
    let Some(architecture) = file.architectures.first() else { return Ok(ModelPurpose::Language) };
    let text = family == ModelFamily::Gemma3;
    match architecture.strip_prefix(&format!("{family:?}")) {
        Some("TextModel") if text => Ok(ModelPurpose::Language),
        Some("ForCausalLM" | "Model") => Ok(ModelPurpose::Language),
        Some(class)
            if class == "ForSequenceClassification"
                || text && class == "TextForSequenceClassification" =>
        {
            // transformers counts two labels where the file names none.
            let n_labels = file.id2label.as_ref().map_or(2, Map::len);
            ensure!(
                n_labels == 1,
                message!(
                    "model-many-labels",
                    "a reward model has one label, this one has {n}",
                    n = n_labels
                )
            );
            Ok(ModelPurpose::Score)
        }
        _ => bail!(message!(
            "model-other-architecture",
            "the architecture is {found}; {supported}",
            found = format!("{architecture:?}"),
            supported = supported()
        )),
    }
}

/// An error for sizes that no model has, which would overflow or fill the memory.
fn check_sizes(file: &ConfigFile, head_dim: i64, max_positions: i64) -> Result<()> {
    let sizes = [file.vocab_size, file.hidden_size, file.intermediate_size, head_dim];
    ensure!(
        sizes.iter().all(|size| (1..=MOST_OF_A_SIZE).contains(size))
            && (0..=MOST_LAYERS).contains(&file.num_hidden_layers)
            && file.num_attention_heads <= MOST_HEADS
            && head_dim % 2 == 0,
        message!(
            "model-impossible-sizes",
            "the sizes make no model: vocab_size, hidden_size, intermediate_size and head_dim are {sizes}, with {layers} layers",
            sizes = format!("{sizes:?}"),
            layers = file.num_hidden_layers
        )
    );
    ensure!(
        (1..=MOST_POSITIONS).contains(&max_positions),
        message!(
            "model-impossible-length",
            "max_position_embeddings is {length}: a model reads from 1 to {most} tokens",
            length = max_positions,
            most = MOST_POSITIONS
        )
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    pub(super) fn parse(changes: Value) -> Result<ModelConfig> {
        let mut config = json!({
            "model_type": "llama", "architectures": ["LlamaForCausalLM"], "vocab_size": 320,
            "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
            "num_attention_heads": 4, "rope_theta": 100000.0
        });
        let changes = changes.as_object().expect("an object").clone();
        config.as_object_mut().expect("an object").extend(changes);
        ModelConfig::parse(&config.to_string())
    }

    #[test]
    fn what_a_file_leaves_out_is_transformers_default() {
        let config = parse(json!({})).unwrap();
        assert_eq!((config.n_kv_heads, config.head_dim, config.max_positions), (4, 8, 2048));
        assert_eq!((config.rms_norm_eps, config.tie_word_embeddings), (1e-6, false));
        assert_eq!(
            config.rope,
            RopeConfig { theta: 100_000.0, share: 1.0, scaling: RopeScaling::Plain }
        );
    }

    #[test]
    fn what_cannot_be_computed_is_refused_by_name() {
        for (changes, name) in [
            (json!({"model_type": "mamba"}), "mamba"),
            (json!({"architectures": ["LlamaForTokenClassification"]}), "TokenClassification"),
            (json!({"rope_scaling": {"rope_type": "dynamic"}}), "dynamic"),
            (json!({"rope_scaling": {"rope_type": "dynamic"}, "rope_parameters": {}}), "dynamic"),
            (json!({"rope_scaling": {"rope_type": "yarn", "factor": null}}), "the scaling of RoPE"),
            (json!({"rope_scaling": "yarn"}), "which is no object"),
            (json!({"rope_parameters": {"rope_theta": "1e4"}}), "which is no number"),
            (json!({"rope_theta": -1.0}), "make no positions"),
            (json!({"rope_scaling": {"type": "linear", "factor": 0.0}}), "make no positions"),
            (json!({"rms_norm_eps": -1.0}), "rms_norm_eps is -1"),
            (json!({"rope_scaling": {"type": "linear"}}), "the scaling of RoPE"),
            (
                json!({"model_type": "mistral", "architectures": ["MistralForCausalLM"], "num_key_value_heads": 2, "sliding_window": "7"}),
                "no whole number",
            ),
            (
                json!({"model_type": "gemma2", "architectures": ["Gemma2ForCausalLM"], "attn_logit_softcapping": "2"}),
                "a cap is a number",
            ),
            (json!({"use_bidirectional_attention": true}), "use_bidirectional_attention"),
            (json!({"hidden_act": "relu"}), "relu"),
            (json!({"layer_types": ["full_attention", "sliding_attention"]}), "sliding_attention"),
            (json!({"partial_rotary_factor": 0.5}), "partial_rotary_factor"),
            (json!({"layer_types": ["full_attention"]}), "1 entries"),
            (json!({"quantization_config": {"quant_method": "gptq"}}), "quantised"),
            (json!({"model_type": "qwen3_moe"}), "a mixture of experts"),
            (json!({"model_type": "qwen2"}), "LlamaForCausalLM"),
            (json!({"num_attention_heads": 0}), "0 attention heads"),
            (json!({"hidden_size": 0}), "the sizes make no model"),
            (json!({"hidden_size": 1_i64 << 40}), "the sizes make no model"),
            (json!({"num_hidden_layers": 1_000_000_000_000_i64}), "the sizes make no model"),
            (json!({"max_position_embeddings": 1_i64 << 62}), "a model reads from 1"),
            (json!({"max_position_embeddings": -1}), "a model reads from 1"),
            (json!({"num_key_value_heads": 3}), "3 key-value heads"),
            (json!({"architectures": ["LlamaForSequenceClassification"]}), "2"),
        ] {
            let error = parse(changes).unwrap_err().to_string();
            assert!(error.contains(name), "{error:?} does not name {name:?}");
        }
    }

    #[test]
    fn an_unknown_architecture_is_answered_with_what_there_is() {
        let error = parse(json!({"model_type": "gpt2"})).unwrap_err().to_string();
        for name in ["gpt2", "LlamaForCausalLM", "Qwen2ForCausalLM", "Qwen3ForCausalLM"] {
            assert!(error.contains(name), "{error:?} does not name {name}");
        }
    }

    #[test]
    fn each_family_has_its_own_biases_norms_and_defaults() {
        let qwen = |name: &str| {
            parse(json!({
                "model_type": name.to_lowercase(), "architectures": [format!("{name}ForCausalLM")],
                "num_key_value_heads": 2, "sliding_window": 64, "use_sliding_window": false
            }))
            .unwrap()
        };
        let (second, third) = (qwen("Qwen2"), qwen("Qwen3"));
        assert!(second.qkv_bias && !second.output_bias && !second.mlp_bias && !second.qk_norm);
        assert!(!third.qkv_bias && !third.output_bias && !third.mlp_bias && third.qk_norm);
        assert_eq!((second.head_dim, third.head_dim), (8, 128));
        assert_eq!((second.max_positions, third.max_positions), (32_768, 32_768));
        let llama = parse(json!({"attention_bias": true, "mlp_bias": true})).unwrap();
        assert!(llama.qkv_bias && llama.output_bias && llama.mlp_bias && !llama.qk_norm);
    }
}
