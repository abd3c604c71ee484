//! What is done with accounts, by administrators and by people with their own: checked, with its
//! line in the audit log. Callers need no page.

use crate::{
    people::{
        accounts::{self, NewAccount},
        audit,
    },
    web::{
        error::AppError,
        form::{FieldErrors, FormError},
        message::Message,
        session,
        typed::{MAX_NAME, MAX_PASSWORD},
    },
};
use entity::{account, ids::AccountId, time::UnixMillis};
use sea_orm::{ActiveModelTrait, ActiveValue::Set, DatabaseConnection, DbErr, IntoActiveModel};
use serde_json::json;

/// Somebody who is to get an account, as typed.
pub struct NewPerson {
    pub login: String,
    pub name: String,
    pub is_admin: bool,
}

/// A login and the one-time password that was just made for it: shown once, and then known to
/// nobody.
pub struct OneTimeLogin {
    pub login: String,
    pub password: String,
}

/// Makes an account with a one-time password.
pub async fn create(
    db: &DatabaseConnection,
    by: AccountId,
    mut person: NewPerson,
) -> Result<OneTimeLogin, FormError> {
    let mut errors = FieldErrors::default();
    person.name = errors.line("name", &person.name, MAX_NAME);
    if !accounts::is_login(&person.login) {
        errors.add("login", "people-login-wrong");
    } else if accounts::find_by_login(db, &person.login).await?.is_some() {
        errors.add("login", "people-login-taken");
    }
    if person.name.is_empty() {
        errors.add("name", "people-name-missing");
    }
    errors.or_invalid()?;
    let (new, password) = NewAccount::with_one_time_password(person).await?;
    let account = accounts::create_account(db, new).await;
    let account = account.map_err(FormError::if_taken("login", "people-login-taken"))?;
    let details = json!({"login": account.login, "is_admin": account.is_admin});
    audit::record(db, by, "account.create", account.id, details).await?;
    Ok(OneTimeLogin { login: account.login, password })
}

impl NewAccount {
    /// The account of a person, and its one-time password.
    pub async fn with_one_time_password(person: NewPerson) -> anyhow::Result<(Self, String)> {
        let password = accounts::one_time_password();
        let new = Self {
            login: person.login,
            display_name: person.name,
            password_hash: accounts::hash_password(password.clone()).await?,
            is_admin: person.is_admin,
            password_is_one_time: true,
        };
        Ok((new, password))
    }
}

/// A fresh one-time password for somebody who lost theirs; their sessions end.
pub async fn reset_password(
    db: &DatabaseConnection,
    by: AccountId,
    account: account::Model,
) -> Result<OneTimeLogin, AppError> {
    let password = accounts::one_time_password();
    let (id, login) = (account.id, account.login.clone());
    let mut row = account.into_active_model();
    row.password_hash = Set(accounts::hash_password(password.clone()).await?);
    row.password_is_one_time = Set(true);
    row.update(db).await?;
    session::end_all(db, id).await?;
    audit::record(db, by, "account.reset_password", id, json!({})).await?;
    Ok(OneTimeLogin { login, password })
}

/// Why somebody was not locked out.
#[derive(Debug, thiserror::Error)]
pub enum LockOutError {
    #[error("an administrator cannot lock themselves out")]
    OwnAccount,
    #[error(transparent)]
    Database(#[from] DbErr),
}

impl From<LockOutError> for AppError {
    fn from(error: LockOutError) -> Self {
        match error {
            LockOutError::OwnAccount => Self::bad_request("account-is-yours"),
            LockOutError::Database(error) => Self::Database(error),
        }
    }
}

/// Lets somebody in no more, or lets them in again. What they wrote stays.
pub async fn set_disabled(
    db: &DatabaseConnection,
    by: AccountId,
    account: account::Model,
    is_disabled: bool,
) -> Result<(), LockOutError> {
    if account.id == by {
        return Err(LockOutError::OwnAccount);
    }
    let id = account.id;
    let mut row = account.into_active_model();
    row.disabled_at = Set(is_disabled.then(UnixMillis::now));
    row.update(db).await?;
    session::end_all(db, id).await?;
    let action = if is_disabled { "account.disable" } else { "account.enable" };
    audit::record(db, by, action, id, json!({})).await?;
    Ok(())
}

/// A change of one's own password, as typed.
pub struct PasswordChange {
    pub current: String,
    pub new: String,
    pub again: String,
}

/// Changes a person's own password and ends every session of theirs.
pub async fn change_password(
    db: &DatabaseConnection,
    account: account::Model,
    typed: PasswordChange,
) -> Result<(), FormError> {
    let mut errors = FieldErrors::default();
    if accounts::authenticate(db, &account.login, typed.current).await?.is_none() {
        errors.add("current", "settings-current-wrong");
    }
    if typed.new.chars().count() < accounts::MIN_PASSWORD_LENGTH {
        let too_short = Message::new("settings-new-short");
        errors.add("new", too_short.with("n", accounts::MIN_PASSWORD_LENGTH));
    } else if typed.new.chars().count() > MAX_PASSWORD {
        errors.within("new", &typed.new, MAX_PASSWORD);
    } else if typed.new != typed.again {
        errors.add("again", "settings-again-differs");
    }
    errors.or_invalid()?;
    let id = account.id;
    let mut row = account.into_active_model();
    row.password_hash = Set(accounts::hash_password(typed.new).await?);
    row.password_is_one_time = Set(false);
    row.update(db).await?;
    session::end_all(db, id).await?;
    audit::record(db, id, "account.change_password", id, json!({})).await?;
    Ok(())
}

/// Keeps the language that a person chose: the code of one that the app speaks.
pub async fn choose_language(
    db: &DatabaseConnection,
    account: account::Model,
    code: &str,
) -> Result<(), DbErr> {
    let mut row = account.into_active_model();
    row.language = Set(Some(code.to_owned()));
    row.update(db).await.map(drop)
}
