//! The tokenizer of a Hugging Face folder: text to ids and back, its end-of-sequence tokens and
//! its chat template.

use crate::{
    chat_template::NamedTemplates,
    errors::{WithMessage, cannot_read, is_damaged, message_of, without_panic},
    model_files,
};
use anyhow::{Result, anyhow, bail};
use entity::{message, message::KeyedMessage};
use serde_json::{Map, Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    io::ErrorKind,
    path::Path,
};

/// A tokenizer with what its folder says about special tokens.
#[derive(Debug)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    templates: Option<NamedTemplates>,
    eos_token: Option<String>,
    eos_ids: Vec<i64>,
    pad_id: Option<i64>,
    template_tail: Vec<i64>,
    /// Rows of the model's embedding, where its config.json says it.
    n_embeddings: Option<i64>,
}

impl Tokenizer {
    /// Reads `tokenizer.json` and, where they exist, `tokenizer_config.json`,
    /// `special_tokens_map.json`, `generation_config.json`, `config.json` and `chat_template.jinja`.
    pub fn load(folder: &Path) -> Result<Self> {
        let file = folder.join("tokenizer.json");
        let unreadable = |why: KeyedMessage| {
            message!(
                "tokenizer-unreadable",
                "{path}: {why}; a model folder needs the tokenizer of its model",
                path = file.display(),
                why = why
            )
        };
        let bytes = model_files::read(&file).map_err(|error| unreadable((&error).into()))?;
        let read = || tokenizers::Tokenizer::from_bytes(&bytes).map_err(|error| anyhow!("{error}"));
        let mut inner = without_panic(read).map_err(|error| unreadable(message_of(&error)))?;
        // transformers switches off what a file may say about padding and cutting.
        inner.with_padding(None);
        inner.with_truncation(None).map_err(|error| {
            let why = KeyedMessage::technical(error.to_string());
            message!("at-path", "{path}: {why}", path = file.display(), why = why)
        })?;

        let config = read_json(&folder.join("tokenizer_config.json"))?;
        let mut special_tokens =
            special_tokens(&read_json(&folder.join("special_tokens_map.json"))?);
        special_tokens.extend(self::special_tokens(&config));

        let id_of = |name: &str| {
            let id = inner.token_to_id(special_tokens.get(name)?)?;
            Some(i64::from(id))
        };
        let generation = read_json(&folder.join("generation_config.json"))?;
        let model = read_json(&folder.join("config.json"))?;
        let eos_ids = eos_ids(id_of("eos_token"), &generation, &model);
        let pad_id = id_of("pad_token").or_else(|| model.get("pad_token_id")?.as_i64());
        let eos_token = match special_tokens.get("eos_token") {
            Some(token) => Some(token.clone()),
            None => eos_ids.first().and_then(|&id| inner.id_to_token(u32::try_from(id).ok()?)),
        };
        let templates = NamedTemplates::read(folder, &config, &special_tokens)?;
        let n_embeddings = model.get("vocab_size").and_then(Value::as_i64);
        let template_tail = Vec::new();
        let mut tokenizer =
            Self { inner, templates, eos_token, eos_ids, pad_id, template_tail, n_embeddings };
        tokenizer.template_tail = tokenizer.find_template_tail();
        Ok(tokenizer)
    }

    /// The ids of `text`. Plain text takes the special tokens that the tokenizer adds by itself
    /// (a BOS, say); rendered conversations do not, as they already have them.
    pub fn encode(&self, text: &str, add_special_tokens: bool) -> Result<Vec<i64>> {
        let encoding = without_panic(|| {
            self.inner.encode_fast(text, add_special_tokens).map_err(|error| anyhow!("{error}"))
        })?;
        let ids: Vec<i64> = encoding.get_ids().iter().copied().map(i64::from).collect();
        self.check_embedded(&ids)?;
        Ok(ids)
    }

    /// An error that names the token where the model's embedding ends before one of `ids`: tokens
    /// were added to the tokenizer, and no rows to the model.
    pub fn check_embedded(&self, ids: &[i64]) -> Result<(), KeyedMessage> {
        let Some(n) = self.n_embeddings else { return Ok(()) };
        let Some(id) = ids.iter().copied().find(|id| *id >= n) else { return Ok(()) };
        let token = u32::try_from(id).ok().and_then(|id| self.inner.id_to_token(id));
        Err(message!(
            "tokenizer-beyond-embedding",
            "the token {token} has the id {id}, and the model's embedding has {n} rows (vocab_size in config.json): resize the model's embedding, as transformers' resize_token_embeddings does, or leave the token out",
            token = format!("{:?}", token.unwrap_or_default()),
            id = id,
            n = n
        ))
    }

