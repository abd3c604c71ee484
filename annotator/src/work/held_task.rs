//! A task in the hands of a person who holds or held it, and its page.

use crate::{
    data::texts,
    web::{
        access::Access,
        error::AppError,
        form::FieldErrors,
        markdown,
        of::{AddressObject, ProjectObject},
        page::Page,
    },
    work::{
        form::TaskForm,
        judgement,
        kinds::{self, TaskDefinition, TaskPage, skip::SKIP_REASONS},
        task_view::{TaskView, conversation},
    },
};
use entity::{
    account, assignment, draft,
    ids::{AssignmentId, ProjectId},
    prompt, task,
};
use rand::distr::{Alphanumeric, SampleString};
use sea_orm::{DatabaseConnection, DbErr, EntityTrait};

pub struct HeldTask {
    pub assignment: assignment::Model,
    pub task: task::Model,
}

impl AddressObject for HeldTask {
    const PLACEHOLDER: &'static str = "assignment";

    type Id = AssignmentId;

    async fn load(db: &DatabaseConnection, id: AssignmentId) -> Result<Option<Self>, DbErr> {
        let found = assignment::Entity::find_by_id(id).one(db).await?;
        let Some(assignment) = found else { return Ok(None) };
        let task = task::Entity::find_by_id(assignment.task_id).one(db).await?;
        Ok(task.map(|task| Self { assignment, task }))
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
        access.url(&format!("/tasks/{}", self.assignment.id))
    }

    pub async fn view(
        &self,
        page: &Page,
        access: &Access,
        db: &DatabaseConnection,
    ) -> Result<TaskView, AppError> {
        let prompt = prompt::Entity::find_by_id(self.task.prompt_id).one(db).await?;
        let prompt = prompt.ok_or(AppError::NotFound)?;
        let text = texts::load(db, &prompt.text_hash).await?;
        let previous = judgement::previous(db, &self.assignment, &self.task).await?;
        let reasons = SKIP_REASONS.iter();
        Ok(TaskView {
            url: self.url(access),
            conversation: conversation(page.language, text.as_deref()),
            guidelines_html: markdown::to_html(&access.project.guidelines),
            state: self.assignment.state,
            previous: previous.map(|id| access.url(&format!("/tasks/{id}"))),
            form: typed_before(db, self.assignment.id).await?,
            errors: FieldErrors::default(),
            preview_html: None,
            idempotency_key: Alphanumeric.sample_string(&mut rand::rng(), 32),
            skip_reasons: reasons
                .map(|(value, key, _)| (*value, page.text(key).to_string()))
                .collect(),
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

/// The draft, else the last answer.
async fn typed_before(db: &DatabaseConnection, id: AssignmentId) -> Result<TaskForm, AppError> {
    if let Some(draft) = draft::Entity::find_by_id(id).one(db).await? {
        return Ok(serde_json::from_str(&draft.body)?);
    }
    let mut form = TaskForm::default();
    if let Some(last) = judgement::latest(db, id).await? {
        let said = kinds::stored_answer(&last.payload);
        let text = match said.text_hash() {
            Some(hash) => texts::load(db, hash).await?,
            None => None,
        };
        said.fill(&mut form, text);
    }
    Ok(form)
}
