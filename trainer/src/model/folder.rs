//! Hugging Face folders: `model.safetensors` or shards with an index, and what lies beside.

use super::transformer::{LM_HEAD, SCORE, Transformer};
use crate::ffi;
use anyhow::{Result, bail, ensure};
use entity::message;
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde_json::{Map, Value, json};
use std::{
    borrow::Cow,
    collections::{BTreeSet, HashMap},
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};
use tch::{Device, Kind, Tensor};
use trainer_base::errors::{WithMessage, cannot_make, cannot_read, cannot_write};
use trainer_base::model_config::{ModelConfig, Purpose};

const WEIGHTS: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";

/// Files that make a folder complete and are passed on as they are.
const COMPANIONS: [&str; 8] = [
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "tokenizer.model",
    "chat_template.jinja",
    "generation_config.json",
    "LICENSE",
];

/// The weights of a folder, in the order of [`expected_shapes`].
pub(crate) struct Weights(Vec<(String, Tensor)>);

impl Weights {
    /// Reads every weight that `config` asks for as `kind`, into memory of libtorch's own: the bits
    /// of a matrix product depend on how its operands are aligned.
    pub(crate) fn read(
        folder: &Path,
        config: &ModelConfig,
        kind: Kind,
        device: Device,
    ) -> Result<Self> {
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
            let map = ffi::map_file(&path).with_message(|| cannot_read(&path))?;
            let file = parse(&map, &path)?;
            for (name, view) in file.iter() {
                let weight = tensor(&view).with_message(|| {
                    let (name, path) = (name, path.display());
                    message!("weights-of", "{name} of {path}", name = name, path = path)
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
                found.insert(name.to_owned(), weight.to_device(device).to_kind(kind));
            }
        }
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
        // A tied head, or old caches of RoPE, repeat what is known.
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
        Purpose::Language if config.tie_word_embeddings => {}
        Purpose::Language => shapes.push((LM_HEAD.into(), vec![v, d])),
        Purpose::Score => shapes.push((SCORE.into(), vec![1, d])),
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
    let text = fs::read_to_string(&index).with_message(|| {
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

fn parse<'a>(bytes: &'a [u8], path: &Path) -> Result<SafeTensors<'a>> {
    SafeTensors::deserialize(bytes).with_message(|| {
        message!(
            "weights-damaged",
            "{path} is damaged or was cut off: copy or fetch it again",
            path = path.display()
        )
    })
}

/// A copy in libtorch's memory.
fn tensor(view: &TensorView) -> Result<Tensor> {
    let kind = match view.dtype() {
        Dtype::F32 => Kind::Float,
        Dtype::BF16 => Kind::BFloat16,
        Dtype::F16 => Kind::Half,
        Dtype::F64 => Kind::Double,
        other => bail!(message!(
            "weights-other-type",
            "weights of type {found} are quantised or not weights; take the same model in f32, bf16 or f16",
            found = format!("{other:?}")
        )),
    };
    let shape: Vec<i64> = view.shape().iter().map(|&size| size as i64).collect();
    Ok(Tensor::f_from_data_size(view.data(), &shape, kind)?)
}

/// Writes `model` as a Hugging Face folder in f32; its config.json takes `changes` on top.
///
/// The weights come last, under a temporary name until they are complete: a folder that has them is
/// whole.
///
/// Weights that are not numbers are refused: the last step of a run may have lost them.
pub fn save(model: &Transformer, folder: &Path, changes: &Map<String, Value>) -> Result<()> {
    for (name, weight) in model.parameters() {
        let (least, largest) = weight.aminmax(None, false); // either is NaN if any weight is
        ensure!(
            (largest - least).double_value(&[]).is_finite(),
            message!(
                "weights-no-numbers",
                "training ended with weights that are not numbers ({name}), and nothing was written: lower --learning-rate",
                name = name.as_str()
            )
        );
    }
    fs::create_dir_all(folder).with_message(|| cannot_make(folder))?;
    for file in COMPANIONS {
        let (from, to) = (model.folder.join(file), folder.join(file));
        if from.is_file() && from != to {
            fs::copy(&from, &to).with_message(|| cannot_write(&to))?;
        }
    }
    let mut config = model.config.raw.clone();
    let architecture = model.config.family.architecture(model.config.purpose);
    config.insert("architectures".into(), json!([architecture]));
    // The name of older versions of transformers, which newer ones read as well.
    config.shift_remove("dtype");
    config.insert("torch_dtype".into(), json!("float32"));
    if model.config.purpose == Purpose::Score {
        config.insert("id2label".into(), json!({"0": "LABEL_0"}));
        config.insert("label2id".into(), json!({"LABEL_0": 0}));
    }
    config.extend(changes.clone());
    let text = serde_json::to_string_pretty(&config)? + "\n";
    fs::write(folder.join("config.json"), text).with_message(|| {
        let folder = folder.display();
        message!("weights-no-config", "cannot write config.json in {folder}", folder = folder)
    })?;
    let weights = model.parameters().iter().map(|(name, weight)| (name.clone(), weight));
    write_tensors(&folder.join(WEIGHTS), weights)?;
    // Shards of an earlier model in the same folder would contradict the new file.
    match fs::remove_file(folder.join(INDEX)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

/// Writes tensors to a safetensors file in f32, one at a time, and makes sure that they are on disk.
pub(crate) fn write_tensors<'a>(
    path: &Path,
    tensors: impl Iterator<Item = (String, &'a Tensor)>,
) -> Result<()> {
    let tensors = tensors.map(|(name, tensor)| (name, Stored::new(tensor)));
    // Without this key older versions of transformers refuse the file.
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    safetensors::serialize_to_file(tensors, Some(metadata), path)
        .with_message(|| cannot_write(path))?;
    // The library writes through a temporary file, which only its owner may read.
    fs::set_permissions(path, fs::Permissions::from_mode(0o644))?;
    fs::File::open(path)?.sync_all()?;
    Ok(())
}

/// Every tensor of a safetensors file.
pub(crate) fn read_tensors(path: &Path) -> Result<HashMap<String, Tensor>> {
    let map = ffi::map_file(path).with_message(|| cannot_read(path))?;
    let file = parse(&map, path)?;
    file.iter().map(|(name, view)| Ok((name.to_owned(), tensor(&view)?))).collect()
}

/// A tensor on its way into a file, copied out when its turn comes.
struct Stored<'a> {
    tensor: &'a Tensor,
    shape: Vec<usize>,
}

impl<'a> Stored<'a> {
    fn new(tensor: &'a Tensor) -> Self {
        Self { tensor, shape: tensor.size().iter().map(|&size| size as usize).collect() }
    }
}

impl safetensors::View for Stored<'_> {
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        let mut bytes = vec![0; self.data_len()];
        let tensor = self.tensor.detach().to_device(Device::Cpu).to_kind(Kind::Float).contiguous();
        tensor.copy_data_u8(&mut bytes, tensor.numel());
        bytes.into()
    }

    fn data_len(&self) -> usize {
        self.tensor.numel() * size_of::<f32>()
    }
}

#[cfg(test)]
mod tests;
