//! What a task's page sends, and the answer that is made of it.

use crate::data::texts::HashedText;
use entity::judgement::JudgementPayload;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Fields that belong to one showing of a page and not to what somebody typed.
const OF_THE_PAGE: [&str; 3] = ["csrf", IDEMPOTENCY_KEY, LEAD_TIME];

const IDEMPOTENCY_KEY: &str = "idempotency_key";

const LEAD_TIME: &str = "lead_time_ms";

/// The fields of a form, as typed. Which there are is the business of the kind of task.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TaskForm(BTreeMap<String, String>);

impl TaskForm {
    /// What a field holds; nothing when it was not sent.
    pub fn get(&self, field: &str) -> &str {
        self.0.get(field).map_or("", String::as_str)
    }

    pub fn set(&mut self, field: &str, value: impl Into<String>) {
        self.0.insert(field.to_owned(), value.into());
    }

    /// The same form with a field filled in.
    #[must_use]
    pub fn with(mut self, field: &str, value: impl Into<String>) -> Self {
        self.set(field, value);
        self
    }

    /// A text as it was typed, with the line ends of this side of the wire; none when it is blank.
    pub fn text(&self, field: &str) -> Option<String> {
        let text = self.get(field).replace("\r\n", "\n");
        let text = text.trim_end().trim_start_matches('\n');
        (!text.is_empty()).then(|| text.to_owned())
    }

    /// What is kept of it as a draft.
    pub fn into_draft(mut self) -> Self {
        self.0.retain(|field, _| !OF_THE_PAGE.contains(&field.as_str()));
        self
    }
}

/// An answer, checked, on its way into the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskSubmission {
    pub payload: JudgementPayload,
    /// The texts that the payload refers to by their hashes.
    pub texts: Vec<HashedText>,
    /// Made by the page: the same key with the same answer is the same judgement.
    pub idempotency_key: String,
    pub lead_time_ms: Option<i64>,
}

impl TaskSubmission {
    pub fn new(
        form: &TaskForm,
        payload: JudgementPayload,
        texts: impl IntoIterator<Item = HashedText>,
    ) -> Self {
        let lead_time_ms =
            form.get(LEAD_TIME).parse().ok().filter(|ms| (1..=86_400_000).contains(ms));
        Self {
            payload,
            texts: texts.into_iter().collect(),
            idempotency_key: form.get(IDEMPOTENCY_KEY).to_owned(),
            lead_time_ms,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_keeps_its_indentation_and_loses_the_browsers_line_ends() {
        let form = TaskForm::default().with("answer", "\r\n    code\r\nmore \r\n");
        assert_eq!(form.text("answer"), Some("    code\nmore".to_owned()));
    }

    #[test]
    fn a_draft_is_what_was_typed() {
        let form = TaskForm::default().with("answer", "A").with("csrf", "token");
        assert_eq!(form.into_draft(), TaskForm::default().with("answer", "A"));
    }
}
