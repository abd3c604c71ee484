//! `/projects/{project}/demonstrate`, `/compare` and `/tasks/{assignment}`: getting a task, and
//! what is the same for every kind of task. The kinds' own pages are beside this file.

use crate::{
    web::{
        access::{Access, Annotator, Author},
        address,
        error::AppError,
        markdown,
        page::{self, Page},
    },
    work::{
        assignment,
        judgement::{self, Mistake, StoreError, Submission, TaskForm},
        kinds::demonstrate::DemonstratePage,
        task_view::Held,
    },
};
use actix_session::Session;
use actix_web::{HttpResponse, http::header, web};
use askama::Template;
use entity::{ids::AssignmentId, task};
use sea_orm::DatabaseConnection;
use serde::Deserialize;

type Db = web::Data<DatabaseConnection>;

pub async fn demonstrate(page: Page, by: Annotator, db: Db) -> Result<HttpResponse, AppError> {
    next(page, by.0, &db, task::TaskKind::Demonstrate).await
}

pub async fn compare(page: Page, by: Annotator, db: Db) -> Result<HttpResponse, AppError> {
    next(page, by.0, &db, task::TaskKind::Compare).await
}

#[derive(Template)]
#[template(path = "tasks/none.html")]
struct NothingLeftPage {
    page: Page,
    access: Access,
    kind: task::TaskKind,
}

async fn next(
    page: Page,
    access: Access,
    db: &DatabaseConnection,
    kind: task::TaskKind,
) -> Result<HttpResponse, AppError> {
    match assignment::claim(db, access.account.id, access.project.id, kind).await? {
        Some(claimed) => Ok(page::see_other(&access.url(&format!("/tasks/{}", claimed.id)))),
        None => page::html(&NothingLeftPage { page, access, kind }),
    }
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
    by: Author,
    path: web::Path<TaskPath>,
    form: web::Form<TaskForm>,
    session: Session,
    db: Db,
) -> Result<HttpResponse, AppError> {
    let held = Held::find(&db, &by, path.assignment).await?;
    let parsed = match held.task.kind {
        task::TaskKind::Demonstrate => Submission::demonstration(&form),
        task::TaskKind::Compare => Submission::comparison(&form),
    };
    store_or_explain(page, by, held, form.into_inner(), parsed, &session, &db).await
}

pub async fn skip(
    page: Page,
    by: Author,
    path: web::Path<TaskPath>,
    form: web::Form<TaskForm>,
    session: Session,
    db: Db,
) -> Result<HttpResponse, AppError> {
    let held = Held::find(&db, &by, path.assignment).await?;
    let parsed = Submission::skip(&form);
    store_or_explain(page, by, held, form.into_inner(), parsed, &session, &db).await
}

/// Stores the answer and goes to the next task, or shows the form again with what is missing.
async fn store_or_explain(
    page: Page,
    by: Author,
    held: Held,
    form: TaskForm,
    parsed: Result<Submission, Mistake>,
    session: &Session,
    db: &DatabaseConnection,
) -> Result<HttpResponse, AppError> {
    let submission = match parsed {
        Ok(submission) => submission,
        Err(mistake) => {
            let mut view = held.view(&page, &by, db).await?;
            let (field, key) = explain(mistake);
            view.errors.add(field, key);
            view.form = form;
            return Ok(page::unprocessable(held.render(page, by.0, view, db).await?));
        }
    };
    let kind = held.task.kind;
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
    next(page, by.0, db, kind).await.map(|response| after_post(response, kind, &held))
}

/// Redirects stay; the page that says that nothing is left is shown at its own address.
fn after_post(response: HttpResponse, kind: task::TaskKind, held: &Held) -> HttpResponse {
    if response.headers().contains_key(header::LOCATION) {
        return response;
    }
    let rest = match kind {
        task::TaskKind::Demonstrate => "demonstrate",
        task::TaskKind::Compare => "compare",
    };
    page::see_other(&address::in_project(held.task.project_id, &format!("/{rest}")))
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
    by: Author,
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