    /// [`Self::encode`] for many texts, on all processors; whoever asks has to
    /// [check](Self::check_embedded) the ids.
    pub fn encode_batch(
        &self,
        texts: Vec<String>,
        add_special_tokens: bool,
    ) -> Result<Vec<Vec<i64>>> {
        let encodings = without_panic(|| {
            let encoded = self.inner.encode_batch_fast(texts, add_special_tokens);
            encoded.map_err(|error| anyhow!("{error}"))
        })?;
        let ids = |encoding: &tokenizers::Encoding| {
            encoding.get_ids().iter().copied().map(i64::from).collect()
        };
        Ok(encodings.iter().map(ids).collect())
    }

    /// The text of `ids`, special tokens included.
    pub fn decode(&self, ids: &[i64]) -> String {
        self.decode_ids(ids, false)
    }

    /// What a person reads of an answer: no EOS, no special tokens.
    pub fn completion_text(&self, ids: &[i64]) -> String {
        let kept: Vec<i64> = ids.iter().copied().filter(|&id| !self.is_eos(id)).collect();
        self.decode_ids(&kept, true)
    }

    /// What a person reads of a prompt: its words, without the template's special tokens.
    pub fn prompt_text(&self, ids: &[i64]) -> String {
        self.completion_text(ids).trim().to_owned()
    }

    fn decode_ids(&self, ids: &[i64], skip_special_tokens: bool) -> String {
        let ids: Vec<u32> = ids.iter().filter_map(|&id| u32::try_from(id).ok()).collect();
        let decode =
            || self.inner.decode(&ids, skip_special_tokens).map_err(|error| anyhow!("{error}"));
        without_panic(decode).unwrap_or_default()
    }

    /// The conversation as text, by the folder's chat template.
    pub fn render(&self, messages: &[Value], add_generation_prompt: bool) -> Result<String> {
        self.render_with(messages, add_generation_prompt, &Map::new())
    }

    /// [`Self::render`] with variables of the template's own, such as `tools`.
    pub fn render_with(
        &self,
        messages: &[Value],
        add_generation_prompt: bool,
        variables: &Map<String, Value>,
    ) -> Result<String> {
        match &self.templates {
            Some(templates) => templates.render(messages, add_generation_prompt, variables),
            None => bail!(message!(
                "data-no-template",
                "the data are lists of messages, but the model has no chat template: add a chat_template.jinja to its folder, or give prompts and answers as plain strings"
            )),
        }
    }

    pub fn has_chat_template(&self) -> bool {
        self.templates.is_some()
    }

    /// The token that ends a plain answer, as text.
    pub fn eos_token(&self) -> Option<&str> {
        self.eos_token.as_deref()
    }

    /// Every id that ends an answer, the tokenizer's own first.
    pub fn eos_ids(&self) -> &[i64] {
        &self.eos_ids
    }

    pub fn is_eos(&self, id: i64) -> bool {
        self.eos_ids.contains(&id)
    }

    pub fn pad_id(&self) -> Option<i64> {
        self.pad_id
    }

    /// What the chat template writes after the EOS of an answer (SmolLM2: a line break), which a
    /// reward model read in training and therefore has to read when it scores. Empty where there
    /// is no template, or none that ends an answer with EOS.
    pub fn template_tail(&self) -> &[i64] {
        &self.template_tail
    }

    fn find_template_tail(&self) -> Vec<i64> {
        let turns =
            [json!({"role": "user", "content": "A"}), json!({"role": "assistant", "content": "B"})];
        // A template that refuses even these two turns will say so about the data.
        let Ok(ids) = self.render(&turns, false).and_then(|text| self.encode(&text, false)) else {
            return Vec::new();
        };
        match ids.iter().rposition(|&id| self.is_eos(id)) {
            Some(eos) => ids[eos + 1..].to_vec(),
            None => Vec::new(),
        }
    }
}

/// An absent file is an empty object.
fn read_json(file: &Path) -> Result<Map<String, Value>> {
    match model_files::read(file) {
        Ok(bytes) => serde_json::from_slice(&bytes).with_message(|| is_damaged(file)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Map::new()),
        Err(error) => Err(error).with_message(|| cannot_read(file)),
    }
}

