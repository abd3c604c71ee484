//! `tokenizer.json` from what a GGUF file says of its byte-level BPE tokenizer.

use super::gguf::GgufFile;
use anyhow::{Context, Result, bail};
use serde_json::{Map, Value, json};

/// llama.cpp's mark of a token that is not text (LLAMA_TOKEN_TYPE_CONTROL).
const CONTROL: i32 = 3;

/// tokenizer.json. Digits are split one by one before the byte-level pre-tokenizer, as SmolLM's
/// own tokenizer does; transformers leaves that out when it reads a GGUF file.
pub(super) fn tokenizer(gguf: &GgufFile) -> Result<Value> {
    match (gguf.text("tokenizer.ggml.model"), gguf.text("tokenizer.ggml.pre")) {
        (Some("gpt2"), Some("smollm")) => {}
        (model, pre) => {
            bail!("the GGUF file has a tokenizer that is not known: {model:?}, {pre:?}")
        }
    }
    let tokens = tokens(gguf)?;
    let vocab: Map<_, _> =
        tokens.iter().enumerate().map(|(id, token)| (token.clone(), json!(id))).collect();
    Ok(json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": special_tokens(gguf, &tokens)?,
        "normalizer": null,
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [
                {"type": "Digits", "individual_digits": true},
                {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
            ],
        },
        "post_processor": null,
        "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
        "model": {
            "type": "BPE",
            "dropout": null,
            "unk_token": token(gguf, &tokens, "unknown"),
            "continuing_subword_prefix": null,
            "end_of_word_suffix": null,
            "fuse_unk": false,
            "byte_fallback": false,
            "ignore_merges": false,
            "vocab": vocab,
            "merges": merges(gguf)?,
        },
    }))
}

/// tokenizer_config.json: what the special tokens are for.
pub(super) fn tokenizer_config(gguf: &GgufFile) -> Result<Value> {
    let tokens = tokens(gguf)?;
    Ok(json!({
        "bos_token": token(gguf, &tokens, "bos"),
        "eos_token": token(gguf, &tokens, "eos"),
        "model_max_length": gguf.number("llama.context_length")?,
        "pad_token": token(gguf, &tokens, "padding"),
        "tokenizer_class": "PreTrainedTokenizerFast",
        "unk_token": token(gguf, &tokens, "unknown"),
    }))
}

fn tokens(gguf: &GgufFile) -> Result<Vec<String>> {
    let tokens = gguf.list("tokenizer.ggml.tokens")?;
    tokens.iter().map(|token| Ok(token.to_string()?.clone())).collect()
}

fn token<'a>(gguf: &GgufFile, tokens: &'a [String], role: &str) -> Option<&'a String> {
    tokens.get(gguf.token_id(role)?)
}

fn special_tokens(gguf: &GgufFile, tokens: &[String]) -> Result<Vec<Value>> {
    let mut special = Vec::new();
    for (id, kind) in gguf.list("tokenizer.ggml.token_type")?.iter().enumerate() {
        if kind.to_i32()? == CONTROL {
            special.push(json!({
                "id": id,
                "content": tokens.get(id).context("more token types than tokens")?,
                "single_word": false,
                "lstrip": false,
                "rstrip": false,
                "normalized": false,
                "special": true,
            }));
        }
    }
    Ok(special)
}

fn merges(gguf: &GgufFile) -> Result<Vec<[&str; 2]>> {
    let merges = gguf.list("tokenizer.ggml.merges")?.iter();
    merges
        .map(|merge| {
            let merge = merge.to_string()?;
            // The tokens themselves have no space in them: it is written Ġ.
            let (left, right) = merge.split_once(' ').context("a merge without a space")?;
            Ok([left, right])
        })
        .collect()
}
