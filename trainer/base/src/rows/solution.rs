//! The solution that a row of prompts may have beside its prompt.

use serde_json::{Map, Value};

/// What an answer to the prompt is to come to: `solution` (TRL: `accuracy_reward`), a text or a number, or GSM8K's
/// `answer`, which has the result behind `####`.
pub(super) fn of(columns: &Map<String, Value>) -> Option<String> {
    let said = match columns.get("solution") {
        None | Some(Value::Null) => columns
            .get("answer")
            .filter(|answer| answer.as_str().is_some_and(|text| text.contains("####"))),
        said => said,
    };
    match said? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}
