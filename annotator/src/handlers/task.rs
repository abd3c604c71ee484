//! `/projects/{project}/demonstrate`, `/compare` and `/tasks/{assignment}`: getting a task, and
//! what is the same for every kind of task. The kinds' own pages are beside this file.

use super::{
    compare::{self, ComparePage},
    demonstrate::DemonstratePage,
};
use crate::{
    access::{Access, Annotator},
    assignment,
    error::AppError,
    i18n::Language,
    judgement::{self, Mistake, StoreError, Submission, TaskForm},
    markdown,
    page::{self, FieldErrors, Page},
    prompts, texts,
};
use actix_session::Session;
use actix_web::{HttpResponse, http::header, web};
use askama::Template;
use entity::{conversation::Speaker, draft, ids::AssignmentId, judgement::Payload, prompt, task};
use rand::distr::{Alphanumeric, SampleString};
use sea_orm::{DatabaseConnection, EntityTrait};
use serde::Deserialize;

type Db = web::Data<DatabaseConnection>;

pub async fn demonstrate(page: Page, by: Annotator, db: Db) -> Result<HttpResponse, AppError> {
    next(page, by.0, &db, task::Kind::Demonstrate).await
}

pub async fn compare(page: Page, by: Annotator, db: Db) -> Result<HttpResponse, AppError> {
    next(page, by.0, &db, task::Kind::Compare).await
}

#[derive(Template)]
#[template(path = "tasks/none.html")]
struct NothingLeftPage {
    page: Page,
    access: Access,
    kind: task::Kind,
}

async fn next(
    page: Page,
    access: Access,
    db: &DatabaseConnection,
    kind: task::Kind,
) -> Result<HttpResponse, AppError> {
    match assignment::claim(db, access.account.id, access.project.id, kind).await? {
        Some(claimed) => Ok(page::see_other(&access.url(&format!("/tasks/{}", claimed.id)))),
        None => page::html(&NothingLeftPage { page, access, kind }),
    }
}

/// What a task page of any kind shows.
pub struct View {
    pub url: String,
    pub conversation: Vec<Turn>,
    pub guidelines_html: String,
    pub state: entity::assignment::State,
    /// The answer before this one, for another look.
    pub previous: Option<String>,
    /// What the form holds: as just typed, else the draft, else the last answer.
    pub form: TaskForm,
    pub errors: FieldErrors,
    /// Values and words of the reasons for a skip.
    pub skip_reasons: Vec<(&'static str, String)>,
    /// A fresh key for the submit that this page will make.
    pub idempotency_key: String,
}

impl View {
    /// Already answered or skipped: this page changes that.
    pub fn is_revision(&self) -> bool {
        use entity::assignment::State::{Extra, Skipped, Submitted};
        matches!(self.state, Submitted | Extra | Skipped)
    }

    pub fn is_expired(&self) -> bool {
        self.state == entity::assignment::State::Expired
    }
}

fn skip_reasons(page: &Page) -> Vec<(&'static str, String)> {
    let reasons = judgement::SKIP_REASONS.iter();
    reasons.map(|(value, key, _)| (*value, page.text(key).to_string())).collect()
}

/// One message of the prompt.
pub struct Turn {
    pub class: &'static str,
    pub speaker: String,
    pub html: String,
}

fn conversation(language: Language, canonical_json: Option<&str>) -> Vec<Turn> {
    let Some(json) = canonical_json else {
        let html = language.text("text-removed").to_string();
        return vec![Turn {
            class: "user",
            speaker: language.text("speaker-user").to_string(),
            html,
        }];
    };
    let turn = |message: entity::conversation::Message| {
        let (class, key) = match message.role {
            Speaker::System => ("system", "speaker-system"),
            Speaker::User => ("user", "speaker-user"),
            Speaker::Assistant => ("assistant", "speaker-assistant"),
        };
        Turn {
            class,
            speaker: language.text(key).to_string(),
            html: markdown::to_html(&message.content),
        }
    };
    prompts::messages(prompts::parse(json)).into_iter().map(turn).collect()
}

/// A task that a person holds or held.
pub struct Held {
    pub assignment: entity::assignment::Model,
    pub task: task::Model,
}

impl Held {
    /// Only one's own, and only in the project of the address.
    async fn find(
        db: &DatabaseConnection,
        access: &Access,
        id: AssignmentId,
    ) -> Result<Self, AppError> {
        let assignment = entity::assignment::Entity::find_by_id(id).one(db).await?;
        let assignment = assignment
            .filter(|row| row.account_id == access.account.id)
            .ok_or(AppError::NotFound)?;
        let task = task::Entity::find_by_id(assignment.task_id).one(db).await?;
        let task =
            task.filter(|task| task.project_id == access.project.id).ok_or(AppError::NotFound)?;
        Ok(Self { assignment, task })
    }

