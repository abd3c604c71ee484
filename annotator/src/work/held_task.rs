//! A task in the hands of a person who holds or held it, and its page.

use crate::{
    data::prompts,
    web::{
        access::Access,
        error::AppError,
        form::FieldErrors,
        format,
        of::{AddressObject, ProjectObject},
        page::Page,
        shown_text,
    },
    work::{
        drafts, judgement,
        kinds::{self, TaskDefinition, TaskPage, skip::SKIP_REASONS},
        task_view::{OtherText, TaskView, conversation},
        tasks,
    },
};
use entity::{
    account, assignment,
    ids::{AssignmentId, ProjectId},
    task,
};
use rand::distr::{Alphanumeric, SampleString};
use sea_orm::{DatabaseConnection, DbErr, EntityTrait, JoinType, QuerySelect};

pub struct HeldTask {
    pub assignment: assignment::Model,
    pub task: task::Model,
}

impl AddressObject for HeldTask {
    const PLACEHOLDER: &'static str = "assignment";

    type Id = AssignmentId;

    async fn load(db: &DatabaseConnection, id: AssignmentId) -> Result<Option<Self>, DbErr> {
        let found = assignment::Entity::find_by_id(id)
            .join(JoinType::InnerJoin, tasks::of_assignment())
            .select_also(task::Entity)
            .one(db)
            .await?;
        Ok(found.and_then(|(assignment, task)| Some(Self { assignment, task: task? })))
    }
}

impl ProjectObject for HeldTask {
    fn project(&self) -> Option<ProjectId> {
        Some(self.task.project_id)
    }

    /// Only one's own.
    fn is_shown_to(&self, account: &account::Model) -> bool {
        self.assignment.account_id == account.id
    }
}

impl HeldTask {
    pub fn definition(&self) -> &'static dyn TaskDefinition {
        kinds::definition(self.task.kind)
    }

    /// The address of its page.
    pub fn url(&self, access: &Access) -> String {
        Self::url_of(access, self.assignment.id)
    }

    /// The same of a task that was not read.
    pub fn url_of(access: &Access, assignment: AssignmentId) -> String {
        access.url(&format!("/tasks/{assignment}"))
    }

    pub async fn view(
        &self,
        page: &Page,
        access: &Access,
        db: &DatabaseConnection,
    ) -> Result<TaskView, AppError> {
        let text = prompts::text(db, self.task.prompt_id).await?.ok_or(AppError::NotFound)?;
        let previous = judgement::previous(db, &self.assignment, &self.task).await?;
        let reasons = SKIP_REASONS.iter();
        Ok(TaskView {
            url: self.url(access),
            conversation: conversation(page.language, text.as_deref()).await,
            guidelines: shown_text::markdown(&access.project.guidelines).await,
            state: self.assignment.state,
            previous: previous.map(|id| access.url(&format!("/tasks/{id}"))),
            form: drafts::stored(db, &self.assignment).await?.form,
            other: None,
            is_unsaved: false,
            version: self.assignment.draft_version,
            errors: FieldErrors::default(),
            preview: None,
            idempotency_key: Alphanumeric.sample_string(&mut rand::rng(), 32),
            skip_reasons: reasons
                .map(|(value, key, _)| (*value, page.text(key).to_string()))
                .collect(),
        })
    }

    /// What another window has stored of it.
    pub async fn other_text(
        &self,
        page: &Page,
        db: &DatabaseConnection,
    ) -> Result<OtherText, AppError> {
        let stored = drafts::stored(db, &self.assignment).await?;
        let answer = stored.answer.as_ref().map(|answer| kinds::stored_answer(&answer.payload));
        let text = match &answer {
            Some(skip) if skip.kind().is_none() => skip.gist(page, None),
            _ => self.definition().told(page, &stored.form),
        };
        Ok(OtherText {
            text,
            fields: serde_json::to_string(&stored.form)?,
            at: stored.at.map(format::date_time).unwrap_or_default(),
            is_answer: answer.is_some(),
        })
    }

    /// The page of the task's kind.
    pub async fn render(
        &self,
        page: Page,
        access: Access,
        view: TaskView,
        db: &DatabaseConnection,
    ) -> Result<String, AppError> {
        let (task, assignment) = (&self.task, &self.assignment);
        self.definition().page(TaskPage { page, access, view, task, assignment, db }).await
    }
}
