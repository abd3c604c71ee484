//! Messages as transformers gives them to a template.

use serde_json::{Map, Value as Json};

/// What a message's thoughts may be called (transformers: `_REASONING_FIELDS`). Templates read the first
/// name, those of gpt-oss the second.
const REASONING: [&str; 3] = ["reasoning_content", "thinking", "reasoning"];

/// The message without keys that are null: many templates take such a key for one that says something.
pub(crate) fn without_nulls(message: &Json) -> Json {
    match message {
        Json::Object(fields) => {
            let kept = fields.iter().filter(|(_, value)| !value.is_null());
            Json::Object(kept.map(|(name, value)| (name.clone(), value.clone())).collect())
        }
        other => other.clone(),
    }
}

/// [`without_nulls`], and its thoughts under both names (transformers: `_normalize_chat_messages`,
/// `_alias_reasoning_fields`).
pub(super) fn for_template(message: &Json) -> Json {
    let message = without_nulls(message);
    let Json::Object(fields) = &message else { return message };
    let Some(thoughts) = REASONING.iter().find_map(|name| fields.get(*name)).cloned() else {
        return message;
    };
    let mut named = Map::from_iter([("thinking".to_owned(), thoughts.clone())]);
    named.extend(fields.clone());
    named.insert("reasoning_content".to_owned(), thoughts);
    Json::Object(named)
}
