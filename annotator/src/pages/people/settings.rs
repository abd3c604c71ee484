//! `/settings` and `/language`: what a person chooses for themselves.

use crate::{
    people::{accounts, audit},
    web::{
        access::SignedIn,
        address, csrf,
        error::AppError,
        form::FieldErrors,
        i18n::{self, Language},
        message::Message,
        page::{self, Page},
        principal::current_account,
        session,
    },
};
use actix_session::Session;
use actix_web::{
    HttpRequest, HttpResponse,
    cookie::{Cookie, SameSite, time::Duration},
    web,
};
use askama::Template;
use entity::account;
use sea_orm::{ActiveModelTrait, ActiveValue::Set, DatabaseConnection, IntoActiveModel};
use serde::Deserialize;
use serde_json::json;

#[derive(Template)]
#[template(path = "settings.html")]
struct SettingsPage {
    page: Page,
    account: account::Model,
    errors: FieldErrors,
    min_password_length: usize,
}

impl SettingsPage {
    fn new(page: Page, account: account::Model, errors: FieldErrors) -> Self {
        Self { page, account, errors, min_password_length: accounts::MIN_PASSWORD_LENGTH }
    }
}

pub async fn show(page: Page, SignedIn(account): SignedIn) -> Result<HttpResponse, AppError> {
    page::html(&SettingsPage::new(page, account, FieldErrors::default()))
}

#[derive(Deserialize)]
pub struct PasswordForm {
    current: String,
    new: String,
    again: String,
}

/// Changes the password and ends every session of the account but a fresh one here.
pub async fn change_password(
    page: Page,
    SignedIn(account): SignedIn,
    form: web::Form<PasswordForm>,
    session: Session,
    db: web::Data<DatabaseConnection>,
) -> Result<HttpResponse, AppError> {
    let PasswordForm { current, new, again } = form.into_inner();
    let mut errors = FieldErrors::default();
    if accounts::authenticate(db.get_ref(), &account.login, current).await?.is_none() {
        errors.add("current", "settings-current-wrong");
    }
    if new.chars().count() < accounts::MIN_PASSWORD_LENGTH {
        errors.add(
            "new",
            Message::new("settings-new-short").with("n", accounts::MIN_PASSWORD_LENGTH),
        );
    } else if new != again {
        errors.add("again", "settings-again-differs");
    }
    if !errors.is_empty() {
        return page::invalid(&SettingsPage::new(page, account, errors));
    }
    let id = account.id;
    let mut row = account.into_active_model();
    row.password_hash = Set(accounts::hash_password(new).await?);
    row.password_is_one_time = Set(false);
    row.update(db.get_ref()).await?;
    session::end_all(db.get_ref(), id).await?;
    session.renew();
    csrf::renew(&session)?;
    audit::record(db.get_ref(), id, "account.change_password", id, json!({})).await?;
    page::notify(&session, "notice-password-changed", "")?;
    Ok(page::see_other("/settings"))
}

#[derive(Deserialize)]
pub struct LanguageForm {
    language: String,
    #[serde(default)]
    next: String,
}

/// Kept with the account of whoever is signed in, and in the browser.
pub async fn choose_language(
    request: HttpRequest,
    form: web::Form<LanguageForm>,
    db: web::Data<DatabaseConnection>,
) -> Result<HttpResponse, AppError> {
    let language = Language::from_code(&form.language).ok_or_else(|| {
        AppError::bad_request(Message::new("language-unknown").with("code", form.language.as_str()))
    })?;
    if let Some(account) = current_account(&request).await? {
        let mut row = account.into_active_model();
        row.language = Set(Some(language.code().to_owned()));
        row.update(db.get_ref()).await?;
    }
    let cookie = Cookie::build(i18n::LANGUAGE_COOKIE, language.code())
        .path("/")
        .http_only(true)
        .same_site(SameSite::Lax)
        .max_age(Duration::days(365))
        .finish();
    let mut response = page::see_other(&address::local_or_home(&form.next));
    response.add_cookie(&cookie).map_err(|error| anyhow::anyhow!("{error}"))?;
    Ok(response)
}