    async fn view(
        &self,
        page: &Page,
        access: &Access,
        db: &DatabaseConnection,
    ) -> Result<View, AppError> {
        let prompt = prompt::Entity::find_by_id(self.task.prompt_id)
            .one(db)
            .await?
            .ok_or(AppError::NotFound)?;
        let text = texts::load(db, &prompt.text_hash).await?;
        let previous = judgement::previous(db, &self.assignment, &self.task).await?;
        Ok(View {
            url: access.url(&format!("/tasks/{}", self.assignment.id)),
            conversation: conversation(page.language, text.as_deref()),
            guidelines_html: markdown::to_html(&access.project.guidelines),
            state: self.assignment.state,
            previous: previous.map(|id| access.url(&format!("/tasks/{id}"))),
            form: typed_before(db, self.assignment.id).await?,
            errors: FieldErrors::default(),
            idempotency_key: Alphanumeric.sample_string(&mut rand::rng(), 32),
            skip_reasons: skip_reasons(page),
        })
    }

    /// The page of the task's kind.
    async fn render(
        &self,
        page: Page,
        access: Access,
        view: View,
        db: &DatabaseConnection,
    ) -> Result<String, AppError> {
        Ok(match self.task.kind {
            task::Kind::Demonstrate => {
                DemonstratePage { page, access, view, preview_html: None }.render()?
            }
            task::Kind::Compare => {
                let sides = compare::sides(self, page.language, db).await?;
                ComparePage { page, access, view, sides }.render()?
            }
        })
    }
}

/// The draft, else the last answer.
async fn typed_before(db: &DatabaseConnection, id: AssignmentId) -> Result<TaskForm, AppError> {
    if let Some(draft) = draft::Entity::find_by_id(id).one(db).await? {
        return Ok(serde_json::from_str(&draft.body)?);
    }
    let mut form = TaskForm::default();
    match judgement::latest(db, id).await?.map(|last| last.payload) {
        Some(Payload::Demonstration { text_hash }) => {
            form.answer = texts::load(db, &text_hash).await?.unwrap_or_default();
        }
        Some(Payload::Comparison { verdict, rationale_hash }) => {
            form.choice = judgement::choice(verdict);
            if let Some(hash) = rationale_hash {
                form.rationale = texts::load(db, &hash).await?.unwrap_or_default();
            }
        }
        Some(Payload::Skip { .. }) | None => {}
    }
    Ok(form)
}

/// The path of every URL under a task.
#[derive(Deserialize)]
pub struct TaskPath {
    assignment: AssignmentId,
}

pub async fn show(
    page: Page,
    by: Annotator,
    path: web::Path<TaskPath>,
    db: Db,
) -> Result<HttpResponse, AppError> {
    let held = Held::find(&db, &by, path.assignment).await?;
    let view = held.view(&page, &by, &db).await?;
    Ok(page::ok(held.render(page, by.0, view, &db).await?))
}

pub async fn submit(
    page: Page,
    by: Annotator,
    path: web::Path<TaskPath>,
    form: web::Form<TaskForm>,
    db: Db,
) -> Result<HttpResponse, AppError> {
    let held = Held::find(&db, &by, path.assignment).await?;
    let parsed = match held.task.kind {
        task::Kind::Demonstrate => Submission::demonstration(&form),
        task::Kind::Compare => Submission::comparison(&form),
    };
    store_or_explain(page, by, held, form.into_inner(), parsed, &db).await
}

pub async fn skip(
    page: Page,
    by: Annotator,
    path: web::Path<TaskPath>,
    form: web::Form<TaskForm>,
    db: Db,
) -> Result<HttpResponse, AppError> {
    let held = Held::find(&db, &by, path.assignment).await?;
    let parsed = Submission::skip(&form);
    store_or_explain(page, by, held, form.into_inner(), parsed, &db).await
}

/// Stores the answer and goes to the next task, or shows the form again with what is missing.
async fn store_or_explain(
    page: Page,
    by: Annotator,
    held: Held,
    form: TaskForm,
    parsed: Result<Submission, Mistake>,
    db: &DatabaseConnection,
) -> Result<HttpResponse, AppError> {
    let submission = match parsed {
        Ok(submission) => submission,
        Err(mistake) => {
            let mut view = held.view(&page, &by, db).await?;
            let (field, key) = explain(mistake);
            view.errors.add(field, page.text(key));
            view.form = form;
            return Ok(page::unprocessable(held.render(page, by.0, view, db).await?));
        }
    };
    let kind = held.task.kind;
    match judgement::store(db, by.account.id, held.assignment.id, submission).await {
        Ok(_) => {}
        Err(StoreError::NoSuchAssignment) => return Err(AppError::NotFound),
        Err(error @ StoreError::WrongKind) => return Err(AppError::BadRequest(error.to_string())),
        Err(StoreError::Database(error)) => return Err(error.into()),
    }
    next(page, by.0, db, kind).await.map(|response| after_post(response, kind, &held))
}

/// Redirects stay; the page that says that nothing is left is shown at its own address.
fn after_post(response: HttpResponse, kind: task::Kind, held: &Held) -> HttpResponse {
    if response.headers().contains_key(header::LOCATION) {
        return response;
    }
    let rest = match kind {
        task::Kind::Demonstrate => "demonstrate",
        task::Kind::Compare => "compare",
    };
    page::see_other(&format!("/projects/{}/{rest}", held.task.project_id))
}

fn explain(mistake: Mistake) -> (&'static str, &'static str) {
    match mistake {
        Mistake::EmptyAnswer => ("answer", "demonstrate-empty"),
        Mistake::NoChoice => ("choice", "compare-no-choice"),
        Mistake::NoReason => ("reason", "skip-no-reason"),
    }
}

/// Set by the page's script, which wants no page back.
#[derive(Deserialize)]
pub struct Quiet {
    #[serde(default)]
    quiet: bool,
}

/// Keeps what is typed so far and renews the lease.
pub async fn save_draft(
    by: Annotator,
    path: web::Path<TaskPath>,
    query: web::Query<Quiet>,
    form: web::Form<TaskForm>,
    session: Session,
    db: Db,
) -> Result<HttpResponse, AppError> {
    let held = Held::find(&db, &by, path.assignment).await?;
    assignment::save_draft(&db, held.assignment.id, serde_json::to_string(&form.into_inner())?)
        .await?;
    if query.quiet {
        return Ok(HttpResponse::NoContent().finish());
    }
    page::notify(&session, "notice-draft-saved", "")?;
    Ok(page::see_other(&by.url(&format!("/tasks/{}", held.assignment.id))))
}

/// The answer as it will be shown: the page with it, or for the script the rendered text alone.
pub async fn preview(
    page: Page,
    by: Annotator,
    path: web::Path<TaskPath>,
    query: web::Query<Quiet>,
    form: web::Form<TaskForm>,
    db: Db,
) -> Result<HttpResponse, AppError> {
    let held = Held::find(&db, &by, path.assignment).await?;
    let html = markdown::to_html(&form.answer);
    if query.quiet {
        return Ok(HttpResponse::Ok().insert_header(header::ContentType::html()).body(html));
    }
    assignment::save_draft(&db, held.assignment.id, serde_json::to_string(&form.into_inner())?)
        .await?;
    let view = held.view(&page, &by, &db).await?;
    page::html(&DemonstratePage { page, access: by.0, view, preview_html: Some(html) })
}
