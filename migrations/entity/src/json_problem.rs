//! What is wrong with a row of JSON Lines, for people.
//!
//! serde_json says it in English sentences alone; those that a person meets are known here by their
//! words, and anything else is passed on as it is.

use crate::{message::KeyedMessage, unique_json::TOO_MANY};
use serde_json::{Map, Value};

/// serde_json counts lines and bytes; a row is one line, and people count characters: "… at
/// character 12".
pub fn in_a_row(row: &[u8], error: &serde_json::Error) -> KeyedMessage {
    let text = error.to_string();
    match text.split_once(" at line ") {
        Some((what, _)) => {
            crate::message!(
                "json-at",
                "{what} at character {at}",
                what = known(what),
                at = character(row, error.column())
            )
        }
        None => known(&text),
    }
}

/// Which character of the row its `n`-th byte belongs to, both from 1.
fn character(row: &[u8], n: usize) -> usize {
    let continues = |byte: &u8| byte & 0b1100_0000 == 0b1000_0000;
    row[..n.min(row.len())].iter().filter(|byte| !continues(byte)).count()
}

/// A file that is one JSON text: "… at line 3 column 5".
pub fn in_a_file(error: &serde_json::Error) -> KeyedMessage {
    let text = error.to_string();
    match text.split_once(" at line ") {
        Some((what, _)) => crate::message!(
            "json-at-line",
            "{what} at line {line} column {column}",
            what = known(what),
            line = error.line(),
            column = error.column()
        ),
        None => known(&text),
    }
}

/// A value that is JSON and yet not what was wanted: "missing field `role`".
pub fn in_a_value(error: &serde_json::Error) -> KeyedMessage {
    known(&error.to_string())
}

/// Sentences of serde_json, and of our own readers, that take no argument.
const SENTENCES: [(&str, &str); 20] = [
    ("EOF while parsing a list", "json-ends-in-list"),
    ("EOF while parsing an object", "json-ends-in-object"),
    ("EOF while parsing a string", "json-ends-in-string"),
    ("EOF while parsing a value", "json-ends-in-value"),
    ("expected `:`", "json-no-colon"),
    ("expected `,` or `]`", "json-list-goes-on"),
    ("expected `,` or `}`", "json-object-goes-on"),
    ("expected ident", "json-no-word"),
    ("expected value", "json-no-value"),
    ("invalid escape", "json-bad-escape"),
    ("invalid number", "json-bad-number"),
    ("number out of range", "json-number-too-large"),
    ("invalid unicode code point", "json-not-unicode"),
    ("lone leading surrogate in hex escape", "json-half-a-character"),
    ("unexpected end of hex escape", "json-escape-ends"),
    ("key must be a string", "json-key-no-string"),
    ("recursion limit exceeded", "json-too-deep"),
    ("trailing comma", "json-trailing-comma"),
    ("trailing characters", "json-trailing-characters"),
    (TOO_MANY, "json-too-many-values"),
];

/// Beginnings of sentences that name what was found; the rest is `, expected …`.
const NAMING: [(&str, &str); 4] = [
    ("missing field ", "json-missing-field"),
    ("duplicate field ", "json-duplicate-field"),
    ("unknown field ", "json-unknown-field"),
    ("unknown variant ", "json-unknown-variant"),
];

fn known(text: &str) -> KeyedMessage {
    let keyed = |key: &str| KeyedMessage::keyed(key, text);
    if let Some((_, key)) = SENTENCES.iter().find(|(sentence, _)| *sentence == text) {
        return keyed(key);
    }
    if text.starts_with("control character") {
        return keyed("json-control-character");
    }
    if let Some((found, expected)) =
        text.strip_prefix("invalid type: ").and_then(|rest| rest.split_once(", expected "))
    {
        let (found, expected) = (type_of(found), type_of(expected));
        return keyed("json-wrong-type").with("found", found).with("expected", expected);
    }
    let named = NAMING.iter().find_map(|(start, key)| Some((text.strip_prefix(start)?, key)));
    match named {
        Some((rest, key)) => match rest.split_once(", expected ") {
            Some((name, expected)) => {
                keyed(key).with("name", names(name)).with("expected", names(expected))
            }
            None => keyed(key).with("name", names(rest)),
        },
        None => KeyedMessage::technical(text),
    }
}

