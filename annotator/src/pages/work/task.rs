//! `/projects/{project}/demonstrate`, `/compare` (one such address per kind of task) and
//! `/tasks/{assignment}`: getting a task, and what is the same for every kind. What is particular to
//! one is in [`crate::work::kinds`].

use crate::{
    metrics::{SubmitResult, metrics},
    training::follow_up,
    web::{
        access::{Access, Annotator, Author},
        address,
        error::AppError,
        form::FieldErrors,
        of::{AddressObject, Of},
        page::{self, Page},
        shown_text,
        typed::{TypedForm, TypedQuery},
    },
    work::{
        assignment,
        drafts::{self, DraftOutcome},
        form::{TaskForm, TaskSubmission},
        held_task::{HeldTask, ShownTask},
        judgement::{self, StoreError},
        kinds::{self, TaskDefinition, skip},
    },
};
use actix_session::Session;
use actix_web::{
    FromRequest, HttpRequest, HttpResponse,
    http::{
        Method,
        header::{self, HeaderName, HeaderValue},
    },
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
    /// A run has just ended, and tasks are being made of it.
    is_coming: bool,
}

/// After how many seconds a page that waits for new tasks looks again.
const LOOK_AGAIN: (HeaderName, HeaderValue) =
    (HeaderName::from_static("refresh"), HeaderValue::from_static("2"));

/// Gives out a task of the kind that the address names; not to a HEAD, which changes nothing.
pub async fn next(
    kind: &'static dyn TaskDefinition,
    request: HttpRequest,
    page: Page,
    Annotator(access): Annotator,
    db: Db,
) -> Result<HttpResponse, AppError> {
    if request.method() == Method::HEAD {
        return Ok(HttpResponse::NoContent().finish());
    }
    if let Some(task) = claimed(kind, &access, &db).await? {
        return Ok(page::see_other(&task));
    }
    let is_coming =
        kind.comes_of_runs() && follow_up::is_due(db.get_ref(), access.project.id).await?;
    let mut nothing = page::html(&NothingLeftPage { page, access, kind, is_coming })?;
    if is_coming {
        nothing.headers_mut().insert(LOOK_AGAIN.0, LOOK_AGAIN.1);
    }
    Ok(nothing)
}

/// The address of the person's next task.
async fn claimed(
    kind: &dyn TaskDefinition,
    access: &Access,
    db: &DatabaseConnection,
) -> Result<Option<String>, AppError> {
    let claimed = assignment::claim(db, access.account.id, access.project.id, kind.kind()).await?;
    metrics().claimed(kind.kind(), claimed.is_some());
    Ok(claimed.map(|claimed| HeldTask::url_of(access, claimed.id)))
}

pub async fn show(
    page: Page,
    Of(by, task): Of<Annotator, ShownTask>,
    db: Db,
) -> Result<HttpResponse, AppError> {
    let mut shown = page::ok(task.render(page, by.0, &db).await?);
    // Whoever comes back to it by "Back" sees what is stored now, not what the browser kept.
    shown.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(shown)
}

pub async fn submit(
    request: HttpRequest,
    by: Of<Author, HeldTask>,
    form: TypedForm<TaskForm>,
    session: Session,
    db: Db,
) -> Result<HttpResponse, AppError> {
    let parsed = by.1.definition().parse(&form);
    store_or_explain(&request, by, form.into_inner(), parsed, &session, &db).await
}

pub async fn skip(
    request: HttpRequest,
    by: Of<Author, HeldTask>,
    form: TypedForm<TaskForm>,
    session: Session,
    db: Db,
) -> Result<HttpResponse, AppError> {
    let parsed = skip::parse(&form);
    store_or_explain(&request, by, form.into_inner(), parsed, &session, &db).await
}

/// Stores the answer and goes to the next task, or shows the form again with what is missing.
async fn store_or_explain(
    request: &HttpRequest,
    Of(by, held): Of<Author, HeldTask>,
    form: TaskForm,
    parsed: Result<TaskSubmission, FieldErrors>,
    session: &Session,
    db: &DatabaseConnection,
) -> Result<HttpResponse, AppError> {
    let count = |result| metrics().submitted(held.definition().kind(), result);
    let submission = match parsed {
        Ok(submission) => submission,
        Err(errors) => return explain(request, by.0, &held, form, errors, db).await,
    };
    let (account, id) = (by.account.id, held.assignment.id);
    let is_deleted = by.project.deleted_at.is_some();
    let stored = match is_deleted {
        true => judgement::store(db, account, id, submission).await.map(|stored| (stored, None)),
        false => judgement::store_and_claim(db, account, id, submission).await,
    };
    let (stored, next) = match stored {
        Err(StoreError::Overtaken) => {
            count(SubmitResult::Overtaken);
            return both(Page::extract(request).await?, by.0, &held, form, db).await;
        }
        Err(StoreError::Erased) => {
            let field = TEXTS.into_iter().find(|field| form.text(field).is_some());
            let errors = FieldErrors::one(field.unwrap_or(TEXTS[0]), "answer-was-erased");
            return explain(request, by.0, &held, form, errors, db).await;
        }
        stored => stored?,
    };
    let is_skipped = kinds::stored_answer(&stored.payload).kind().is_none();
    count(if is_skipped { SubmitResult::Skipped } else { SubmitResult::Answered });
    if is_deleted {
        page::notify(session, "notice-kept-of-deleted", "")?;
        return Ok(page::see_other(&address::address("/")));
    }
    if stored.revision > 1 {
        page::notify(session, "notice-answer-replaced", "")?;
    }
    metrics().claimed(held.definition().kind(), next.is_some());
    // That nothing is left is told at the kind's own address.
    let next = next.map(|next| HeldTask::url_of(&by, next.id));
    Ok(page::see_other(&next.unwrap_or_else(|| by.url(held.definition().path()))))
}

/// The fields of the forms of tasks that take a text; a form has one of them.
const TEXTS: [&str; 3] = ["answer", "rationale", "note"];

/// 422: the page with what was sent in its form, and what is wrong with it.
async fn explain(
    request: &HttpRequest,
    access: Access,
    held: &HeldTask,
    form: TaskForm,
    errors: FieldErrors,
    db: &DatabaseConnection,
) -> Result<HttpResponse, AppError> {
    metrics().submitted(held.definition().kind(), SubmitResult::Invalid);
    // Only here, because a page asks for more than the next task's address does.
    let page = Page::extract(request).await?;
    let mut view = held.view(&page, &access, db).await?;
    // Whoever sends it again still knows no more than before.
    view.version = form.window().seen.unwrap_or(view.version);
    (view.form, view.errors, view.is_unsaved) = (form, errors, true);
    Ok(page::unprocessable(held.render(page, access, view, db).await?))
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
    query: TypedQuery<Quiet>,
    form: TypedForm<TaskForm>,
    session: Session,
    db: Db,
) -> Result<HttpResponse, AppError> {
    let form = form.into_inner();
    let outcome = drafts::keep(&db, by.account.id, held.assignment.id, form.clone()).await?;
    match outcome.ok_or(AppError::NotFound)? {
        DraftOutcome::Kept { version, is_held } if query.quiet => {
            let is_erased = !is_held && held.is_erased(&db).await?;
            let is_answered = held.assignment.state.may_have_answers();
            Ok(HttpResponse::Ok().json(json!({
                "version": version, "is_held": is_held, "is_erased": is_erased, "is_answered": is_answered,
            })))
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
    query: TypedQuery<Quiet>,
    form: TypedForm<TaskForm>,
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
