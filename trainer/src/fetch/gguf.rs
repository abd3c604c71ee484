//! A Llama in a GGUF file, with Hugging Face's names and layout.

use anyhow::{Context, Result, bail, ensure};
use candle_core::{
    Device,
    quantized::gguf_file::{self, Content},
};
use serde_json::{Value, json};
use std::io::Cursor;
use trainer_base::errors::without_panic;

/// A GGUF file in memory.
pub(super) struct GgufFile {
    content: Content,
    bytes: Cursor<Vec<u8>>,
}

/// A weight as safetensors stores it: f32, little-endian, row by row.
pub(super) struct GgufWeight {
    pub name: String,
    pub shape: Vec<usize>,
    pub bytes: Vec<u8>,
}

/// llama.cpp's name of a block's weight, and Hugging Face's.
const BLOCK: [(&str, &str); 9] = [
    ("attn_q", "self_attn.q_proj"),
    ("attn_k", "self_attn.k_proj"),
    ("attn_v", "self_attn.v_proj"),
    ("attn_output", "self_attn.o_proj"),
    ("ffn_gate", "mlp.gate_proj"),
    ("ffn_up", "mlp.up_proj"),
    ("ffn_down", "mlp.down_proj"),
    ("attn_norm", "input_layernorm"),
    ("ffn_norm", "post_attention_layernorm"),
];

impl GgufFile {
    pub(super) fn read(bytes: Vec<u8>) -> Result<Self> {
        let mut bytes = Cursor::new(bytes);
        let content = without_panic(|| Ok(Content::read(&mut bytes)?))?;
        let gguf = Self { content, bytes };
        gguf.check_sizes()?;
        match gguf.text("general.architecture") {
            Some("llama") => Ok(gguf),
            other => bail!("expected a Llama, found {}", other.unwrap_or("no architecture")),
        }
    }

    pub(super) fn tensor_names(&self) -> Vec<String> {
        let mut names: Vec<_> = self.content.tensor_infos.keys().cloned().collect();
        names.sort();
        names
    }

    /// An error where the weights together have more numbers than the file has room for, two bits being
    /// the least that one takes, or one has none: then every claim of a size is backed by bytes.
    fn check_sizes(&self) -> Result<()> {
        let mut total = 0_usize;
        for (name, info) in &self.content.tensor_infos {
            let sizes = info.shape.dims();
            let count = sizes.iter().try_fold(1_usize, |count, size| count.checked_mul(*size));
            let count = count.filter(|count| *count > 0);
            let sum = count.and_then(|count| total.checked_add(count));
            total = sum.with_context(|| format!("{name} has the impossible sizes {sizes:?}"))?;
        }
        let room = self.bytes.get_ref().len().saturating_mul(4);
        ensure!(total <= room, "it names {total} numbers, more than it has room for");
        Ok(())
    }

    /// Dequantises the weight that llama.cpp calls `name`.
    pub(super) fn weight(&mut self, name: &str) -> Result<GgufWeight> {
        let (content, bytes) = (&self.content, &mut self.bytes);
        let (shape, mut values) = without_panic(|| {
            let tensor = content.tensor(bytes, name, &Device::Cpu)?.dequantize(&Device::Cpu)?;
            Ok((tensor.dims().to_vec(), tensor.flatten_all()?.to_vec1::<f32>()?))
        })?;
        let n_heads = match name.split('.').nth(2) {
            Some("attn_q") => Some(self.number("llama.attention.head_count")?),
            Some("attn_k") => Some(self.number("llama.attention.head_count_kv")?),
            _ => None,
        };
        if let Some(n_heads) = n_heads {
            ensure!(
                n_heads > 0
                    && shape.len() == 2
                    && shape[0].is_multiple_of(n_heads.saturating_mul(2)),
                "{name} has the shape {shape:?}, which does not go with {n_heads} heads"
            );
            values = unpermuted(&values, n_heads, shape[0], shape[1]);
        }
        let bytes = values.into_iter().flat_map(f32::to_le_bytes).collect();
        Ok(GgufWeight { name: hugging_face_name(name)?, shape, bytes })
    }

