//! A task in the hands of a person who holds or held it, and its page.

use crate::{
    data::prompts,
    web::{
        access::{self, Access},
        error::AppError,
        form::FieldErrors,
        format,
        of::{AddressObject, ProjectObject},
        page::Page,
        shown_text,
    },
    work::{
        assignment, drafts, judgement,
        kinds::{self, TaskDefinition, TaskPage, skip::SKIP_REASONS},
        task_view::{OtherText, TaskView, conversation},
        tasks,
    },
};
use entity::{
    account,
    assignment::AssignmentState,
    draft,
    ids::{AssignmentId, ProjectId},
    membership, project, task, text,
};
use rand::distr::{Alphanumeric, SampleString};
use sea_orm::{
    DatabaseConnection, DbErr, DerivePartialModel, JoinType, QuerySelect, Select, sea_query::Expr,
};

#[derive(DerivePartialModel)]
#[sea_orm(entity = "entity::assignment::Entity", from_query_result)]
pub struct HeldTask {
    #[sea_orm(nested)]
    pub assignment: entity::assignment::Model,
    #[sea_orm(nested)]
    pub task: task::Model,
    /// What is typed and not sent.
    #[sea_orm(nested)]
    pub draft: Option<draft::Model>,
}

/// What only its page shows.
struct TaskSurroundings {
    /// The prompt, canonical JSON; none when it was removed.
    prompt: Option<String>,
    /// The one before it.
    previous: Option<AssignmentId>,
}

/// A task whose page is asked for: all of it by one statement.
pub struct ShownTask {
    held: HeldTask,
    surroundings: TaskSurroundings,
}

/// The same with its project, once for each role of a person there.
#[derive(DerivePartialModel)]
#[sea_orm(entity = "entity::assignment::Entity", from_query_result)]
struct HeldInProject {
    #[sea_orm(nested)]
    held: HeldTask,
    #[sea_orm(nested)]
    project: project::Model,
    #[sea_orm(nested)]
    membership: Option<membership::Model>,
}

#[derive(DerivePartialModel)]
#[sea_orm(entity = "entity::assignment::Entity", from_query_result)]
struct ShownInProject {
    #[sea_orm(nested)]
    row: HeldInProject,
    #[sea_orm(from_expr = "Expr::col((text::Entity, text::Column::Body))")]
    prompt: Option<String>,
    #[sea_orm(from_expr = "judgement::newest_of_another()")]
    previous: Option<AssignmentId>,
}

/// An assignment with what the person is in its project.
fn in_project(account: &account::Model, id: AssignmentId) -> Select<entity::assignment::Entity> {
    assignment::with_task_and_draft(id)
        .join(JoinType::InnerJoin, tasks::in_project())
        .join(JoinType::LeftJoin, access::memberships_of(account.id))
}

fn with_access(account: &account::Model, rows: Vec<HeldInProject>) -> Option<(Access, HeldTask)> {
    let (mut held, mut found) = (None, Vec::new());
    for row in rows {
        held = Some(row.held);
        found.push((row.project, row.membership));
    }
    Access::of_rows(account.clone(), found).zip(held)
}

impl AddressObject for HeldTask {
    const PLACEHOLDER: &'static str = "assignment";

    type Id = AssignmentId;

    async fn load(db: &DatabaseConnection, id: AssignmentId) -> Result<Option<Self>, DbErr> {
        assignment::with_task_and_draft(id).into_partial_model().one(db).await
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

    async fn load_with_access(
        db: &DatabaseConnection,
        account: &account::Model,
        id: AssignmentId,
    ) -> Result<Option<(Access, Self)>, DbErr> {
        let rows = in_project(account, id).into_partial_model().all(db).await?;
        Ok(with_access(account, rows))
    }
}

impl AddressObject for ShownTask {
    const PLACEHOLDER: &'static str = HeldTask::PLACEHOLDER;

    type Id = AssignmentId;

    async fn load(db: &DatabaseConnection, id: AssignmentId) -> Result<Option<Self>, DbErr> {
        let Some(held) = HeldTask::load(db, id).await? else { return Ok(None) };
        let surroundings = held.surroundings(db).await?;
        Ok(surroundings.map(|surroundings| Self { held, surroundings }))
    }
}

impl ProjectObject for ShownTask {
    fn project(&self) -> Option<ProjectId> {
        self.held.project()
    }

    fn is_shown_to(&self, account: &account::Model) -> bool {
        self.held.is_shown_to(account)
    }

    async fn load_with_access(
        db: &DatabaseConnection,
        account: &account::Model,
        id: AssignmentId,
    ) -> Result<Option<(Access, Self)>, DbErr> {
        let rows = in_project(account, id)
            .join(JoinType::InnerJoin, tasks::of_prompt())
            .join(JoinType::LeftJoin, prompts::with_text())
            .into_partial_model::<ShownInProject>()
            .all(db)
            .await?;
        let (mut held, mut surroundings) = (Vec::new(), None);
        for ShownInProject { row, prompt, previous } in rows {
            held.push(row);
            surroundings = Some(TaskSurroundings { prompt, previous });
        }
        let (Some((access, held)), Some(mut surroundings)) =
            (with_access(account, held), surroundings)
        else {
            return Ok(None);
        };
        // Of a task that was answered the one before that answer is meant.
        if held.assignment.state.may_have_answers() {
            surroundings.previous = judgement::previous(db, &held.assignment, &held.task).await?;
        }
        Ok(Some((access, Self { held, surroundings })))
    }
}

impl ShownTask {
    /// The page of the task's kind.
    pub async fn render(
        self,
        page: Page,
        access: Access,
        db: &DatabaseConnection,
    ) -> Result<String, AppError> {
        let view = self.held.view_with(&page, &access, db, self.surroundings).await?;
        self.held.render(page, access, view, db).await
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
        let surroundings = self.surroundings(db).await?.ok_or(AppError::NotFound)?;
        self.view_with(page, access, db, surroundings).await
    }

    /// Whether it was taken back because something of it was erased.
    pub async fn is_erased(&self, db: &DatabaseConnection) -> Result<bool, DbErr> {
        let is_expired = self.assignment.state == AssignmentState::Expired;
        Ok(is_expired && assignment::shows_erased(db, self.task.id).await?)
    }

    /// None: its prompt is gone.
    async fn surroundings(
        &self,
        db: &DatabaseConnection,
    ) -> Result<Option<TaskSurroundings>, DbErr> {
        let Some(prompt) = prompts::text(db, self.task.prompt_id).await? else { return Ok(None) };
        let previous = judgement::previous(db, &self.assignment, &self.task).await?;
        Ok(Some(TaskSurroundings { prompt, previous }))
    }

    async fn view_with(
        &self,
        page: &Page,
        access: &Access,
        db: &DatabaseConnection,
        TaskSurroundings { prompt, previous }: TaskSurroundings,
    ) -> Result<TaskView, AppError> {
        let reasons = SKIP_REASONS.iter();
        Ok(TaskView {
            url: self.url(access),
            conversation: conversation(page.language, prompt.as_deref()).await,
            guidelines: shown_text::markdown(&access.project.guidelines).await,
            state: self.assignment.state,
            is_erased: self.is_erased(db).await?,
            previous: previous.map(|id| access.url(&format!("/tasks/{id}"))),
            form: drafts::stored(db, &self.assignment, self.draft.as_ref()).await?.form,
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
        let stored = drafts::stored(db, &self.assignment, self.draft.as_ref()).await?;
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
