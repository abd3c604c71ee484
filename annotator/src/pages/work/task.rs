//! `/projects/{project}/demonstrate`, `/compare` (one such address per kind of task) and
//! `/tasks/{assignment}`: getting a task, and what is the same for every kind. What is particular to
//! one is in [`crate::work::kinds`].

use crate::{
    web::{
        access::{Access, Annotator, Author},
        address,
        error::AppError,
        form::FieldErrors,
        of::Of,
        page::{self, Page},
    },
    work::{
        assignment,
        form::{TaskForm, TaskSubmission},
        held_task::HeldTask,
        judgement::{self, StoreError},
        kinds::{self, TaskDefinition, skip},
    },
};
use actix_session::Session;
use actix_web::{HttpResponse, http::header, web};
use askama::Template;
use sea_orm::DatabaseConnection;
use serde::Deserialize;

type Db = web::Data<DatabaseConnection>;

#[derive(Template)]
#[template(path = "tasks/none.html")]
struct NothingLeftPage {
    page: Page,
    access: Access,
    kind: &'static dyn TaskDefinition,
}

/// Gives out a task of the kind that the address names.
pub async fn next(
    kind: &'static dyn TaskDefinition,
    page: Page,
    Annotator(access): Annotator,
    db: Db,
) -> Result<HttpResponse, AppError> {
    match claimed(kind, &access, &db).await? {
        Some(task) => Ok(page::see_other(&task)),
        None => page::html(&NothingLeftPage { page, access, kind }),
    }
}

/// The address of the person's next task.
async fn claimed(
    kind: &dyn TaskDefinition,
    access: &Access,
    db: &DatabaseConnection,
) -> Result<Option<String>, AppError> {
    let claimed = assignment::claim(db, access.account.id, access.project.id, kind.kind()).await?;
    Ok(claimed.map(|claimed| access.url(&format!("/tasks/{}", claimed.id))))
}

pub async fn show(
    page: Page,
    Of(by, held): Of<Annotator, HeldTask>,
    db: Db,
) -> Result<HttpResponse, AppError> {
    let view = held.view(&page, &by, &db).await?;
    Ok(page::ok(held.render(page, by.0, view, &db).await?))
}

pub async fn submit(
    page: Page,
    by: Of<Author, HeldTask>,
    form: web::Form<TaskForm>,
    session: Session,
    db: Db,
) -> Result<HttpResponse, AppError> {
    let parsed = by.1.definition().parse(&form);
    store_or_explain(page, by, form.into_inner(), parsed, &session, &db).await
}

pub async fn skip(
    page: Page,
    by: Of<Author, HeldTask>,
    form: web::Form<TaskForm>,
    session: Session,
    db: Db,
) -> Result<HttpResponse, AppError> {
    let parsed = skip::parse(&form);
    store_or_explain(page, by, form.into_inner(), parsed, &session, &db).await
}

/// Stores the answer and goes to the next task, or shows the form again with what is missing.
async fn store_or_explain(
    page: Page,
    Of(by, held): Of<Author, HeldTask>,
    form: TaskForm,
    parsed: Result<TaskSubmission, FieldErrors>,
    session: &Session,
    db: &DatabaseConnection,
) -> Result<HttpResponse, AppError> {
    let submission = match parsed {
        Ok(submission) => submission,
        Err(errors) => {
            let mut view = held.view(&page, &by, db).await?;
            (view.form, view.errors) = (form, errors);
            return Ok(page::unprocessable(held.render(page, by.0, view, db).await?));
        }
    };
    match judgement::store(db, by.account.id, held.assignment.id, submission).await {
        Ok(_) => {}
        Err(StoreError::NoSuchAssignment) => return Err(AppError::NotFound),
        Err(StoreError::WrongKind) => return Err(AppError::bad_request("answer-of-another-kind")),
        Err(StoreError::Database(error)) => return Err(error.into()),
    }
    if by.project.deleted_at.is_some() {
        page::notify(session, "notice-kept-of-deleted", "")?;
        return Ok(page::see_other(&address::address("/")));
    }
    // That nothing is left is told at the kind's own address.
    let kind = held.definition();
    let next = claimed(kind, &by, db).await?;
    Ok(page::see_other(&next.unwrap_or_else(|| by.url(kind.path()))))
}

/// Set by the page's script, which wants no page back.
#[derive(Deserialize)]
pub struct Quiet {
    #[serde(default)]
    quiet: bool,
}

/// Keeps what is typed so far and renews the lease.
pub async fn save_draft(
    Of(by, held): Of<Author, HeldTask>,
    query: web::Query<Quiet>,
    form: web::Form<TaskForm>,
    session: Session,
    db: Db,
) -> Result<HttpResponse, AppError> {
    keep(&db, &held, form.into_inner()).await?;
    if query.quiet {
        return Ok(HttpResponse::NoContent().finish());
    }
    page::notify(&session, "notice-draft-saved", "")?;
    Ok(page::see_other(&held.url(&by)))
}

async fn keep(db: &DatabaseConnection, held: &HeldTask, form: TaskForm) -> Result<(), AppError> {
    let body = serde_json::to_string(&form.into_draft())?;
    Ok(assignment::save_draft(db, held.assignment.id, body).await?)
}

/// The answer as it will be shown: the page with it, or for the script the rendered text alone.
pub async fn preview(
    page: Page,
    Of(by, held): Of<Annotator, HeldTask>,
    query: web::Query<Quiet>,
    form: web::Form<TaskForm>,
    db: Db,
) -> Result<HttpResponse, AppError> {
    let html = held.definition().preview(&form).ok_or(AppError::NotFound)?;
    if query.quiet {
        return Ok(HttpResponse::Ok().insert_header(header::ContentType::html()).body(html));
    }
    keep(&db, &held, form.into_inner()).await?;
    let mut view = held.view(&page, &by, &db).await?;
    view.preview_html = Some(html);
    Ok(page::ok(held.render(page, by.0, view, &db).await?))
}
