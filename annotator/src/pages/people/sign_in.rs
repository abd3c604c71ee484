//! `/sign-in` and `/sign-out`.

use crate::{
    people::{
        accounts,
        audit::{self, AuditAction, AuditSubject},
    },
    web::{
        access::SignedIn,
        address,
        error::AppError,
        page::{self, Page},
        principal::current_account,
        session,
        typed::{TypedForm, TypedQuery},
    },
};
use actix_session::Session;
use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{CLEAR_SITE_DATA, HeaderValue},
    web,
};
use askama::Template;
use sea_orm::DatabaseConnection;
use serde::Deserialize;
use serde_json::json;

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignInPage {
    page: Page,
    login: String,
    next: String,
    /// Why somebody was not let in, as a Fluent key.
    refused: Option<&'static str>,
}

#[derive(Deserialize)]
pub struct SignInQuery {
    #[serde(default)]
    next: String,
}

pub async fn show(
    request: HttpRequest,
    page: Page,
    query: TypedQuery<SignInQuery>,
) -> Result<HttpResponse, AppError> {
    if current_account(&request).await?.is_some() {
        return Ok(page::see_other(&address::local_or_home(&query.next)));
    }
    page::html(&SignInPage {
        page,
        login: String::new(),
        next: query.into_inner().next,
        refused: None,
    })
}

#[derive(Deserialize)]
pub struct SignInForm {
    login: String,
    password: String,
    #[serde(default)]
    next: String,
}

pub async fn sign_in(
    page: Page,
    form: TypedForm<SignInForm>,
    request: HttpRequest,
    limit: web::Data<accounts::SignInLimit>,
    session: Session,
    db: web::Data<DatabaseConnection>,
) -> Result<HttpResponse, AppError> {
    let SignInForm { login, password, next } = form.into_inner();
    limit.attempt(&login, request.peer_addr().map(|address| address.ip()))?;
    let Some(account) = accounts::authenticate(db.get_ref(), &login, password).await? else {
        tracing::info!(login = accounts::normal_login(&login), "sign-in refused");
        note_refusal(&db, &login).await?;
        return page::invalid(&SignInPage { page, login, next, refused: Some("sign-in-refused") });
    };
    if accounts::has_lapsed(&account) {
        return page::invalid(&SignInPage { page, login, next, refused: Some("sign-in-lapsed") });
    }
    // The line first: there is no session without it.
    let subject = AuditSubject::of_all(account.id);
    audit::record(db.get_ref(), account.id, AuditAction::SessionCreate, subject, json!({})).await?;
    session::sign_in(&session, &account)?;
    Ok(page::see_other(&address::local_or_home(&next)))
}

/// Beside the answer, which takes as long for a login that nobody has.
async fn note_refusal(db: &DatabaseConnection, login: &str) -> Result<(), AppError> {
    let Some(account) = accounts::find_by_login(db, login).await? else { return Ok(()) };
    let db = db.clone();
    actix_web::rt::spawn(async move {
        if let Err(error) = audit::record_refusal(&db, account.id).await {
            tracing::warn!(%error, "a refused sign-in is not in the audit log");
        }
    });
    Ok(())
}

pub async fn sign_out(
    SignedIn(account): SignedIn,
    session: Session,
    db: web::Data<DatabaseConnection>,
) -> Result<HttpResponse, AppError> {
    session.purge();
    let subject = AuditSubject::of_all(account.id);
    audit::record(db.get_ref(), account.id, AuditAction::SessionDelete, subject, json!({})).await?;
    let mut left = page::see_other(&address::address("/sign-in"));
    // "Back" shows the next person nothing. What is kept by account, the page's script clears: all of
    // the browser's storage would be other people's too.
    left.headers_mut().insert(CLEAR_SITE_DATA, HeaderValue::from_static("\"cache\""));
    Ok(left)
}
