//! The tokens that a folder names beside tokenizer.json, and what else it says there of its tokenizer,
//! as transformers 5 reads it.

use crate::{
    errors::{WithMessage, cannot_read, is_damaged},
    model_files,
};
use anyhow::{Result, anyhow};
use serde_json::{Map, Value};
use std::{
    collections::{BTreeMap, BTreeSet},
    io::ErrorKind,
    path::Path,
};
use tokenizers::{
    AddedToken, DecoderWrapper, ModelWrapper, NormalizerWrapper, Tokenizer,
    decoders::{
        byte_fallback::ByteFallback, fuse::Fuse, sequence::Sequence as Decoders, strip::Strip,
    },
    normalizers::Replace,
    pre_tokenizers::metaspace::{Metaspace, PrependScheme},
};

/// The names that every tokenizer knows, in the order in which their tokens are added (transformers:
/// `SPECIAL_TOKENS_ATTRIBUTES`); those of a model's own follow.
const NAMES: [&str; 7] =
    ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];

/// What transformers puts for a space before it looks for words.
const SPACE: char = '▁';

/// Tokens by their name, and those that tokenizer.json need not have.
#[derive(Debug)]
pub(super) struct FolderTokens {
    /// `bos_token`, `eos_token`, …, as text.
    pub(super) named: BTreeMap<String, String>,
    /// What tokenizer_config.json lists, in the order of ids; it goes before tokenizer.json.
    listed: Vec<AddedToken>,
    /// Those with a name and the other special ones, in the order in which they get ids.
    others: Vec<AddedToken>,
}

impl FolderTokens {
    /// Of tokenizer_config.json, given as `config`; where it lists no added tokens, of
    /// special_tokens_map.json before it, and of added_tokens.json.
    pub(super) fn read(folder: &Path, config: &Map<String, Value>) -> Result<Self> {
        let mut names = config.clone();
        let listed = config.get("added_tokens_decoder").and_then(Value::as_object);
        let mut late = Map::new();
        if listed.is_none() {
            names.extend(read_json(&folder.join("special_tokens_map.json"))?);
            late = read_json(&folder.join("added_tokens.json"))?;
        }
        let named = named(&names);
        let extra = names.get("extra_special_tokens").and_then(Value::as_array);
        let extra = extra.or_else(|| names.get("additional_special_tokens")?.as_array());
        let extra = extra.into_iter().flatten().filter_map(|value| token(value, true));
        let special: Vec<AddedToken> =
            named.iter().map(|(_, token)| token.clone()).chain(extra).collect();

        let is_special = |content: &str| special.iter().any(|it| it.content == content);
        let listed = listed.into_iter().flatten().filter_map(|(id, value)| {
            let token = token(value, false)?;
            let special = token.special || is_special(&token.content);
            Some((id.parse().ok()?, AddedToken { special, ..token }))
        });
        let late = late.iter().filter_map(|(content, id)| {
            Some((id.as_u64()?, AddedToken::from(content.clone(), is_special(content))))
        });
        let (listed, mut others) = (by_id(listed), by_id(late));
        others.extend(special);
        let named = named.into_iter().map(|(name, token)| (name, token.content)).collect();
        Ok(Self { named, listed, others })
    }

    /// Adds what tokenizer.json has not, or has otherwise than the list says.
    pub(super) fn add_to(&self, tokenizer: &mut Tokenizer) -> Result<()> {
        let mut known: BTreeSet<String> =
            tokenizer.get_added_tokens_decoder().into_values().map(|it| it.content).collect();
        known.extend(self.listed.iter().map(|token| token.content.clone()));
        let others = self.others.iter().filter(|token| known.insert(token.content.clone()));
        let tokens: Vec<AddedToken> = self.listed.iter().chain(others).cloned().collect();
        tokenizer.add_tokens(tokens).map_err(|error| anyhow!("{error}"))?;
        Ok(())
    }
}

