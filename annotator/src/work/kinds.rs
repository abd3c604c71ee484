//! The kinds of task, one file each: what is particular to a kind (its words, its page, what its form
//! says, what is stored of it and how that is shown, the row it gives to train on) is in its file.
//! [`definition`] lists the kinds and [`stored_answer`] what is stored of their answers; everything else asks them.

pub mod compare;
pub mod demonstrate;
pub mod skip;

use crate::{
    web::{access::Access, error::AppError, form::FieldErrors, page::Page},
    work::{
        form::{TaskForm, TaskSubmission},
        task_view::TaskView,
    },
};
use entity::{
    assignment, dataset_version::DatasetKind, judgement::JudgementPayload, task, task::TaskKind,
};
use futures_util::future::LocalBoxFuture;
use sea_orm::{DatabaseConnection, Iterable};
use std::collections::HashMap;

/// All that is particular to a kind of task.
pub trait TaskDefinition: Sync {
    fn kind(&self) -> TaskKind;

    /// The address below a project that gives out its tasks, with a leading slash.
    fn path(&self) -> &'static str;

    fn words(&self) -> &'static TaskWords;

    /// Which datasets its answers become rows of; none when nothing is trained on them.
    fn gives(&self) -> Option<DatasetKind>;

    /// Whether such tasks are made of what runs give, so that a run which has just ended has more.
    fn comes_of_runs(&self) -> bool {
        false
    }

    /// Whether such a task is about answers that are shown.
    fn shows_answers(&self) -> bool;

    /// The answer that a form holds, or what is wrong with it.
    fn parse(&self, form: &TaskForm) -> Result<TaskSubmission, FieldErrors>;

    /// The page on which somebody answers.
    fn page<'a>(&'a self, shown: TaskPage<'a>) -> LocalBoxFuture<'a, Result<String, AppError>>;

    /// What a form holds, as somebody reads it: to be shown beside another.
    fn told(&self, page: &Page, form: &TaskForm) -> String;

    /// The Markdown in a form; none when there is nothing to look at beforehand.
    fn preview<'a>(&self, _: &'a TaskForm) -> Option<&'a str> {
        None
    }
}

/// The table of the kinds.
pub fn definition(kind: TaskKind) -> &'static dyn TaskDefinition {
    match kind {
        TaskKind::Demonstrate => &demonstrate::DemonstrateTask,
        TaskKind::Compare => &compare::CompareTask,
    }
}

/// Every kind, in the order in which pages name them.
pub fn all() -> impl Iterator<Item = &'static dyn TaskDefinition> {
    TaskKind::iter().map(definition)
}

/// The texts of a kind: Fluent keys.
pub struct TaskWords {
    /// In the project's navigation.
    pub nav: &'static str,
    /// The button of the tasks that wait: `n` of them.
    pub waiting: &'static str,
    /// Why there is none for somebody now.
    pub none_left: &'static str,
    /// What was said in such a task, in a list.
    pub judgement: &'static str,
    /// How many answers a project has.
    pub n_answers: &'static str,
    /// How many of its tasks want somebody; none where that is not told.
    pub n_open: Option<&'static str>,
}

/// What a kind's page is made of.
pub struct TaskPage<'a> {
    pub page: Page,
    pub access: Access,
    pub view: TaskView,
    pub task: &'a task::Model,
    pub assignment: &'a assignment::Model,
    pub db: &'a DatabaseConnection,
}

/// What is stored of an answer, as its kind reads it. Its text, if it has one, comes from elsewhere
/// and may have been removed.
pub trait StoredAnswer {
    /// The kind of task that it answers; none when it fits them all.
    fn kind(&self) -> Option<TaskKind>;

    /// What it is, in a list: a Fluent key.
    fn name(&self) -> &'static str;

    /// The text that was written: the answer itself, or what was said beside it.
    fn text_hash(&self) -> Option<&str>;

    /// What it says, in a few words.
    fn gist(&self, page: &Page, text: Option<&str>) -> String;

    /// What it says, in full. `text` is there if the answer has one, removed or not.
    fn in_full(&self, page: &Page, text: Option<String>) -> FullAnswer;

    /// Puts it into the form again, for another look.
    fn fill(&self, form: &mut TaskForm, text: Option<String>);

    /// The hashes of the answers of its row, in the order of [`TaskDefinition::gives`]. `shown` are
    /// those of the answers that the person saw, from left to right. Without a row of its own, an
    /// answer is left out as a skip is.
    fn row(&self, _: &[Option<&str>]) -> Result<Vec<String>, LeftOut> {
        Err(LeftOut::Skipped)
    }

    /// By how much the scores of the answers of its row are to part (TRL's `margin`), if it says.
    fn margin(&self) -> Option<f64> {
        None
    }
}

/// The table of what is stored.
pub fn stored_answer(payload: &JudgementPayload) -> Box<dyn StoredAnswer + '_> {
    match payload {
        JudgementPayload::Demonstration { text_hash } => {
            Box::new(demonstrate::WrittenAnswer { text_hash })
        }
        JudgementPayload::Comparison { verdict, rationale_hash } => {
            Box::new(compare::ComparedAnswers { verdict: *verdict, rationale_hash })
        }
        JudgementPayload::Skip { reason, note_hash } => {
            Box::new(skip::SkippedTask { reason: *reason, note_hash })
        }
    }
}

/// What a judgement says, in a few words. `bodies` are texts by hash.
pub fn gist(page: &Page, payload: &JudgementPayload, bodies: &HashMap<String, String>) -> String {
    let said = stored_answer(payload);
    let text = said.text_hash().and_then(|hash| bodies.get(hash));
    said.gist(page, text.map(String::as_str))
}

/// The hashes of the texts that judgements refer to.
pub fn text_hashes<'a>(
    payloads: impl IntoIterator<Item = &'a JudgementPayload>,
) -> impl Iterator<Item = String> {
    payloads.into_iter().filter_map(|payload| stored_answer(payload).text_hash().map(str::to_owned))
}

/// An answer as its own page shows it, from top to bottom.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FullAnswer {
    /// What was decided.
    pub verdict: Option<String>,
    /// Behind it, on the same line.
    pub detail: Option<String>,
    /// What was written: Markdown.
    pub written: Option<String>,
    /// What was said beside it, as it was typed.
    pub note: Option<String>,
}

/// Why a judgement gives no row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeftOut {
    Skipped,
    Tie,
    BothBad,
    Redacted,
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_kind_has_an_address_of_its_own() {
        let paths: HashSet<_> = all().map(TaskDefinition::path).collect();
        assert_eq!(paths.len(), TaskKind::iter().count());
        for kind in TaskKind::iter() {
            assert_eq!(definition(kind).kind(), kind);
            assert!(definition(kind).path().starts_with('/'));
        }
    }
}
