//! The weights of a Hugging Face folder: `model.safetensors`, or shards with an index.

use crate::tensor_file::for_each_tensor;
use anyhow::{Result, bail, ensure};
use entity::{message, message::KeyedMessage};
use serde_json::Value;
use std::{
    collections::{BTreeSet, HashMap},
    path::{Path, PathBuf},
};
use tch::{Device, Kind, Tensor};
use trainer_base::errors::WithMessage;
use trainer_base::model_config::{ModelConfig, ModelPurpose};
use trainer_base::model_files;

pub(super) const WEIGHTS: &str = "model.safetensors";
pub(super) const INDEX: &str = "model.safetensors.index.json";

pub(crate) const SCORE: &str = "score.weight";
pub(crate) const LM_HEAD: &str = "lm_head.weight";

/// The weights of a folder, in the order of [`expected_shapes`].
pub(crate) struct FolderWeights(Vec<(String, Tensor)>);

impl FolderWeights {
    /// Reads every weight that `config` asks for as `kind`, into memory of libtorch's own.
    pub(crate) fn read(
        folder: &Path,
        config: &ModelConfig,
        kind: Kind,
        device: Device,
    ) -> Result<Self> {
        let mut found = found_in(folder, kind, device)?;
        let mut weights = Vec::new();
        for (name, shape) in expected_shapes(config) {
            let weight = found.remove(&name).with_message(|| {
                message!(
                    "weights-lacking",
                    "{folder} has no weight {name}: the weights and config.json are not of one model, or a file is incomplete",
                    folder = folder.display(),
                    name = name.as_str()
                )
            })?;
            ensure!(
                weight.size() == shape,
                message!(
                    "weights-other-shape",
                    "{name} of {folder} has the shape {found}, config.json says {expected}: the two are not of one model",
                    name = name.as_str(),
                    folder = folder.display(),
                    found = format!("{:?}", weight.size()),
                    expected = format!("{shape:?}")
                )
            );
            weights.push((name, weight));
        }
        refuse_untied_head(folder, config, &found, &weights[0].1)?;
        // A tied LM head and old RoPE caches repeat other weights.
        let unknown: BTreeSet<_> = found
            .into_keys()
            .filter(|name| !(name == LM_HEAD || name.ends_with("rotary_emb.inv_freq")))
            .collect();
        if let Some(name) = unknown.first() {
            bail!(message!(
                "weights-without-place",
                "{folder} has a weight {name}, which a {family} of this config.json has no place for",
                folder = folder.display(),
                name = name.as_str(),
                family = format!("{:?}", config.family)
            ));
        }
        Ok(Self(weights))
    }

    pub(crate) fn into_vec(self) -> Vec<(String, Tensor)> {
        self.0
    }
}

/// An error where config.json says that the LM head is the embedding, and the file's is another:
/// versions of transformers differ in which of the two they take.
fn refuse_untied_head(
    folder: &Path,
    config: &ModelConfig,
    found: &HashMap<String, Tensor>,
    embedding: &Tensor,
) -> Result<()> {
    let is_tied = config.purpose == ModelPurpose::Language && config.tie_word_embeddings;
    let Some(head) = found.get(LM_HEAD).filter(|_| is_tied) else { return Ok(()) };
    ensure!(
        head.size() == embedding.size() && head.equal(embedding),
        message!(
            "weights-untied-head",
            "{folder} holds an {name} that is not the embedding, and config.json says by tie_word_embeddings that they are one: set it to false if the model has a head of its own, else remove the weight",
            folder = folder.display(),
            name = LM_HEAD
        )
    );
    Ok(())
}

/// Every weight in a folder's files, whatever config.json asks for.
fn found_in(folder: &Path, kind: Kind, device: Device) -> Result<HashMap<String, Tensor>> {
    let mut found = HashMap::new();
    for path in weight_files(folder)? {
        ensure!(
            path.is_file(),
            message!(
                "weights-file-missing",
                "{path} is missing, and {index} says that weights are in it: copy or fetch it again",
                path = path.display(),
                index = INDEX
            )
        );
        for_each_tensor(&path, |name, weight| {
            let weight = weight.with_message(|| {
                message!("weights-of", "{name} of {path}", name = name, path = path.display())
            })?;
            ensure!(
                bool::try_from(weight.isfinite().all())?,
                message!(
                    "weights-not-finite",
                    "{name} of {path} has numbers that are not finite (NaN or infinity): the file is damaged, or the run that made it diverged; fetch it again or take another model",
                    name = name,
                    path = path.display()
                )
            );
            // The score head, which is small, stays f32.
            let kind = if name == SCORE { Kind::Float } else { kind };
            let weight = weight.to_device(device).to_kind(kind);
            if let Some(other) = found.insert(name.to_owned(), weight) {
                let is_same = other.size() == found[name].size() && other.equal(&found[name]);
                ensure!(is_same, twice(name, folder));
            }
            Ok(())
        })?;
    }
    Ok(found)
}

fn twice(name: &str, folder: &Path) -> KeyedMessage {
    message!(
        "weights-twice",
        "two files of {folder} hold different weights {name}: shards of two models lie in it; fetch the model again into an empty folder",
        folder = folder.display(),
        name = name
    )
}

/// Name and shape of every parameter, in transformers' order.
pub(crate) fn expected_shapes(config: &ModelConfig) -> Vec<(String, Vec<i64>)> {
    let ModelConfig { vocab_size: v, hidden_size: d, intermediate_size: f, .. } = *config;
    let (q, kv) = (config.n_heads * config.head_dim, config.n_kv_heads * config.head_dim);
    let mut shapes = vec![("model.embed_tokens.weight".into(), vec![v, d])];
    for layer in 0..config.n_layers {
        let linears = [
            ("self_attn.q_proj", q, d, config.qkv_bias),
            ("self_attn.k_proj", kv, d, config.qkv_bias),
            ("self_attn.v_proj", kv, d, config.qkv_bias),
            ("self_attn.o_proj", d, q, config.output_bias),
            ("mlp.gate_proj", f, d, config.mlp_bias),
            ("mlp.up_proj", f, d, config.mlp_bias),
            ("mlp.down_proj", d, f, config.mlp_bias),
        ];
        for (part, rows, columns, has_bias) in linears {
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

/// Whole, or in shards.
pub(crate) fn weight_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let single = folder.join(WEIGHTS);
    if single.is_file() {
        return Ok(vec![single]);
    }
    let index = folder.join(INDEX);
    let text = model_files::read_text(&index).with_message(|| {
        message!(
            "weights-none",
            "{folder} has neither {weights} nor {index}",
            folder = folder.display(),
            weights = WEIGHTS,
            index = INDEX
        )
    })?;
    let damaged = || {
        message!(
            "weights-index-damaged",
            "{path} is damaged: copy or fetch it again",
            path = index.display()
        )
    };
    let index: Value = serde_json::from_str(&text).with_message(damaged)?;
    let map = index["weight_map"].as_object().with_message(damaged)?;
    let files: BTreeSet<&str> = map.values().filter_map(Value::as_str).collect();
    Ok(files.into_iter().map(|file| folder.join(file)).collect())
}

/// Whether a folder has weights, whole or damaged, or only says how a model is to be built.
pub(crate) fn has_weights(folder: &Path) -> bool {
    [WEIGHTS, INDEX].iter().any(|file| folder.join(file).exists())
}

#[cfg(test)]
mod tests;
