//! `config.json` of a Llama-family folder.

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::{fs, path::Path};

/// What the forward pass has to know of a model.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelConfig {
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
    pub rope: RopeConfig,
    /// The LM head is the embedding.
    pub tie_word_embeddings: bool,
    pub attention_bias: bool,
    pub mlp_bias: bool,
    /// Its row of the embedding learns nothing from being looked up, as in transformers
    /// (`nn.Embedding`'s `padding_idx`), even where the same token ends answers.
    pub pad_token_id: Option<i64>,
    /// Standard deviation of a weight that has to be made (transformers: `initializer_range`).
    pub initializer_range: f64,
    pub purpose: Purpose,
    /// The file as it is, for what is passed on when the model is saved.
    pub raw: Map<String, Value>,
}

/// What the last layer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Next tokens: `LlamaForCausalLM`.
    Language,
    /// One score for a sequence: `LlamaForSequenceClassification` with one label.
    Score,
}

/// Rotary position embedding: theta^(−2i/d), for Llama 3.1 stretched.
#[derive(Clone, Debug, PartialEq)]
pub struct RopeConfig {
    pub theta: f64,
    pub llama3: Option<Llama3Scaling>,
}

/// How Llama 3.1 stretches long wavelengths (transformers: `_compute_llama3_parameters`).
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Llama3Scaling {
    pub factor: f64,
    pub low_freq_factor: f64,
    pub high_freq_factor: f64,
    pub original_max_position_embeddings: f64,
}

/// The keys as transformers writes them; version 5 moved RoPE into `rope_parameters`.
#[derive(Deserialize)]
struct File {
    #[serde(default)]
    architectures: Vec<String>,
    vocab_size: i64,
    hidden_size: i64,
    intermediate_size: i64,
    num_hidden_layers: i64,
    num_attention_heads: i64,
    num_key_value_heads: Option<i64>,
    head_dim: Option<i64>,
    #[serde(default = "default_max_positions")]
    max_position_embeddings: i64,
    #[serde(default = "default_rms_norm_eps")]
    rms_norm_eps: f64,
    #[serde(default = "default_activation")]
    hidden_act: String,
    rope_theta: Option<f64>,
    rope_scaling: Option<Value>,
    rope_parameters: Option<Value>,
    #[serde(default)]
    tie_word_embeddings: bool,
    #[serde(default)]
    attention_bias: bool,
    #[serde(default)]
    mlp_bias: bool,
    pad_token_id: Option<i64>,
    #[serde(default = "default_initializer_range")]
    initializer_range: f64,
    id2label: Option<Map<String, Value>>,
}

fn default_max_positions() -> i64 {
    2048
}

fn default_rms_norm_eps() -> f64 {
    1e-6
}

fn default_activation() -> String {
    "silu".into()
}

fn default_initializer_range() -> f64 {
    0.02
}

impl ModelConfig {
    /// Reads `config.json` of `folder`; an architecture that this trainer does not compute is an
    /// error that names it.
    pub fn read(folder: &Path) -> Result<Self> {
        let path = folder.join("config.json");
        let text = fs::read_to_string(&path).with_context(|| {
            format!(
                "cannot read {}: a model is a Hugging Face folder with config.json, \
                 model.safetensors and tokenizer.json",
                path.display()
            )
        })?;
        Self::parse(&text).with_context(|| format!("{} cannot be used", path.display()))
    }

