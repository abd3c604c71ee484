//! `/sign-in` and `/sign-out`.

use crate::{
    people::{accounts, audit},
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
    refused: bool,
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
        refused: false,
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
        return page::invalid(&SignInPage { page, login, next, refused: true });
    };
    session::sign_in(&session, account.id)?;
    audit::record(db.get_ref(), account.id, "session.create", account.id, json!({})).await?;
    Ok(page::see_other(&address::local_or_home(&next)))
}

pub async fn sign_out(
    SignedIn(account): SignedIn,
    session: Session,
    db: web::Data<DatabaseConnection>,
) -> Result<HttpResponse, AppError> {
    session.purge();
    audit::record(db.get_ref(), account.id, "session.delete", account.id, json!({})).await?;
    let mut left = page::see_other(&address::address("/sign-in"));
    // "Back" shows the next person nothing. What is kept by account, the page's script clears: all of
    // the browser's storage would be other people's too.
    left.headers_mut().insert(CLEAR_SITE_DATA, HeaderValue::from_static("\"cache\""));
    Ok(left)
}
