//! `/sign-in` and `/sign-out`.

use crate::{
    metrics::{SignInResult, metrics},
    people::{
        accounts,
        audit::{self, AuditAction, AuditSubject},
        password_hashing::PasswordSender,
        sign_in_limit::{PasswordAttempt, SignInLimit},
    },
    web::{
        access::SignedIn,
        address,
        client_address::client_address,
        error::AppError,
        known_browser,
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
    let next = address::local_or_home(&query.next);
    if current_account(&request).await?.is_some() {
        return Ok(page::see_other(&next));
    }
    page::html(&SignInPage { page, login: String::new(), next, refused: None })
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
    limit: web::Data<SignInLimit>,
    session: Session,
    db: web::Data<DatabaseConnection>,
) -> Result<HttpResponse, AppError> {
    let SignInForm { login, password, next } = form.into_inner();
    let next = address::local_or_home(&next);
    if !accounts::is_login(&login) {
        metrics().signed_in(SignInResult::Refused);
        return page::invalid(&SignInPage {
            page,
            login: String::new(),
            next,
            refused: Some("sign-in-refused"),
        });
    }
    let login = accounts::normal_login(&login);
    let sender = count_attempt(&request, &limit, &login, &db).await.inspect_err(|error| {
        if matches!(error, AppError::TooManyAttempts) {
            metrics().signed_in(SignInResult::Limited);
        }
    })?;
    let Some(account) = accounts::authenticate(db.get_ref(), sender, &login, password).await?
    else {
        let from = client_address(&request).map(tracing::field::display);
        tracing::info!(login, from, "sign-in refused");
        metrics().signed_in(SignInResult::Refused);
        note_refusal(&db, &login).await?;
        return page::invalid(&SignInPage { page, login, next, refused: Some("sign-in-refused") });
    };
    if accounts::has_lapsed(&account) {
        metrics().signed_in(SignInResult::Lapsed);
        return page::invalid(&SignInPage { page, login, next, refused: Some("sign-in-lapsed") });
    }
    // The line first: there is no session without it.
    let subject = AuditSubject::of_all(account.id);
    audit::record_alone(db.get_ref(), account.id, AuditAction::SessionCreate, subject, json!({}))
        .await?;
    session::sign_in(&session, &account)?;
    metrics().signed_in(SignInResult::Accepted);
    let mut response = page::see_other(&next);
    known_browser::remember(&request, &account, &mut response);
    Ok(response)
}

/// Counts an attempt, or refuses it; whether it is that of somebody who signed in here before.
async fn count_attempt(
    request: &HttpRequest,
    limit: &SignInLimit,
    login: &str,
    db: &DatabaseConnection,
) -> Result<PasswordSender, AppError> {
    if known_browser::is_claimed(request) {
        let account = accounts::find_by_login(db, login).await?;
        let known = account
            .and_then(|account| Some((account.id, known_browser::number(request, &account)?)));
        if let Some((account, browser)) = known {
            limit.attempt(PasswordAttempt::Known(account, &browser))?;
            return Ok(PasswordSender::Known);
        }
    }
    limit.attempt(PasswordAttempt::Stranger(login, client_address(request)))?;
    Ok(PasswordSender::Stranger)
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
    audit::record_alone(db.get_ref(), account.id, AuditAction::SessionDelete, subject, json!({}))
        .await?;
    let mut left = page::see_other(&address::address("/sign-in"));
    // "Back" shows the next person nothing. What is kept by account, the page's script clears: all of
    // the browser's storage would be other people's too.
    left.headers_mut().insert(CLEAR_SITE_DATA, HeaderValue::from_static("\"cache\""));
    Ok(left)
}
