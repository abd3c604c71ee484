//! Writing the ideal answer to a prompt.

use crate::{
    data::texts::{self, HashedText},
    web::{access::Access, error::AppError, form::FieldErrors, page::Page, typed::MAX_TEXT},
    work::{
        form::{TaskForm, TaskSubmission},
        kinds::{FullAnswer, LeftOut, StoredAnswer, TaskDefinition, TaskPage, TaskWords},
        task_view::TaskView,
    },
};
use askama::Template;
use entity::{dataset_version::DatasetKind, judgement::JudgementPayload, task::TaskKind};
use futures_util::future::LocalBoxFuture;

pub struct DemonstrateTask;

#[derive(Template)]
#[template(path = "tasks/demonstrate.html")]
struct DemonstratePage {
    page: Page,
    access: Access,
    view: TaskView,
}

impl TaskDefinition for DemonstrateTask {
    fn kind(&self) -> TaskKind {
        TaskKind::Demonstrate
    }

    fn path(&self) -> &'static str {
        "/demonstrate"
    }

    fn words(&self) -> &'static TaskWords {
        &TaskWords {
            nav: "nav-demonstrate",
            waiting: "demonstrate-waiting",
            none_left: "none-demonstrate",
            judgement: "judgement-demonstration",
            n_answers: "project-n-demonstrations",
            n_open: None,
        }
    }

    fn gives(&self) -> Option<DatasetKind> {
        Some(DatasetKind::Demonstrations)
    }

    fn shows_answers(&self) -> bool {
        false
    }

    fn parse(&self, form: &TaskForm) -> Result<TaskSubmission, FieldErrors> {
        let text = form.bounded("answer", MAX_TEXT)?.map(HashedText::new);
        let text = text.ok_or_else(|| FieldErrors::one("answer", "demonstrate-empty"))?;
        let payload = JudgementPayload::Demonstration { text_hash: text.hash() };
        Ok(TaskSubmission::new(form, payload, [text]))
    }

    fn page<'a>(&'a self, shown: TaskPage<'a>) -> LocalBoxFuture<'a, Result<String, AppError>> {
        let TaskPage { page, access, view, .. } = shown;
        Box::pin(async move { Ok(DemonstratePage { page, access, view }.render()?) })
    }

    fn told(&self, _: &Page, form: &TaskForm) -> String {
        form.get("answer").to_owned()
    }

    fn preview<'a>(&self, form: &'a TaskForm) -> Option<&'a str> {
        Some(form.get("answer"))
    }
}

/// A demonstration.
pub struct WrittenAnswer<'a> {
    pub text_hash: &'a str,
}

impl StoredAnswer for WrittenAnswer<'_> {
    fn kind(&self) -> Option<TaskKind> {
        Some(TaskKind::Demonstrate)
    }

    fn name(&self) -> &'static str {
        DemonstrateTask.words().judgement
    }

    fn text_hash(&self) -> Option<&str> {
        Some(self.text_hash)
    }

    fn gist(&self, page: &Page, text: Option<&str>) -> String {
        text.map_or_else(|| page.text("text-removed").to_string(), texts::beginning)
    }

    fn in_full(&self, _: &Page, text: Option<String>) -> FullAnswer {
        FullAnswer { written: text, ..FullAnswer::default() }
    }

    fn fill(&self, form: &mut TaskForm, text: Option<String>) {
        form.set("answer", text.unwrap_or_default());
    }

    fn row(&self, _: &[Option<&str>]) -> Result<Vec<String>, LeftOut> {
        Ok(vec![self.text_hash.to_owned()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blank_answer_is_a_mistake() {
        let form = TaskForm::default().with("answer", " \r\n ");
        let mistake = FieldErrors::one("answer", "demonstrate-empty");
        assert_eq!(DemonstrateTask.parse(&form), Err(mistake));
    }
}
