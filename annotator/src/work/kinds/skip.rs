//! Passing a task over, which every kind allows: never without a reason.

use crate::{
    data::texts::HashedText,
    web::{form::FieldErrors, page::Page, typed::MAX_NOTE},
    work::{
        form::{TaskForm, TaskSubmission},
        kinds::{FullAnswer, StoredAnswer},
    },
};
use entity::{
    judgement::{JudgementPayload, SkipReason},
    task::TaskKind,
};

/// The reasons: value in the form, Fluent key.
pub const SKIP_REASONS: [(&str, &str, SkipReason); 6] = [
    ("unclear", "skip-unclear", SkipReason::Unclear),
    ("not_my_subject", "skip-not-my-subject", SkipReason::NotMySubject),
    ("language", "skip-language", SkipReason::Language),
    ("harmful", "skip-harmful", SkipReason::Harmful),
    ("broken", "skip-broken", SkipReason::Broken),
    ("other", "skip-other", SkipReason::Other),
];

fn reason(value: &str) -> Option<SkipReason> {
    SKIP_REASONS.iter().find(|(name, ..)| *name == value).map(|(.., reason)| *reason)
}

fn reason_key(reason: SkipReason) -> &'static str {
    SKIP_REASONS.iter().find(|(.., known)| *known == reason).map_or("skip-other", |(_, key, _)| key)
}

/// The skip that a form holds, or what is wrong with it.
pub fn parse(form: &TaskForm) -> Result<TaskSubmission, FieldErrors> {
    let reason = reason(form.get("reason"));
    let reason = reason.ok_or_else(|| FieldErrors::one("reason", "skip-no-reason"))?;
    let note = form.bounded("note", MAX_NOTE)?.map(HashedText::new);
    let payload = JudgementPayload::Skip { reason, note_hash: note.as_ref().map(HashedText::hash) };
    Ok(TaskSubmission::new(form, payload, note))
}

/// A task that somebody passed over.
pub struct SkippedTask<'a> {
    pub reason: SkipReason,
    pub note_hash: &'a Option<String>,
}

impl StoredAnswer for SkippedTask<'_> {
    fn kind(&self) -> Option<TaskKind> {
        None
    }

    fn name(&self) -> &'static str {
        "judgement-skip"
    }

    fn text_hash(&self) -> Option<&str> {
        self.note_hash.as_deref()
    }

    fn gist(&self, page: &Page, _: Option<&str>) -> String {
        let reason = page.text(reason_key(self.reason)).to_string();
        page.text("judgement-skipped").arg("reason", reason).to_string()
    }

    fn in_full(&self, page: &Page, text: Option<String>) -> FullAnswer {
        FullAnswer {
            verdict: Some(format!("{}:", page.text("judgement-skip"))),
            detail: Some(page.text(reason_key(self.reason)).to_string()),
            note: text,
            ..FullAnswer::default()
        }
    }

    /// Whoever skipped begins anew.
    fn fill(&self, _: &mut TaskForm, _: Option<String>) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_a_value_in_the_form() {
        for (value, _, known) in SKIP_REASONS {
            assert_eq!(reason(value), Some(known));
        }
        assert_eq!(reason("because"), None);
    }
}