    /// config.json.
    pub(super) fn config(&self) -> Result<Value> {
        let heads = self.number("llama.attention.head_count")?;
        let hidden = self.number("llama.embedding_length")?;
        ensure!(heads > 0, "the GGUF file says that its model has no attention heads");
        let eps = self.metadata("llama.attention.layer_norm_rms_epsilon")?.to_f32()?;
        let theta = self.metadata("llama.rope.freq_base")?.to_f32()?;
        Ok(json!({
            "architectures": ["LlamaForCausalLM"],
            "attention_bias": false,
            "bos_token_id": self.token_id("bos"),
            "eos_token_id": self.token_id("eos"),
            "head_dim": hidden / heads,
            "hidden_act": "silu",
            "hidden_size": hidden,
            "intermediate_size": self.number("llama.feed_forward_length")?,
            "max_position_embeddings": self.number("llama.context_length")?,
            "mlp_bias": false,
            "model_type": "llama",
            "num_attention_heads": heads,
            "num_hidden_layers": self.number("llama.block_count")?,
            "num_key_value_heads": self.number("llama.attention.head_count_kv")?,
            "pad_token_id": self.token_id("padding"),
            "rms_norm_eps": shortest(eps)?,
            "rope_theta": shortest(theta)?,
            "tie_word_embeddings": !self.content.tensor_infos.contains_key("output.weight"),
            "torch_dtype": "float32",
            "vocab_size": self.number("llama.vocab_size")?,
        }))
    }

    /// generation_config.json.
    pub(super) fn generation_config(&self) -> Result<Value> {
        Ok(json!({
            "bos_token_id": self.token_id("bos"),
            "eos_token_id": self.token_id("eos"),
            "pad_token_id": self.token_id("padding"),
        }))
    }

    /// The id of `bos`, `eos`, `unknown` or `padding`.
    pub(super) fn token_id(&self, role: &str) -> Option<usize> {
        self.number(&format!("tokenizer.ggml.{role}_token_id")).ok()
    }

    pub(super) fn text(&self, key: &str) -> Option<&str> {
        self.content.metadata.get(key)?.to_string().ok().map(String::as_str)
    }

    pub(super) fn number(&self, key: &str) -> Result<usize> {
        let number = self.metadata(key)?.to_u64()?;
        Ok(usize::try_from(number)?)
    }

    pub(super) fn list(&self, key: &str) -> Result<&[gguf_file::Value]> {
        Ok(self.metadata(key)?.to_vec()?)
    }

    fn metadata(&self, key: &str) -> Result<&gguf_file::Value> {
        self.content.metadata.get(key).with_context(|| format!("the GGUF file has no {key}"))
    }
}

fn hugging_face_name(name: &str) -> Result<String> {
    let parts: Vec<_> = name.split('.').collect();
    let renamed = match parts.as_slice() {
        ["token_embd", "weight"] => Some("model.embed_tokens.weight".to_owned()),
        ["output_norm", "weight"] => Some("model.norm.weight".to_owned()),
        ["output", "weight"] => Some("lm_head.weight".to_owned()),
        ["blk", layer, part, "weight"] => BLOCK
            .iter()
            .find(|(theirs, _)| theirs == part)
            .map(|(_, ours)| format!("model.layers.{layer}.{ours}.weight")),
        _ => None,
    };
    renamed.with_context(|| format!("the GGUF file has a weight {name}, which a Llama does not"))
}

/// The rows of q or k (rows × columns) from llama.cpp's order, in which a rotated pair lies side by
/// side, to Hugging Face's, in which its halves lie half a head apart: the inverse of `permute` in
/// llama.cpp's convert_hf_to_gguf.py.
fn unpermuted(values: &[f32], n_heads: usize, n_rows: usize, n_columns: usize) -> Vec<f32> {
    let half = n_rows / n_heads / 2;
    let from = |head: usize, side: usize, pair: usize| (head * half + pair) * 2 + side;
    let mut ordered = Vec::with_capacity(values.len());
    for head in 0..n_heads {
        for side in 0..2 {
            for pair in 0..half {
                let start = from(head, side, pair) * n_columns;
                ordered.extend_from_slice(&values[start..start + n_columns]);
            }
        }
    }
    ordered
}

/// The decimal that a person wrote: 1e-5, not the f32 next to it.
fn shortest(number: f32) -> Result<f64> {
    Ok(number.to_string().parse()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rotated_pairs_go_from_side_by_side_to_half_a_head_apart() {
        // One head of four rows, two columns; llama.cpp stores rows 0, 2, 1, 3.
        let stored = [0.0, 0.5, 2.0, 2.5, 1.0, 1.5, 3.0, 3.5];
        assert_eq!(unpermuted(&stored, 1, 4, 2), [0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5]);
    }

    #[test]
    fn a_weight_that_is_not_a_llamas_is_named() {
        assert_eq!(
            hugging_face_name("blk.3.ffn_up.weight").unwrap(),
            "model.layers.3.mlp.up_proj.weight"
        );
        assert!(hugging_face_name("blk.3.ffn_gate_exps.weight").is_err());
    }
}