/// `bos_token`, `eos_token`, …: a string, or an object with its `content`.
fn special_tokens(config: &Map<String, Value>) -> BTreeMap<String, String> {
    let content = |value: &Value| Some(value.get("content").unwrap_or(value).as_str()?.to_owned());
    config
        .iter()
        .filter(|(name, _)| name.ends_with("_token"))
        .filter_map(|(name, value)| Some((name.clone(), content(value)?)))
        .collect()
}

/// The tokenizer's own EOS, then those that generation stops at; the model's where neither says.
fn eos_ids(
    own: Option<i64>,
    generation: &Map<String, Value>,
    model: &Map<String, Value>,
) -> Vec<i64> {
    let listed = |config: &Map<String, Value>| -> Vec<i64> {
        match config.get("eos_token_id") {
            Some(Value::Array(ids)) => ids.iter().filter_map(Value::as_i64).collect(),
            Some(id) => id.as_i64().into_iter().collect(),
            None => Vec::new(),
        }
    };
    let mut seen = BTreeSet::new();
    let mut ids: Vec<i64> = own.into_iter().chain(listed(generation)).collect();
    if ids.is_empty() {
        ids = listed(model);
    }
    ids.retain(|&id| seen.insert(id));
    ids
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{fixture, fixture_path};
    use std::fs;

    #[test]
    fn qwens_special_tokens_are_taken_from_where_its_folders_have_them() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        let file = "tokenizer.json";
        fs::copy(fixture_path("tiny_llama").join(file), folder.path().join(file)).unwrap();
        let template = fixture("chat_templates.json")["qwen3"]["template"].take();
        let config = json!({
            "add_bos_token": false, "bos_token": null, "eos_token": "<|im_end|>",
            "pad_token": "<|endoftext|>", "unk_token": null, "chat_template": template
        });
        write("tokenizer_config.json", &config.to_string());
        write("generation_config.json", r#"{"eos_token_id": [2, 0], "pad_token_id": 0}"#);
        write("config.json", r#"{"bos_token_id": 0, "eos_token_id": 2}"#);

        let tokenizer = Tokenizer::load(folder.path()).unwrap();
        assert_eq!((tokenizer.eos_ids(), tokenizer.pad_id()), ([2, 0].as_slice(), Some(0)));
        assert_eq!(tokenizer.eos_token(), Some("<|im_end|>"));
        let text = tokenizer.encode("The sea", true).unwrap();
        assert_eq!(tokenizer.decode(&text), "The sea", "no token begins a text");
        assert_eq!(tokenizer.decode(tokenizer.template_tail()), "\n");
        let turns = [json!({"role": "user", "content": "Hi"})];
        assert_eq!(
            tokenizer.render(&turns, true).unwrap(),
            "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
        );
    }

    #[test]
    fn a_template_is_taken_by_its_name_from_where_transformers_takes_it() {
        let named = &fixture("jinja.json")["named"];
        let asked = named["asked"].as_array().unwrap();
        for golden in named["folders"].as_array().unwrap() {
            let folder = tempfile::tempdir().unwrap();
            let file = "tokenizer.json";
            fs::copy(fixture_path("tiny_llama").join(file), folder.path().join(file)).unwrap();
            let config = json!({"eos_token": "<|im_end|>", "chat_template": golden["config"]});
            fs::write(folder.path().join("tokenizer_config.json"), config.to_string()).unwrap();
            for (name, source) in golden["files"].as_object().unwrap() {
                let file = folder.path().join(name);
                fs::create_dir_all(file.parent().unwrap()).unwrap();
                fs::write(file, source.as_str().unwrap()).unwrap();
            }
            let tokenizer = Tokenizer::load(folder.path()).unwrap();
            for (variables, text) in asked.iter().zip(golden["texts"].as_array().unwrap()) {
                let messages = [json!({"role": "user", "content": "Hi"})];
                let rendered =
                    tokenizer.render_with(&messages, false, variables.as_object().unwrap());
                match (text.as_str(), rendered) {
                    (Some(text), rendered) => {
                        assert_eq!(rendered.unwrap(), text, "{golden}, {variables}");
                    }
                    (None, rendered) => {
                        let error = rendered.unwrap_err().to_string();
                        assert!(error.contains("no chat template named"), "{error}");
                    }
                }
            }
        }
    }
}
