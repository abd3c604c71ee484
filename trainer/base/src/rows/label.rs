//! A row's `label`: whether its answer is good.

use super::Columns;
use entity::{json_problem::kind, message, message::KeyedMessage};
use serde_json::Value;

/// Whether a row's answer is good, if the row says so.
pub(super) fn of(columns: &Columns) -> Option<bool> {
    columns.get("label")?.as_bool()
}

/// The same of a row that must say so.
pub(super) fn of_answer(columns: &Columns) -> Result<bool, KeyedMessage> {
    of(columns).ok_or_else(|| match columns.get("label") {
        None => message!(
            "columns-label-missing",
            "the row has no `label`; give one: true for a good answer, false for a bad one"
        ),
        Some(found) => message!(
            "columns-no-label",
            "`label` is {found}; expected true for a good answer, or false for a bad one",
            found = kind(found)
        ),
    })
}

/// An error where a demonstration is marked as bad, or in a way that leaves it open: what a label says
/// otherwise is none of ours.
pub(super) fn refuse_bad(columns: &Columns) -> Result<(), KeyedMessage> {
    if of(columns) == Some(false) {
        return Err(message!(
            "columns-bad-label",
            "`label` is false: the answer is marked as bad, and the model would learn to write it; leave such rows out"
        ));
    }
    match unclear(columns) {
        None => Ok(()),
        Some(found) => Err(message!(
            "columns-unclear-label",
            "`label` is {found}: write true for an answer to learn, leave out rows of bad ones, or name the column otherwise",
            found = found
        )),
    }
}

/// An error where a pair is marked, too, and not as good as it is.
pub(super) fn refuse_of_pair(columns: &Columns) -> Result<(), KeyedMessage> {
    let is_pair = ["chosen", "rejected"].iter().all(|name| columns.contains_key(*name));
    let is_bad = (of(columns) == Some(false)).then(|| "false".to_owned());
    match is_bad.or_else(|| unclear(columns)).filter(|_| is_pair) {
        None => Ok(()),
        Some(found) => Err(message!(
            "columns-label-of-pair",
            "`label` is {found} in a row with `chosen` and `rejected`, which say already which answer is good; leave it out, or name the column otherwise",
            found = found
        )),
    }
}

/// A label that is no truth value and may stand for one.
fn unclear(columns: &Columns) -> Option<String> {
    match columns.get("label")? {
        Value::Number(number) => Some(number.to_string())
            .filter(|_| [0.0, 1.0, -1.0].contains(&number.as_f64().unwrap_or(f64::NAN))),
        Value::String(text) => Some(format!("\"{text}\""))
            .filter(|_| ["0", "1", "false", "true"].contains(&&*text.trim().to_lowercase())),
        _ => None,
    }
}
