//! The pad token of an exported reward model.
//!
//! This trainer pads nothing. transformers does, and reads a score at the last token that is not the
//! pad token: where that is EOS too, it would read a plain answer one token too early. So a reward
//! model is exported with another special token as its pad, in config and tokenizer alike.

use super::{Transformer, folder};
use anyhow::Result;
use serde_json::{Map, Value, json};
use std::{fs, path::Path};
use trainer_base::errors::{WithMessage, cannot_read, cannot_write, is_damaged};

/// [`folder::save`] with a pad token that does not end answers, where the vocabulary has one.
pub(crate) fn save_with_padding(model: &Transformer, out: &Path) -> Result<()> {
    let read = |name: &str| read_object(&model.folder.join(name));
    let (tokenizer, names) = (read("tokenizer.json")?, read("tokenizer_config.json")?);
    let pad = pad_token(&tokenizer, &names);
    let changes = match (&pad, model.config.raw.get("pad_token_id"), eos_id(&model.config.raw)) {
        (Some((id, _)), ..) => json!({"pad_token_id": id}),
        (None, None | Some(Value::Null), Some(eos)) => json!({"pad_token_id": eos}),
        _ => json!({}),
    };
    folder::save(model, out, changes.as_object().expect("an object"))?;
    let Some((_, token)) = pad else { return Ok(()) };
    for name in ["tokenizer_config.json", "special_tokens_map.json"] {
        let path = out.join(name);
        if !path.is_file() {
            continue;
        }
        let mut names = read_object(&path)?;
        names.insert("pad_token".into(), json!(token));
        fs::write(&path, serde_json::to_string_pretty(&names)? + "\n")
            .with_message(|| cannot_write(&path))?;
    }
    Ok(())
}

/// Id and text of the pad token; else of the unknown token; else of the first special one: whichever
/// is not EOS or BOS.
fn pad_token(tokenizer: &Map<String, Value>, names: &Map<String, Value>) -> Option<(i64, String)> {
    let named = |key: &str| {
        let value = names.get(key)?;
        value.get("content").unwrap_or(value).as_str()
    };
    let special: Vec<(i64, &str)> = tokenizer
        .get("added_tokens")?
        .as_array()?
        .iter()
        .filter(|token| token["special"] == json!(true))
        .filter_map(|token| Some((token["id"].as_i64()?, token["content"].as_str()?)))
        .filter(|(_, text)| named("eos_token") != Some(text) && named("bos_token") != Some(text))
        .collect();
    let of_name = |name: Option<&str>| special.iter().find(|(_, text)| Some(*text) == name);
    of_name(named("pad_token"))
        .or_else(|| of_name(named("unk_token")))
        .or_else(|| special.first())
        .map(|(id, text)| (*id, (*text).to_owned()))
}

fn eos_id(config: &Map<String, Value>) -> Option<i64> {
    let value = config.get("eos_token_id")?;
    value.get(0).unwrap_or(value).as_i64()
}

fn read_object(path: &Path) -> Result<Map<String, Value>> {
    match fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes).with_message(|| is_damaged(path)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Map::new()),
        Err(error) => Err(error).with_message(|| cannot_read(path)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pad(pad_token: Option<&str>, unk_token: Option<&str>) -> Option<(i64, String)> {
        let token = |id, content| json!({"id": id, "content": content, "special": true});
        let tokenizer = json!({"added_tokens": [
            token(0, "<unk>"), token(1, "<s>"), token(2, "</s>"), token(3, "<pad>")
        ]});
        let names = json!({
            "bos_token": "<s>", "eos_token": {"content": "</s>"},
            "pad_token": pad_token, "unk_token": unk_token
        });
        pad_token_of(&tokenizer, &names)
    }

    fn pad_token_of(tokenizer: &Value, names: &Value) -> Option<(i64, String)> {
        pad_token(tokenizer.as_object()?, names.as_object()?)
    }

    #[test]
    fn a_pad_token_of_its_own_is_kept_and_one_that_is_eos_replaced() {
        assert_eq!(pad(Some("<pad>"), Some("<unk>")), Some((3, "<pad>".into())));
        assert_eq!(pad(Some("</s>"), Some("<unk>")), Some((0, "<unk>".into())));
        assert_eq!(pad(None, None), Some((0, "<unk>".into())));
    }

    #[test]
    fn where_every_special_token_ends_or_begins_texts_there_is_none() {
        let tokenizer = json!({"added_tokens": [{"id": 0, "content": "</s>", "special": true}]});
        assert_eq!(pad_token_of(&tokenizer, &json!({"eos_token": "</s>"})), None);
    }
}