/// Where spaces go in a `LlamaTokenizer` that is not byte-level: transformers 5 asks `legacy` and
/// `add_prefix_space`, whatever tokenizer.json says. Before the first piece of a text alone unless
/// `legacy` is true; before each then.
pub(super) fn set_spaces_of_llama(
    tokenizer: &mut Tokenizer,
    config: &Map<String, Value>,
    model: &Map<String, Value>,
) -> Result<()> {
    let text = |map: &'_ Map<String, Value>, key: &str| map.get(key)?.as_str().map(str::to_owned);
    let class = text(config, "tokenizer_class").or_else(|| text(model, "tokenizer_class"));
    let is_llama = class.is_some_and(|class| class.trim_end_matches("Fast") == "LlamaTokenizer")
        && text(model, "model_type").is_some_and(|family| family == "llama")
        && matches!(tokenizer.get_model(), ModelWrapper::BPE(_));
    let parts = (tokenizer.get_pre_tokenizer(), tokenizer.get_decoder());
    if !is_llama || serde_json::to_string(&parts)?.contains("ByteLevel") {
        return Ok(());
    }
    let flag = |name: &str| config.get(name).and_then(Value::as_bool);
    let adds_space = flag("add_prefix_space").unwrap_or(true);
    let scheme = match (adds_space, flag("legacy").unwrap_or(false)) {
        (false, _) => PrependScheme::Never,
        (true, true) => PrependScheme::Always,
        (true, false) => PrependScheme::First,
    };
    let failed = |error: tokenizers::Error| anyhow!("{error}");
    tokenizer.with_normalizer(None::<NormalizerWrapper>).map_err(failed)?;
    tokenizer.with_pre_tokenizer(Some(Metaspace::new(SPACE, scheme, false)));
    let mut decoders: Vec<DecoderWrapper> = vec![
        Replace::new(SPACE.to_string(), " ").map_err(failed)?.into(),
        ByteFallback::new().into(),
        Fuse::new().into(),
    ];
    if adds_space {
        decoders.push(Strip::new(' ', 1, 0).into());
    }
    tokenizer.with_decoder(Some(Decoders::new(decoders)));
    Ok(())
}

/// Tokens in the order of their ids.
fn by_id(tokens: impl Iterator<Item = (u64, AddedToken)>) -> Vec<AddedToken> {
    let mut tokens: Vec<_> = tokens.collect();
    tokens.sort_by_key(|(id, _)| *id);
    tokens.into_iter().map(|(_, token)| token).collect()
}

/// `…_token`, and the tokens that `extra_special_tokens` gives names of the model's own.
fn named(names: &Map<String, Value>) -> Vec<(String, AddedToken)> {
    let of_model = names.iter().filter(|(name, _)| !NAMES.contains(&name.as_str()));
    let of_model = of_model.filter(|(name, _)| name.ends_with("_token"));
    let extra = names.get("extra_special_tokens").and_then(Value::as_object);
    let standard = NAMES.iter().filter_map(|name| names.get_key_value(*name));
    standard
        .chain(of_model)
        .chain(extra.into_iter().flatten())
        .filter_map(|(name, value)| Some((name.clone(), token(value, true)?)))
        .collect()
}

/// A string, or an object with its `content` and how it is looked for.
fn token(value: &Value, is_special: bool) -> Option<AddedToken> {
    let flag =
        |name: &str, default: bool| value.get(name).and_then(Value::as_bool).unwrap_or(default);
    let content = value.get("content").unwrap_or(value).as_str()?;
    let special = is_special || flag("special", false);
    Some(AddedToken {
        content: content.to_owned(),
        single_word: flag("single_word", false),
        lstrip: flag("lstrip", false),
        rstrip: flag("rstrip", false),
        normalized: flag("normalized", !special),
        special,
    })
}

/// An absent file is an empty object.
pub(super) fn read_json(file: &Path) -> Result<Map<String, Value>> {
    match model_files::read(file) {
        Ok(bytes) => serde_json::from_slice(&bytes).with_message(|| is_damaged(file)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Map::new()),
        Err(error) => Err(error).with_message(|| cannot_read(file)),
    }
}