    pub(crate) fn parse(text: &str) -> Result<Self> {
        let raw: Map<String, Value> = serde_json::from_str(text)?;
        let model_type = raw.get("model_type").and_then(Value::as_str).unwrap_or("none");
        ensure!(
            model_type == "llama",
            "model_type is {model_type:?}; this trainer computes \"llama\" models"
        );
        let file: File = serde_json::from_value(Value::Object(raw.clone()))?;
        ensure!(
            file.hidden_act == "silu",
            "hidden_act is {:?}; this trainer computes \"silu\"",
            file.hidden_act
        );
        let n_kv_heads = file.num_key_value_heads.unwrap_or(file.num_attention_heads);
        ensure!(
            n_kv_heads > 0 && file.num_attention_heads % n_kv_heads == 0,
            "{} attention heads cannot share {n_kv_heads} key-value heads evenly",
            file.num_attention_heads
        );
        Ok(Self {
            vocab_size: file.vocab_size,
            hidden_size: file.hidden_size,
            intermediate_size: file.intermediate_size,
            n_layers: file.num_hidden_layers,
            n_heads: file.num_attention_heads,
            n_kv_heads,
            head_dim: file.head_dim.unwrap_or(file.hidden_size / file.num_attention_heads),
            max_positions: file.max_position_embeddings,
            rms_norm_eps: file.rms_norm_eps,
            rope: rope(&file)?,
            tie_word_embeddings: file.tie_word_embeddings,
            attention_bias: file.attention_bias,
            mlp_bias: file.mlp_bias,
            pad_token_id: file.pad_token_id,
            initializer_range: file.initializer_range,
            purpose: purpose(&file)?,
            raw,
        })
    }
}

impl File {
    fn rope_values(&self) -> Option<&Value> {
        self.rope_parameters.as_ref().or(self.rope_scaling.as_ref()).filter(|v| !v.is_null())
    }
}

fn rope(file: &File) -> Result<RopeConfig> {
    let values = file.rope_values();
    let get = |key: &str| values.and_then(|values| values.get(key));
    let theta = get("rope_theta").and_then(Value::as_f64).or(file.rope_theta).unwrap_or(10_000.0);
    let kind = get("rope_type").or_else(|| get("type")).and_then(Value::as_str);
    let llama3 = match kind {
        None | Some("default") => None,
        Some("llama3") => {
            let values = values.cloned().unwrap_or_default();
            Some(serde_json::from_value(values).context("the scaling of RoPE")?)
        }
        Some(kind) => {
            bail!("rope_type is {kind:?}; this trainer computes \"default\" and \"llama3\"")
        }
    };
    Ok(RopeConfig { theta, llama3 })
}

fn purpose(file: &File) -> Result<Purpose> {
    match file.architectures.first().map(String::as_str) {
        None | Some("LlamaForCausalLM" | "LlamaModel") => Ok(Purpose::Language),
        Some("LlamaForSequenceClassification") => {
            // transformers counts two labels where the file names none.
            let n_labels = file.id2label.as_ref().map_or(2, Map::len);
            ensure!(n_labels == 1, "a reward model has one label, this one has {n_labels}");
            Ok(Purpose::Score)
        }
        Some(other) => bail!(
            "the architecture is {other:?}; this trainer computes LlamaForCausalLM and \
             LlamaForSequenceClassification"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn parse(changes: Value) -> Result<ModelConfig> {
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
        assert_eq!(config.rope, RopeConfig { theta: 100_000.0, llama3: None });
    }

    #[test]
    fn both_spellings_of_rope_are_read() {
        let new = json!({"rope_parameters": {"rope_theta": 5e5, "rope_type": "default"}});
        assert_eq!(parse(new).unwrap().rope.theta, 5e5);
        let old = json!({"rope_scaling": {
            "type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
            "original_max_position_embeddings": 8192
        }});
        let rope = parse(old).unwrap().rope;
        assert_eq!((rope.theta, rope.llama3.unwrap().factor), (1e5, 8.0));
    }

    #[test]
    fn what_cannot_be_computed_is_refused_by_name() {
        for (changes, name) in [
            (json!({"model_type": "mamba"}), "mamba"),
            (json!({"architectures": ["LlamaForTokenClassification"]}), "TokenClassification"),
            (json!({"rope_scaling": {"rope_type": "yarn"}}), "yarn"),
            (json!({"hidden_act": "gelu"}), "gelu"),
            (json!({"num_key_value_heads": 3}), "3 key-value heads"),
            (json!({"architectures": ["LlamaForSequenceClassification"]}), "2"),
        ] {
            let error = parse(changes).unwrap_err().to_string();
            assert!(error.contains(name), "{error:?} does not name {name:?}");
        }
    }
}