/// The names in backticks of a list such as "one of `a`, `b`".
fn names(text: &str) -> String {
    let names = text.split('`').skip(1).step_by(2).map(|name| format!("`{name}`"));
    names.collect::<Vec<_>>().join(", ")
}

/// A type as serde names it: "integer `7`", "a string", "struct ChatMessage".
fn type_of(name: &str) -> KeyedMessage {
    let word = name.trim_start_matches("a ").split(' ').next().unwrap_or_default();
    match word {
        "null" | "unit" => kind(&Value::Null),
        "boolean" => kind(&Value::Bool(true)),
        "integer" | "floating" | "u64" | "i64" | "f64" => kind(&Value::from(0)),
        "string" | "character" => kind(&Value::from("")),
        "sequence" => kind(&Value::Array(Vec::new())),
        "map" | "struct" => kind(&Value::Object(Map::new())),
        _ => KeyedMessage::technical(name),
    }
}

/// A JSON value's type, with its article.
pub fn kind(value: &Value) -> KeyedMessage {
    match value {
        Value::Null => crate::message!("json-null", "null"),
        Value::Bool(_) => crate::message!("json-boolean", "true or false"),
        Value::Number(_) => crate::message!("json-number", "a number"),
        Value::String(_) => crate::message!("json-string", "a string"),
        Value::Array(_) => crate::message!("json-list", "a list"),
        Value::Object(_) => crate::message!("json-object", "an object"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        conversation::ChatMessage,
        message::{MessageArgument, ToArgument},
    };
    use serde_json::json;

    fn said(problem: &KeyedMessage) -> (&str, &str) {
        (problem.key.as_deref().unwrap_or_default(), &problem.text)
    }

    #[test]
    fn a_row_that_is_no_json_is_told_by_the_character() {
        let problem =
            |row: &str| in_a_row(row.as_bytes(), &serde_json::from_str::<Value>(row).unwrap_err());
        for (row, key, text) in [
            ("{\"a\": x}", "json-no-value", "expected value at character 7"),
            ("{\"a\" 1}", "json-no-colon", "expected `:` at character 6"),
            ("{\"a\": 1", "json-ends-in-object", "EOF while parsing an object at character 7"),
            ("{\"a\": 1 2}", "json-object-goes-on", "expected `,` or `}` at character 9"),
            ("[1,", "json-ends-in-value", "EOF while parsing a value at character 3"),
            ("{\"a", "json-ends-in-string", "EOF while parsing a string at character 3"),
            ("{} {}", "json-trailing-characters", "trailing characters at character 4"),
            ("{\"ёж\": x}", "json-no-value", "expected value at character 8"),
            ("{\"a\": ё}", "json-no-value", "expected value at character 7"),
        ] {
            let problem = problem(row);
            assert_eq!(said(&problem), ("json-at", text));
            let MessageArgument::Message(what) = &problem.args["what"] else { panic!("{row}") };
            assert_eq!(what.key.as_deref(), Some(key), "{row}");
        }
    }

    #[test]
    fn a_value_of_another_form_is_told_by_its_fields() {
        let problem = |value: Value| {
            in_a_value(&serde_json::from_value::<Vec<ChatMessage>>(value).unwrap_err())
        };
        let unknown = problem(json!([{"role": "tool", "content": "x"}]));
        assert_eq!(
            said(&unknown),
            (
                "json-unknown-variant",
                "unknown variant `tool`, expected one of `system`, `user`, `assistant`"
            )
        );
        assert_eq!(unknown.args["expected"], "`system`, `user`, `assistant`".to_argument());
        let missing = problem(json!([{"role": "user"}]));
        assert_eq!(said(&missing), ("json-missing-field", "missing field `content`"));
        assert_eq!(missing.args["name"], "`content`".to_argument());
        let wrong = problem(json!(7));
        assert_eq!(
            said(&wrong),
            ("json-wrong-type", "invalid type: integer `7`, expected a sequence")
        );
        assert_eq!(wrong.args["found"], kind(&json!(7)).to_argument());
        assert_eq!(wrong.args["expected"], kind(&json!([])).to_argument());
    }
}
