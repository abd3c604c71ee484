//! Byte 0, which PostgreSQL takes in no text and no JSON: a model may well say it. It is kept as
//! U+FFFD, in both databases alike.

use serde_json::Value;

/// The text without byte 0.
pub fn storable(text: impl Into<String>) -> String {
    let text = text.into();
    if text.contains('\0') { text.replace('\0', "\u{FFFD}") } else { text }
}

/// The value with no byte 0 in its texts and keys.
pub fn storable_json(value: Value) -> Value {
    match value {
        Value::String(text) => storable(text).into(),
        Value::Array(values) => values.into_iter().map(storable_json).collect(),
        Value::Object(fields) => {
            let fields =
                fields.into_iter().map(|(key, value)| (storable(key), storable_json(value)));
            Value::Object(fields.collect())
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn byte_0_is_replaced_wherever_it_stands() {
        let said = json!({"a\0": ["b\0c", 1, {"d": "\0"}], "e": "f"});
        let kept = json!({"a\u{FFFD}": ["b\u{FFFD}c", 1, {"d": "\u{FFFD}"}], "e": "f"});
        assert_eq!(storable_json(said), kept);
    }
}
