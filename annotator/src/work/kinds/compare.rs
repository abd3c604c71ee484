//! Choosing between two answers. The page is blind: sides are A and B, in the order of the
//! assignment's seed, and nothing else about an answer reaches it.

use crate::{
    data::texts::HashedText,
    web::{access::Access, error::AppError, form::FieldErrors, page::Page, typed::MAX_NOTE},
    work::{
        form::{TaskForm, TaskSubmission},
        kinds::{FullAnswer, LeftOut, StoredAnswer, TaskDefinition, TaskPage, TaskWords},
        shown_answers::{self, ShownAnswer},
        task_view::TaskView,
    },
};
use askama::Template;
use entity::{
    dataset_version::DatasetKind,
    judgement::{ComparisonVerdict, JudgementPayload},
    task::TaskKind,
};
use futures_util::future::LocalBoxFuture;

pub struct CompareTask;

#[derive(Template)]
#[template(path = "tasks/compare.html")]
struct ComparePage {
    page: Page,
    access: Access,
    view: TaskView,
    sides: Vec<ShownAnswer>,
}

/// A button of the scale.
struct ScaleChoice {
    /// In the form: `1` (left much better) … `7` (right much better), `0` for a tie.
    value: &'static str,
    keycap: &'static str,
    text_key: &'static str,
}

const SCALE: [ScaleChoice; 7] = [
    ScaleChoice { value: "1", keycap: "1", text_key: "compare-a-much" },
    ScaleChoice { value: "2", keycap: "2", text_key: "compare-a-better" },
    ScaleChoice { value: "3", keycap: "3", text_key: "compare-a-slightly" },
    ScaleChoice { value: "0", keycap: "4", text_key: "compare-tie" },
    ScaleChoice { value: "5", keycap: "5", text_key: "compare-b-slightly" },
    ScaleChoice { value: "6", keycap: "6", text_key: "compare-b-better" },
    ScaleChoice { value: "7", keycap: "7", text_key: "compare-b-much" },
];

impl ComparePage {
    fn scale(&self) -> &'static [ScaleChoice] {
        &SCALE
    }

    /// 4 and 0 both mean a tie.
    fn is_chosen(&self, value: &str) -> bool {
        verdict(value).is_some_and(|each| verdict(self.view.form.get("choice")) == Some(each))
    }
}

/// The verdict of a choice in the form.
fn verdict(choice: &str) -> Option<ComparisonVerdict> {
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
fn choice(verdict: ComparisonVerdict) -> String {
    match verdict {
        ComparisonVerdict::Left(strength) => (4 - strength.min(3)).to_string(),
        ComparisonVerdict::Right(strength) => (4 + strength.min(3)).to_string(),
        ComparisonVerdict::Tie => "0".to_owned(),
        ComparisonVerdict::BothBad => "x".to_owned(),
    }
}

/// The Fluent key of a verdict, in terms of the sides as they were shown: A was left.
fn verdict_key(verdict: ComparisonVerdict) -> &'static str {
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

impl TaskDefinition for CompareTask {
    fn kind(&self) -> TaskKind {
        TaskKind::Compare
    }

    fn path(&self) -> &'static str {
        "/compare"
    }

    fn words(&self) -> &'static TaskWords {
        &TaskWords {
            nav: "nav-compare",
            waiting: "compare-waiting",
            none_left: "none-compare",
            judgement: "judgement-comparison",
            n_answers: "project-n-comparisons",
            n_open: Some("project-n-open-comparisons"),
        }
    }

    fn gives(&self) -> Option<DatasetKind> {
        Some(DatasetKind::Preferences)
    }

    fn comes_of_runs(&self) -> bool {
        true
    }

    fn shows_answers(&self) -> bool {
        true
    }

    fn parse(&self, form: &TaskForm) -> Result<TaskSubmission, FieldErrors> {
        let verdict = verdict(form.get("choice"));
        let verdict = verdict.ok_or_else(|| FieldErrors::one("choice", "compare-no-choice"))?;
        let rationale = form.bounded("rationale", MAX_NOTE)?.map(HashedText::new);
        let rationale_hash = rationale.as_ref().map(HashedText::hash);
        let payload = JudgementPayload::Comparison { verdict, rationale_hash };
        Ok(TaskSubmission::new(form, payload, rationale))
    }

    fn told(&self, page: &Page, form: &TaskForm) -> String {
        let verdict = verdict(form.get("choice")).map(verdict_key);
        let verdict = verdict.map(|key| page.text(key).to_string());
        let parts = verdict.into_iter().chain(form.text("rationale"));
        parts.collect::<Vec<_>>().join("\n\n")
    }

    fn page<'a>(&'a self, shown: TaskPage<'a>) -> LocalBoxFuture<'a, Result<String, AppError>> {
        Box::pin(async move {
            let TaskPage { page, access, view, task, assignment, db } = shown;
            let sides =
                shown_answers::of_task(db, page.language, task.id, assignment.order_seed).await?;
            Ok(ComparePage { page, access, view, sides }.render()?)
        })
    }
}

/// A verdict on two answers.
pub struct ComparedAnswers<'a> {
    pub verdict: ComparisonVerdict,
    pub rationale_hash: &'a Option<String>,
}

impl StoredAnswer for ComparedAnswers<'_> {
    fn kind(&self) -> Option<TaskKind> {
        Some(TaskKind::Compare)
    }

    fn name(&self) -> &'static str {
        CompareTask.words().judgement
    }

    fn text_hash(&self) -> Option<&str> {
        self.rationale_hash.as_deref()
    }

    fn gist(&self, page: &Page, _: Option<&str>) -> String {
        page.text(verdict_key(self.verdict)).to_string()
    }

    fn in_full(&self, page: &Page, text: Option<String>) -> FullAnswer {
        FullAnswer {
            verdict: Some(page.text(verdict_key(self.verdict)).to_string()),
            note: text,
            ..FullAnswer::default()
        }
    }

    fn fill(&self, form: &mut TaskForm, text: Option<String>) {
        form.set("choice", choice(self.verdict));
        form.set("rationale", text.unwrap_or_default());
    }

    /// The chosen answer and the rejected one.
    fn row(&self, shown: &[Option<&str>]) -> Result<Vec<String>, LeftOut> {
        let left_wins = match self.verdict {
            ComparisonVerdict::Tie => return Err(LeftOut::Tie),
            ComparisonVerdict::BothBad => return Err(LeftOut::BothBad),
            ComparisonVerdict::Left(_) => true,
            ComparisonVerdict::Right(_) => false,
        };
        let [Some(left), Some(right), ..] = shown else { return Err(LeftOut::Redacted) };
        let (chosen, rejected) = if left_wins { (left, right) } else { (right, left) };
        Ok(vec![(*chosen).to_owned(), (*rejected).to_owned()])
    }

    /// 1 for much better, 2/3 for better, 1/3 for slightly better: the small margin of Llama 2 (Touvron et al.
    /// 2023, table 27), whose raters had the same words.
    fn margin(&self) -> Option<f64> {
        match self.verdict {
            ComparisonVerdict::Left(strength) | ComparisonVerdict::Right(strength) => {
                Some(f64::from(strength.min(3)) / 3.0)
            }
            ComparisonVerdict::Tie | ComparisonVerdict::BothBad => None,
        }
    }
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
}
