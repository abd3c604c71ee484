//! The pad token of an exported reward model.
//!
//! This trainer pads nothing. transformers does, and reads a score at the last token that is not the
//! pad token: where that is EOS too, it would read a plain answer one token too early. So a reward
//! model is exported with a token as its pad that ends no sequence, in config and tokenizer alike.

use super::{Transformer, folder};
use anyhow::Result;
use serde_json::{Map, Value, json};
use std::{fs, path::Path};
use trainer_base::{
    adapters::folder_with,
    errors::{WithMessage, cannot_read, is_damaged},
    tokenizer::Tokenizer,
};

/// [`folder::save`] with a pad token that does not end answers. Where the vocabulary has none the
/// model names none either: then transformers scores one sequence at a time, at its last token.
pub(crate) fn save_with_padding(model: &Transformer, out: &Path) -> Result<()> {
    let source = folder_with(&model.folder, "tokenizer.json")?;
    let read = |name: &str| read_object(&source.join(name));
    let (tokenizer, names) = (read("tokenizer.json")?, read("tokenizer_config.json")?);
    let pad = pad_token(&tokenizer, &names, &endings(&source));
    let id = pad.as_ref().map(|(id, _)| *id);
    folder::save(model, out, &Map::from_iter([("pad_token_id".to_owned(), json!(id))]))?;
    let Some((_, token)) = pad else { return Ok(()) };
    for name in ["tokenizer_config.json", "special_tokens_map.json"] {
        let path = out.join(name);
        if !path.is_file() {
            continue;
        }
        let mut names = read_object(&path)?;
        names.insert("pad_token".into(), json!(token));
        folder::replace(&path, serde_json::to_string_pretty(&names)? + "\n")?;
    }
    Ok(())
}

/// The ids that a whole sequence may end with: EOS, and what the chat template writes last.
fn endings(folder: &Path) -> Vec<i64> {
    let Ok(tokenizer) = Tokenizer::load(folder) else { return Vec::new() };
    let turns =
        [json!({"role": "user", "content": "A"}), json!({"role": "assistant", "content": "B"})];
    let rendered = tokenizer.render(&turns, false).and_then(|text| tokenizer.encode(&text, false));
    let last = rendered.ok().and_then(|ids| ids.last().copied());
    tokenizer.eos_ids().iter().copied().chain(last).collect()
}

/// Id and text of the pad token; else of the unknown token; else of the first special one: whichever
/// ends no sequence and is not BOS. Where every special token does, BOS, or the last ordinary one of
/// those that begin with a mark of their tokenizer and so stand in no text as they are written.
fn pad_token(
    tokenizer: &Map<String, Value>,
    names: &Map<String, Value>,
    endings: &[i64],
) -> Option<(i64, String)> {
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
        .filter(|(id, text)| named("eos_token") != Some(text) && !endings.contains(id))
        .collect();
    let of_name = |name: Option<&str>| special.iter().find(|(_, text)| Some(*text) == name);
    let bos = named("bos_token");
    of_name(named("pad_token").filter(|pad| Some(*pad) != bos))
        .or_else(|| of_name(named("unk_token").filter(|unknown| Some(*unknown) != bos)))
        .or_else(|| special.iter().find(|(_, text)| Some(*text) != bos))
        .or_else(|| of_name(bos))
        .copied()
        .or_else(|| marked_token(tokenizer.get("model")?.get("vocab")?, endings))
        .map(|(id, text)| (id, text.to_owned()))
}

