//! `/settings` and `/language`: what a person chooses for themselves.

use crate::{
    people::{
        account_changes::{self, PasswordChange},
        accounts,
        passwords::NewPassword,
        sign_in_limit::{PasswordAttempt, SignInLimit},
    },
    web::{
        access::SignedIn,
        address, cookies,
        error::AppError,
        form::{FieldErrors, FormError},
        i18n::{self, Language},
        known_browser,
        message::Message,
        page::{self, Page},
        principal::current_account,
        session,
        typed::TypedForm,
    },
};
use actix_session::Session;
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use entity::account;
use sea_orm::DatabaseConnection;
use serde::Deserialize;

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

/// Changes the password and ends every session of the account but a fresh one here. The current one
/// can be guessed here no more often than at sign-in.
pub async fn change_password(
    page: Page,
    SignedIn(account): SignedIn,
    form: TypedForm<PasswordForm>,
    session: Session,
    db: web::Data<DatabaseConnection>,
    (request, limit): (HttpRequest, web::Data<SignInLimit>),
) -> Result<HttpResponse, AppError> {
    limit.attempt(PasswordAttempt::Known(account.id, "signed in"))?;
    let PasswordForm { current, new, again } = form.into_inner();
    let change = PasswordChange { current, new: NewPassword { new, again } };
    match account_changes::change_password(&db, account.clone(), change).await {
        Ok(account) => {
            session::sign_in(&session, &account)?;
            page::notify(&session, "notice-password-changed", "")?;
            let mut response = page::see_other(&address::address("/settings"));
            // The browser stays known, under the new password.
            known_browser::remember(&request, &account, &mut response);
            Ok(response)
        }
        Err(FormError::Invalid(errors)) => page::invalid(&SettingsPage::new(page, account, errors)),
        Err(FormError::Failed(error)) => Err(error),
    }
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
    form: TypedForm<LanguageForm>,
    db: web::Data<DatabaseConnection>,
) -> Result<HttpResponse, AppError> {
    let language = Language::from_code(&form.language).ok_or_else(|| {
        AppError::bad_request(Message::new("language-unknown").with("code", form.language.as_str()))
    })?;
    if let Some(account) = current_account(&request).await? {
        account_changes::choose_language(&db, account, language.code()).await?;
    }
    let (name, code) = (i18n::LANGUAGE_COOKIE.to_owned(), language.code().to_owned());
    let cookie = cookies::lasting(&request, name, code);
    let mut response = page::see_other(&address::local_or_home(&form.next));
    response.add_cookie(&cookie).map_err(|error| anyhow::anyhow!("{error}"))?;
    Ok(response)
}
