//! What a task's page sends, and the answer that is made of it.

use crate::{
    data::texts::{self, HashedText},
    web::{form::FieldErrors, typed::MAX_KEY},
};
use entity::judgement::JudgementPayload;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Fields that belong to one showing of a page and not to what somebody typed.
const OF_THE_PAGE: [&str; 6] = ["csrf", IDEMPOTENCY_KEY, LEAD_TIME, SEEN_VERSION, WINDOW, N_WRITES];

const IDEMPOTENCY_KEY: &str = "idempotency_key";

const LEAD_TIME: &str = "lead_time_ms";

const SEEN_VERSION: &str = "draft_version";

const WINDOW: &str = "draft_window";

const N_WRITES: &str = "draft_count";

/// What the window that sends a form knows of what is stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WindowState {
    /// The newest version of the assignment that it has seen; none where nobody said it.
    pub seen: Option<i64>,
    /// The name that its script gave itself; empty without a script.
    pub name: String,
    /// How many times it has sent something.
    pub n_writes: i64,
}

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

    /// A text as it was typed, with the line ends of this side of the wire; none when nothing of it would
    /// be seen.
    pub fn text(&self, field: &str) -> Option<String> {
        let text = self.get(field).replace("\r\n", "\n");
        let text = text.trim_end().trim_start_matches('\n');
        (!texts::is_blank(text)).then(|| text.to_owned())
    }

    /// The same of a field that takes so many characters.
    pub fn bounded(&self, field: &'static str, most: usize) -> Result<Option<String>, FieldErrors> {
        let mut errors = FieldErrors::default();
        let text = self.text(field);
        errors.within(field, text.as_deref().unwrap_or_default(), most);
        if errors.is_empty() { Ok(text) } else { Err(errors) }
    }

    /// What is kept of it as a draft: what is filled in, with the line ends of this side of the wire.
    pub fn into_draft(self) -> Self {
        let typed = self.0.into_iter().filter(|(field, _)| !OF_THE_PAGE.contains(&field.as_str()));
        let typed = typed.map(|(field, value)| (field, value.replace("\r\n", "\n")));
        Self(typed.filter(|(_, value)| !value.is_empty()).collect())
    }

    /// What the window that sent it knows.
    pub fn window(&self) -> WindowState {
        let name = self.get(WINDOW);
        let is_name = name.len() <= 64 && name.bytes().all(|byte| byte.is_ascii_alphanumeric());
        WindowState {
            seen: self.get(SEEN_VERSION).parse().ok(),
            name: if is_name { name.to_owned() } else { String::new() },
            n_writes: self.get(N_WRITES).parse().unwrap_or(0),
        }
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
    /// What its window knew, and what stood in its form.
    pub window: WindowState,
    pub typed: TaskForm,
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
            idempotency_key: form.get(IDEMPOTENCY_KEY).chars().take(MAX_KEY).collect(),
            lead_time_ms,
            window: form.window(),
            typed: form.clone().into_draft(),
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
        let with_line_ends = TaskForm::default().with("answer", "A\r\nB").with("note", "");
        assert_eq!(with_line_ends.into_draft(), TaskForm::default().with("answer", "A\nB"));
    }

    #[test]
    fn a_form_says_what_its_window_knew() {
        let form = TaskForm::default().with("draft_version", "7").with("draft_count", "2");
        let named = form.clone().with("draft_window", "a1B2").window();
        assert_eq!((named.seen, named.name.as_str(), named.n_writes), (Some(7), "a1B2", 2));
        assert_eq!(form.with("draft_window", "a\0").window().name, "");
        assert_eq!(TaskForm::default().window(), WindowState::default());
    }
}
