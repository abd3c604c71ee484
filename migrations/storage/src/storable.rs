//! What a database is given of a text. Byte 0, which PostgreSQL takes in no text and no JSON, and a
//! model may well say, is kept as U+FFFD in both databases alike. What people type is cleaned of
//! more, and compared in one form of Unicode.

use serde_json::Value;
use std::borrow::Cow;
use unicode_normalization::{UnicodeNormalization, is_nfc};

/// A character that nothing shows and that no text needs: any control but those that are blanks.
fn is_unreadable(letter: char) -> bool {
    letter.is_control() && !letter.is_whitespace()
}

/// What a person typed, with U+FFFD for every character that nothing shows. Blanks, ends of lines
/// and marks of direction stay.
pub fn readable(text: &str) -> Cow<'_, str> {
    if text.contains(is_unreadable) {
        Cow::Owned(text.replace(is_unreadable, "\u{FFFD}"))
    } else {
        Cow::Borrowed(text)
    }
}

/// The text in Unicode's composed form (NFC): "й" as one character, whether it was typed as one or
/// as a letter with a mark. For what is compared: logins, names, passwords.
pub fn composed(text: &str) -> Cow<'_, str> {
    if is_nfc(text) { Cow::Borrowed(text) } else { Cow::Owned(text.nfc().collect()) }
}

/// The forms in which a text may have been stored before it was composed: composed, decomposed.
pub fn stored_forms(text: &str) -> [String; 2] {
    [composed(text).into_owned(), text.nfd().collect()]
}

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
    fn what_nothing_shows_is_made_visible_and_what_people_write_stays() {
        assert_eq!(readable("a\0b\u{1b}c\u{7f}\u{9b}"), "a\u{FFFD}b\u{FFFD}c\u{FFFD}\u{FFFD}");
        let written = "two\r\n\tlines\u{b}\u{c}\u{85} \u{200f}אב \u{1F600}";
        assert_eq!(readable(written), written);
    }

    #[test]
    fn the_same_letters_are_the_same_text() {
        assert_eq!(composed("и\u{306}"), "й");
        assert_eq!(stored_forms("é"), ["é".to_owned(), "e\u{301}".to_owned()]);
    }

    #[test]
    fn byte_0_is_replaced_wherever_it_stands() {
        let said = json!({"a\0": ["b\0c", 1, {"d": "\0"}], "e": "f"});
        let kept = json!({"a\u{FFFD}": ["b\u{FFFD}c", 1, {"d": "\u{FFFD}"}], "e": "f"});
        assert_eq!(storable_json(said), kept);
    }
}
