//! Families of models that one forward pass serves, and where they differ.

use super::ModelPurpose;
use anyhow::{Result, bail};
use entity::{message, message::KeyedMessage};
use serde_json::{Map, Value};

/// A family, by the name of its classes in transformers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModelFamily {
    /// Llama 2 and 3, SmolLM2, TinyLlama, …
    Llama,
    /// Qwen2 and 2.5: queries, keys and values have biases, the attention's output has none.
    Qwen2,
    /// Qwen3: every head's queries and keys go through a norm of their own before they are rotated.
    Qwen3,
}

/// What a file leaves out, as transformers fills it in.
pub(super) struct FamilyDefaults {
    pub max_positions: i64,
    /// None: as many as there are query heads.
    pub n_kv_heads: Option<i64>,
    /// None: the hidden size is divided among the query heads.
    pub head_dim: Option<i64>,
}

const FAMILIES: [(&str, ModelFamily); 3] =
    [("llama", ModelFamily::Llama), ("qwen2", ModelFamily::Qwen2), ("qwen3", ModelFamily::Qwen3)];

impl ModelFamily {
    /// By `model_type`. What is near to a family and yet another computation is refused by name.
    pub(super) fn of(file: &Map<String, Value>) -> Result<Self> {
        let model_type = file.get("model_type").and_then(Value::as_str).unwrap_or("none");
        let Some((_, family)) = FAMILIES.iter().find(|(name, _)| *name == model_type) else {
            bail!(unknown(model_type));
        };
        for key in ["quantization_config", "compression_config"] {
            if file.get(key).is_some_and(|value| !value.is_null()) {
                bail!(message!(
                    "model-quantised",
                    "its weights are quantised ({key}), and this trainer computes with bf16 and f32: take the repository of the same model that is not quantised",
                    key = key
                ));
            }
        }
        let slides = file.get("use_sliding_window").and_then(Value::as_bool).unwrap_or(false);
        if slides {
            bail!(message!(
                "model-sliding-window",
                "use_sliding_window is true, and this trainer computes full attention only: set it to false if the texts are shorter than the window, or take another base"
            ));
        }
        let layer_types = file.get("layer_types").and_then(Value::as_array).into_iter().flatten();
        let other = layer_types.filter_map(Value::as_str).find(|kind| *kind != "full_attention");
        if let Some(kind) = other {
            bail!(message!(
                "model-other-layer",
                "layer_types has {found}, and this trainer computes full attention only: take another base",
                found = format!("{kind:?}")
            ));
        }
        Ok(*family)
    }

    /// The class that reads such a model for `purpose`.
    pub fn architecture(self, purpose: ModelPurpose) -> String {
        match purpose {
            ModelPurpose::Language => format!("{self:?}ForCausalLM"),
            ModelPurpose::Score => format!("{self:?}ForSequenceClassification"),
        }
    }

    pub(super) fn defaults(self) -> FamilyDefaults {
        match self {
            Self::Llama => FamilyDefaults { max_positions: 2048, n_kv_heads: None, head_dim: None },
            Self::Qwen2 => {
                FamilyDefaults { max_positions: 32_768, n_kv_heads: Some(32), head_dim: None }
            }
            Self::Qwen3 => {
                FamilyDefaults { max_positions: 32_768, n_kv_heads: Some(32), head_dim: Some(128) }
            }
        }
    }
}

/// What can be computed, for a person whose model cannot.
pub(super) fn supported() -> KeyedMessage {
    message!(
        "model-supported",
        "this trainer computes {names}, and reward models (…ForSequenceClassification with one label) of the same families",
        names = FAMILIES.map(|(_, family)| family.architecture(ModelPurpose::Language)).join(", ")
    )
}

fn unknown(model_type: &str) -> KeyedMessage {
    let found = format!("{model_type:?}");
    if model_type.ends_with("_moe") || model_type == "mixtral" {
        message!(
            "model-of-experts",
            "model_type is {found}, a mixture of experts; {supported}",
            found = found,
            supported = supported()
        )
    } else {
        message!(
            "model-other-type",
            "model_type is {found}; {supported}",
            found = found,
            supported = supported()
        )
    }
}