/// The ordinary token with the highest id that begins with a mark for a space: byte-level tokenizers
/// write `Ġ`, those of SentencePiece `▁`.
fn marked_token<'a>(vocab: &'a Value, endings: &[i64]) -> Option<(i64, &'a str)> {
    let tokens: Vec<(i64, &str)> = match vocab {
        Value::Object(ids) => {
            ids.iter().filter_map(|(text, id)| Some((id.as_i64()?, text.as_str()))).collect()
        }
        Value::Array(pieces) => {
            let text = |piece: &'a Value| piece.get(0).and_then(Value::as_str);
            (0..).zip(pieces).filter_map(|(id, piece)| Some((id, text(piece)?))).collect()
        }
        _ => Vec::new(),
    };
    let is_marked = |text: &str| text.chars().count() > 1 && text.starts_with(['Ġ', '▁']);
    tokens.into_iter().filter(|(id, text)| is_marked(text) && !endings.contains(id)).max()
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
    use crate::fixtures::fixture_path;
    use std::os::unix::fs::PermissionsExt;
    use tch::{Device, Kind};

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
        pad_token(tokenizer.as_object()?, names.as_object()?, &[])
    }

    #[test]
    fn a_pad_token_of_its_own_is_kept_and_one_that_is_eos_replaced() {
        assert_eq!(pad(Some("<pad>"), Some("<unk>")), Some((3, "<pad>".into())));
        assert_eq!(pad(Some("</s>"), Some("<unk>")), Some((0, "<unk>".into())));
        assert_eq!(pad(None, None), Some((0, "<unk>".into())));
    }

    #[test]
    fn where_every_special_token_ends_texts_it_is_one_that_begins_them_or_an_ordinary_one() {
        let eos = json!({"id": 0, "content": "</s>", "special": true});
        let bos = json!({"id": 1, "content": "<s>", "special": true});
        let names = json!({"eos_token": "</s>", "bos_token": "<s>", "pad_token": "</s>"});
        let both = json!({"added_tokens": [eos, bos]});
        assert_eq!(pad_token_of(&both, &names), Some((1, "<s>".into())));
        let gpt2 = |vocab: Value| json!({"added_tokens": [eos], "model": {"vocab": vocab}});
        let bytes = gpt2(json!({"a": 9, "Ġ": 8, "Ġsea": 7, "Ġthe": 5}));
        assert_eq!(pad_token_of(&bytes, &names), Some((7, "Ġsea".into())));
        let pieces = gpt2(json!([["</s>", 0.0], ["▁the", -1.0], ["x", -2.0]]));
        assert_eq!(pad_token_of(&pieces, &names), Some((1, "▁the".into())));
        assert_eq!(pad_token_of(&gpt2(json!({"a": 1})), &names), None);
    }

    /// tiny_llama with another tokenizer, exported; then what transformers makes of a sequence:
    /// the rightmost token that is not the pad token (`…ForSequenceClassification.forward`).
    fn read_at(change: impl Fn(&mut Value, &mut Value), text: &str, special: bool) -> (i64, i64) {
        let tiny = fixture_path("tiny_llama");
        let (base, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for file in fs::read_dir(&tiny).unwrap().flatten() {
            fs::copy(file.path(), base.path().join(file.file_name())).unwrap();
        }
        let object = |name: &str| json!(read_object(&base.path().join(name)).unwrap());
        let (mut tokenizer, mut names) =
            (object("tokenizer.json"), object("tokenizer_config.json"));
        change(&mut tokenizer, &mut names);
        for (name, content) in [("tokenizer.json", tokenizer), ("tokenizer_config.json", names)] {
            fs::write(base.path().join(name), content.to_string()).unwrap();
            let read_only = fs::Permissions::from_mode(0o444);
            fs::set_permissions(base.path().join(name), read_only).unwrap();
        }
        let model = Transformer::load(base.path(), Kind::Float, Device::Cpu).unwrap();
        save_with_padding(&model.into_reward_model(1).unwrap(), out.path()).unwrap();

        let exported = read_object(&out.path().join("config.json")).unwrap();
        let names = read_object(&out.path().join("tokenizer_config.json")).unwrap();
        let tokenizer = Tokenizer::load(out.path()).unwrap();
        let pad = exported["pad_token_id"].as_i64().expect("a pad token");
        let named = names["pad_token"].as_str().expect("its name");
        assert_eq!(Some(pad), tokenizer.pad_id(), "config and tokenizer agree on {named}");
        let ids = tokenizer.encode(text, special).unwrap();
        let rightmost = ids.iter().rposition(|id| *id != pad).expect("a token");
        (rightmost as i64, ids.len() as i64 - 1)
    }

    #[test]
    fn transformers_reads_an_exported_model_at_the_last_token_whatever_is_special() {
        let only_eos = |tokenizer: &mut Value, names: &mut Value| {
            let added = tokenizer["added_tokens"].as_array_mut().unwrap();
            added.retain(|token| token["content"] == names["eos_token"]);
            names["pad_token"] = names["eos_token"].clone();
            for other in ["bos_token", "unk_token"] {
                names[other] = Value::Null;
            }
        };
        let (read, last) = read_at(only_eos, "The sea<|im_end|>", true);
        assert_eq!(read, last);
        // A chat template that ends turns with another special token than EOS.
        let other_turns = |_: &mut Value, names: &mut Value| {
            names["eos_token"] = json!("<|endoftext|>");
            names["chat_template"] =
                json!("{% for m in messages %}{{ m.content }}<|im_end|>{% endfor %}");
        };
        let (read, last) = read_at(other_turns, "AB<|im_end|>", false);
        assert_eq!(read, last);
    }
}
