//! From the fields of a form to an answer that may be stored.

use entity::judgement::{ComparisonVerdict, SkipReason};
use serde::{Deserialize, Serialize};

/// What a page sends: every field of every kind of task, as typed. Also the body of a draft.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TaskForm {
    /// The ideal answer, Markdown.
    pub answer: String,
    /// `1` (left much better) … `7` (right much better), `0` or `4` for a tie, `x` for both bad.
    pub choice: String,
    pub rationale: String,
    /// Why the task is skipped, and a note on it.
    pub reason: String,
    pub note: String,
    #[serde(skip_serializing)]
    pub idempotency_key: String,
    #[serde(skip_serializing)]
    pub lead_time_ms: String,
}

/// What was said, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    Demonstration { text: String },
    Comparison { verdict: ComparisonVerdict, rationale: Option<String> },
    Skip { reason: SkipReason, note: Option<String> },
}

/// An answer on its way into the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submission {
    pub answer: Answer,
    /// Made by the page: the same key with the same answer is the same judgement.
    pub idempotency_key: String,
    pub lead_time_ms: Option<i64>,
}

/// Why a form is not an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Mistake {
    #[error("the answer is empty")]
    EmptyAnswer,
    #[error("nothing is chosen")]
    NoChoice,
    #[error("no reason is given")]
    NoReason,
}

impl Submission {
    /// A demonstration out of a form.
    pub fn demonstration(form: &TaskForm) -> Result<Self, Mistake> {
        let text = typed(&form.answer).ok_or(Mistake::EmptyAnswer)?;
        Ok(Self::new(form, Answer::Demonstration { text }))
    }

    /// A comparison out of a form.
    pub fn comparison(form: &TaskForm) -> Result<Self, Mistake> {
        let verdict = verdict(&form.choice).ok_or(Mistake::NoChoice)?;
        Ok(Self::new(form, Answer::Comparison { verdict, rationale: typed(&form.rationale) }))
    }

    /// A skip out of a form.
    pub fn skip(form: &TaskForm) -> Result<Self, Mistake> {
        let reason = skip_reason(&form.reason).ok_or(Mistake::NoReason)?;
        Ok(Self::new(form, Answer::Skip { reason, note: typed(&form.note) }))
    }

    fn new(form: &TaskForm, answer: Answer) -> Self {
        let lead_time_ms =
            form.lead_time_ms.parse().ok().filter(|ms| (1..=86_400_000).contains(ms));
        Self { answer, idempotency_key: form.idempotency_key.clone(), lead_time_ms }
    }
}

/// A text as it was typed, with the line ends of this side of the wire; none when it is blank.
fn typed(text: &str) -> Option<String> {
    let text = text.replace("\r\n", "\n");
    let text = text.trim_end().trim_start_matches('\n');
    (!text.is_empty()).then(|| text.to_owned())
}

/// The verdict of a choice in the form.
pub fn verdict(choice: &str) -> Option<ComparisonVerdict> {
    Some(match choice {
        "1" => ComparisonVerdict::Left(3),
        "2" => ComparisonVerdict::Left(2),
        "3" => ComparisonVerdict::Left(1),
        "4" | "0" => ComparisonVerdict::Tie,
        "5" => ComparisonVerdict::Right(1),
        "6" => ComparisonVerdict::Right(2),
        "7" => ComparisonVerdict::Right(3),
        "x" | "X" => ComparisonVerdict::BothBad,
        _ => return None,
    })
}

/// The choice in the form that gives this verdict.
pub fn choice(verdict: ComparisonVerdict) -> String {
    match verdict {
        ComparisonVerdict::Left(strength) => (4 - strength.min(3)).to_string(),
        ComparisonVerdict::Right(strength) => (4 + strength.min(3)).to_string(),
        ComparisonVerdict::Tie => "0".to_owned(),
        ComparisonVerdict::BothBad => "x".to_owned(),
    }
}

/// The Fluent key of a verdict, in terms of the sides as they were shown: A was left.
pub fn verdict_key(verdict: ComparisonVerdict) -> &'static str {
    match verdict {
        ComparisonVerdict::Left(3..) => "compare-a-much",
        ComparisonVerdict::Left(2) => "compare-a-better",
        ComparisonVerdict::Left(_) => "compare-a-slightly",
        ComparisonVerdict::Right(3..) => "compare-b-much",
        ComparisonVerdict::Right(2) => "compare-b-better",
        ComparisonVerdict::Right(_) => "compare-b-slightly",
        ComparisonVerdict::Tie => "compare-tie",
        ComparisonVerdict::BothBad => "compare-both-bad",
    }
}

/// The Fluent key of a reason for a skip.
pub fn skip_reason_key(reason: SkipReason) -> &'static str {
    SKIP_REASONS.iter().find(|(.., known)| *known == reason).map_or("skip-other", |(_, key, _)| key)
}

/// The reasons for a skip: value in the form, Fluent key.
pub const SKIP_REASONS: [(&str, &str, SkipReason); 6] = [
    ("unclear", "skip-unclear", SkipReason::Unclear),
    ("not_my_subject", "skip-not-my-subject", SkipReason::NotMySubject),
    ("language", "skip-language", SkipReason::Language),
    ("harmful", "skip-harmful", SkipReason::Harmful),
    ("broken", "skip-broken", SkipReason::Broken),
    ("other", "skip-other", SkipReason::Other),
];

fn skip_reason(value: &str) -> Option<SkipReason> {
    SKIP_REASONS.iter().find(|(name, ..)| *name == value).map(|(.., reason)| *reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_choice_comes_back_as_it_was_made() {
        for made in ["1", "2", "3", "5", "6", "7", "0", "x"] {
            assert_eq!(choice(verdict(made).unwrap()), made);
        }
        assert_eq!(verdict("4"), Some(ComparisonVerdict::Tie));
        assert_eq!(verdict("8"), None);
        assert_eq!(verdict(""), None);
    }

    #[test]
    fn a_blank_answer_is_a_mistake() {
        let form = TaskForm { answer: " \r\n ".into(), ..TaskForm::default() };
        assert_eq!(Submission::demonstration(&form), Err(Mistake::EmptyAnswer));
    }

    #[test]
    fn an_answer_keeps_its_indentation_and_loses_the_browsers_line_ends() {
        assert_eq!(typed("\r\n    code\r\nmore \r\n"), Some("    code\nmore".to_owned()));
    }

    #[test]
    fn every_reason_has_a_value_in_the_form() {
        for (value, _, reason) in SKIP_REASONS {
            assert_eq!(skip_reason(value), Some(reason));
        }
        assert_eq!(skip_reason("because"), None);
    }
}
