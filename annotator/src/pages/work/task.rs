//! `/projects/{project}/demonstrate`, `/compare` (one such address per kind of task) and
//! `/tasks/{assignment}`: getting a task, and what is the same for every kind. What is particular to
//! one is in [`crate::work::kinds`].

use crate::{
    web::{
        access::{Access, Annotator, Author},
        address,
        error::AppError,
        form::FieldErrors,
        of::{AddressObject, Of},
        page::{self, Page},
        shown_text,
    },
    work::{
        assignment,
        drafts::{self, DraftOutcome},
        form::{TaskForm, TaskSubmission},
        held_task::HeldTask,
        judgement::{self, StoreError},
        kinds::{self, TaskDefinition, skip},
    },
};
use actix_session::Session;
use actix_web::{
    FromRequest, HttpRequest, HttpResponse,
    http::header::{self, HeaderValue},
    web,
};
use askama::Template;
use sea_orm::DatabaseConnection;
use serde::Deserialize;
use serde_json::json;

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
    let mut shown = page::ok(held.render(page, by.0, view, &db).await?);
    // Whoever comes back to it by "Back" sees what is stored now, not what the browser kept.
    shown.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(shown)
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
            // Whoever sends it again still knows no more than before.
            view.version = form.window().seen.unwrap_or(view.version);
            (view.form, view.errors, view.is_unsaved) = (form, errors, true);
            return Ok(page::unprocessable(held.render(page, by.0, view, db).await?));
        }
    };
    let stored = match judgement::store(db, by.account.id, held.assignment.id, submission).await {
        Ok(stored) => stored,
        Err(StoreError::NoSuchAssignment) => return Err(AppError::NotFound),
        Err(StoreError::WrongKind) => return Err(AppError::bad_request("answer-of-another-kind")),
        Err(StoreError::Overtaken) => return both(page, by.0, &held, form, db).await,
        Err(StoreError::Database(error)) => return Err(error.into()),
    };
    if by.project.deleted_at.is_some() {
        page::notify(session, "notice-kept-of-deleted", "")?;
        return Ok(page::see_other(&address::address("/")));
    }
    if stored.revision > 1 {
        page::notify(session, "notice-answer-replaced", "")?;
    }
    // That nothing is left is told at the kind's own address.
    let kind = held.definition();
    let next = claimed(kind, &by, db).await?;
    Ok(page::see_other(&next.unwrap_or_else(|| by.url(kind.path()))))
}

/// 409: the page with what was sent in its form, and beside it what another window has stored
/// meanwhile. Whoever sends it again has seen both.
async fn both(
    page: Page,
    access: Access,
    held: &HeldTask,
    form: TaskForm,
    db: &DatabaseConnection,
) -> Result<HttpResponse, AppError> {
    // Read anew: what is stored and its version must belong together, or the version be the older.
    let held = HeldTask::load(db, held.assignment.id).await?.ok_or(AppError::NotFound)?;
    let mut view = held.view(&page, &access, db).await?;
    let other = held.other_text(&page, db).await?;
    (view.form, view.other, view.is_unsaved) = (form, Some(other), true);
    Ok(page::conflict(held.render(page, access, view, db).await?))
}

/// Set by the page's script, which wants no page back.
#[derive(Deserialize)]
pub struct Quiet {
    #[serde(default)]
    quiet: bool,
}

/// Keeps what is typed so far and renews the lease.
pub async fn save_draft(
    request: HttpRequest,
    Of(by, held): Of<Author, HeldTask>,
    query: web::Query<Quiet>,
    form: web::Form<TaskForm>,
    session: Session,
    db: Db,
) -> Result<HttpResponse, AppError> {
    let form = form.into_inner();
    let outcome = drafts::keep(&db, by.account.id, held.assignment.id, form.clone()).await?;
    match outcome.ok_or(AppError::NotFound)? {
        DraftOutcome::Kept { version, is_held } if query.quiet => {
            Ok(HttpResponse::Ok().json(json!({ "version": version, "is_held": is_held })))
        }
        DraftOutcome::Kept { .. } => {
            page::notify(&session, "notice-draft-saved", "")?;
            Ok(page::see_other(&held.url(&by)))
        }
        // Not before: a page uses up the notice of the last action.
        DraftOutcome::Overtaken => {
            let page = Page::extract(&request).await?;
            if query.quiet {
                told_quietly(&page, &held, &db).await
            } else {
                both(page, by.0, &held, form, &db).await
            }
        }
    }
}

/// 409 for the page's script: what another window has stored.
async fn told_quietly(
    page: &Page,
    held: &HeldTask,
    db: &DatabaseConnection,
) -> Result<HttpResponse, AppError> {
    let held = HeldTask::load(db, held.assignment.id).await?.ok_or(AppError::NotFound)?;
    let other = held.other_text(page, db).await?;
    Ok(HttpResponse::Conflict().json(json!({
        "version": held.assignment.draft_version,
        "fields": other.fields,
        "text": other.text,
        "at": other.at,
        "kind": other.kind(),
    })))
}

/// The answer as it will be shown: the page with it, or for the script the rendered text alone.
pub async fn preview(
    page: Page,
    Of(by, held): Of<Annotator, HeldTask>,
    query: web::Query<Quiet>,
    form: web::Form<TaskForm>,
    db: Db,
) -> Result<HttpResponse, AppError> {
    let text = held.definition().preview(&form).ok_or(AppError::NotFound)?;
    let shown = shown_text::markdown(text).await;
    if query.quiet {
        return Ok(HttpResponse::Ok()
            .insert_header(header::ContentType::html())
            .body(shown.html(page.language)));
    }
    let form = form.into_inner();
    let outcome = drafts::keep(&db, by.account.id, held.assignment.id, form.clone()).await?;
    if outcome.ok_or(AppError::NotFound)? == DraftOutcome::Overtaken {
        return both(page, by.0, &held, form, &db).await;
    }
    let held = HeldTask::load(&db, held.assignment.id).await?.ok_or(AppError::NotFound)?;
    let mut view = held.view(&page, &by, &db).await?;
    view.preview = Some(shown);
    Ok(page::ok(held.render(page, by.0, view, &db).await?))
}
