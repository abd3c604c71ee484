//! What is done with accounts, by administrators and by people with their own: checked, with its
//! line in the audit log in the same transaction. Callers need no page.

use crate::{
    people::{
        accounts::{self, NewAccount},
        administrators::{self, AdministratorError},
        audit::{self, AuditAction, AuditSubject},
        links::{self, FreshLink},
        password_hashing::PasswordSender,
        passwords::{self, NO_PASSWORD, NewPassword},
    },
    web::{
        error::AppError,
        form::{FieldErrors, FormError},
        session,
        typed::MAX_NAME,
    },
};
use entity::{account, account_link::LinkPurpose, ids::AccountId, time::UnixMillis};
use sea_orm::{
    ActiveModelTrait,
    ActiveValue::Set,
    ColumnTrait, ConnectionTrait, DatabaseConnection, DbErr, EntityTrait, IntoActiveModel,
    QueryFilter,
    sea_query::{Expr, ExprTrait},
};
use serde_json::json;
use storage::database::write;

/// Somebody who is to get an account, as typed.
#[derive(Clone)]
pub struct NewPerson {
    pub login: String,
    pub name: String,
    pub is_admin: bool,
}

impl NewPerson {
    /// What is wrong with it, whose name is cleaned; a login that is taken is found when it is
    /// stored.
    fn mistakes(&mut self) -> FieldErrors {
        let mut errors = FieldErrors::default();
        self.name = errors.line("name", &self.name, MAX_NAME);
        if !accounts::is_login(&self.login) {
            errors.add("login", "people-login-wrong");
        }
        if self.name.is_empty() {
            errors.add("name", "people-name-missing");
        }
        errors
    }
}

/// Makes an account, and the link with which its person sets a password.
pub async fn create(
    db: &DatabaseConnection,
    by: &account::Model,
    mut person: NewPerson,
) -> Result<FreshLink, FormError> {
    person.mistakes().or_invalid()?;
    let person = &person;
    write(db, |turn| async move {
        administrators::hold(&*turn, by).await?;
        let Some((_, link)) = invite(&*turn, by.id, person.clone()).await? else {
            return Err(FieldErrors::one("login", "people-login-taken").into());
        };
        Ok(link)
    })
    .await
}

/// Stores an account without a password, its invitation and its line. None when the login is taken.
pub async fn invite(
    turn: &impl ConnectionTrait,
    by: AccountId,
    person: NewPerson,
) -> Result<Option<(account::Model, FreshLink)>, DbErr> {
    let new = NewAccount {
        login: person.login,
        display_name: person.name,
        password_hash: NO_PASSWORD.to_owned(),
        is_admin: person.is_admin,
        password_is_one_time: false,
    };
    let Some(account) = accounts::create_unless_taken(turn, new).await? else { return Ok(None) };
    let link = links::make(turn, &account, LinkPurpose::Invitation).await?;
    let details = json!({"login": account.login, "is_admin": account.is_admin});
    let subject = AuditSubject::of_all(account.id);
    audit::record(turn, by, AuditAction::AccountCreate, subject, details).await?;
    Ok(Some((account, link)))
}

/// Stores an account that somebody at a shell makes; its login.
pub async fn create_from_shell(db: &DatabaseConnection, new: NewAccount) -> Result<String, DbErr> {
    let new = &new;
    write(db, |turn| async move {
        let account = accounts::create_account(&*turn, new.clone()).await?;
        let details = json!({"login": account.login, "is_admin": account.is_admin, "shell": true});
        let subject = AuditSubject::of_all(account.id);
        audit::record(&*turn, None, AuditAction::AccountCreate, subject, details).await?;
        Ok(account.login)
    })
    .await
}

/// Takes the password of somebody who lost it away; their sessions end, and a link lets them set a
/// new one.
pub async fn reset_password(
    db: &DatabaseConnection,
    by: &account::Model,
    account: &account::Model,
) -> Result<FreshLink, AdministratorError> {
    if account.id == by.id {
        return Err(AdministratorError::OwnAccount);
    }
    write(db, |turn| async move {
        hold(&*turn, by, account.id).await?;
        let changes = account::ActiveModel {
            password_hash: Set(NO_PASSWORD.to_owned()),
            password_is_one_time: Set(false),
            password_expires_at: Set(None),
            ..Default::default()
        };
        passwords::change(&*turn, account.id, changes).await?;
        let link = links::make(&*turn, account, LinkPurpose::Reset).await?;
        let subject = AuditSubject::of_all(account.id);
        audit::record(&*turn, by.id, AuditAction::AccountResetPassword, subject, json!({})).await?;
        Ok(link)
    })
    .await
}

/// Lets one administrator at a time change accounts, none of somebody who was erased.
async fn hold(
    turn: &impl ConnectionTrait,
    by: &account::Model,
    account: AccountId,
) -> Result<(), AdministratorError> {
    administrators::hold(turn, by).await?;
    match accounts::hold_unerased(turn, account).await? {
        true => Ok(()),
        false => Err(AdministratorError::Erased),
    }
}

/// What came of a reset from a shell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShellReset {
    Done,
    NoAccount,
    /// Who this was is erased for the law.
    Erased,
}

/// Gives an account that is there a one-time password that lapses, from a shell: for an
/// administrator whom nobody else can let in.
pub async fn reset_from_shell(
    db: &DatabaseConnection,
    login: &str,
    password: &str,
) -> anyhow::Result<ShellReset> {
    let hash = &accounts::hash_password(password.to_owned()).await?;
    write(db, |turn| async move {
        let Some(account) = accounts::find_by_login(&*turn, login).await? else {
            return Ok(ShellReset::NoAccount);
        };
        if !accounts::hold_unerased(&*turn, account.id).await? {
            return Ok(ShellReset::Erased);
        }
        let until = UnixMillis::now().plus(links::lifetime(LinkPurpose::Reset));
        let changes = account::ActiveModel {
            password_hash: Set(hash.clone()),
            password_is_one_time: Set(true),
            password_expires_at: Set(Some(until)),
            disabled_at: Set(None),
            ..Default::default()
        };
        passwords::change(&*turn, account.id, changes).await?;
        links::withdraw(&*turn, account.id).await?;
        let (subject, details) = (AuditSubject::of_all(account.id), json!({"shell": true}));
        audit::record(&*turn, None, AuditAction::AccountResetPassword, subject, details).await?;
        Ok(ShellReset::Done)
    })
    .await
}

/// Lets somebody in no more: their sessions, streams and link end. What they wrote stays. Twice is
/// once.
pub async fn disable(
    db: &DatabaseConnection,
    by: &account::Model,
    account: AccountId,
) -> Result<(), AdministratorError> {
    set_disabled(db, by, account, Some(UnixMillis::now()), AuditAction::AccountDisable).await
}

/// Lets somebody in again. Twice is once.
pub async fn enable(
    db: &DatabaseConnection,
    by: &account::Model,
    account: AccountId,
) -> Result<(), AdministratorError> {
    set_disabled(db, by, account, None, AuditAction::AccountEnable).await
}

async fn set_disabled(
    db: &DatabaseConnection,
    by: &account::Model,
    account: AccountId,
    disabled_at: Option<UnixMillis>,
    action: AuditAction,
) -> Result<(), AdministratorError> {
    if account == by.id {
        return Err(AdministratorError::OwnAccount);
    }
    write(db, |turn| async move {
        hold(&*turn, by, account).await?;
        let is_other = match disabled_at {
            Some(_) => account::Column::DisabledAt.is_null(),
            None => account::Column::DisabledAt.is_not_null(),
        };
        let changed = account::Entity::update_many()
            .col_expr(account::Column::DisabledAt, Expr::value(disabled_at))
            .col_expr(account::Column::Stamp, Expr::col(account::Column::Stamp).add(1))
            .filter(account::Column::Id.eq(account))
            .filter(is_other)
            .exec(&*turn)
            .await?;
        if changed.rows_affected == 0 {
            return Ok(());
        }
        session::end_all(&*turn, account).await?;
        links::withdraw(&*turn, account).await?;
        audit::record(&*turn, by.id, action, AuditSubject::of_all(account), json!({})).await?;
        Ok(())
    })
    .await
}

/// A change of one's own password, as typed.
pub struct PasswordChange {
    pub current: String,
    pub new: NewPassword,
}

/// Changes a person's own password and ends every session of theirs; the account as it is then.
pub async fn change_password(
    db: &DatabaseConnection,
    account: account::Model,
    typed: PasswordChange,
) -> Result<account::Model, FormError> {
    let mut errors = FieldErrors::default();
    let sender = PasswordSender::Known;
    if accounts::authenticate(db, sender, &account.login, typed.current).await?.is_none() {
        errors.add("current", "settings-current-wrong");
    }
    typed.new.check(&mut errors);
    errors.or_invalid()?;
    let (account, hash) = (&account, &typed.new.hashed().await?);
    write(db, |turn| async move {
        let Some(account) = passwords::set(&*turn, account, hash.clone()).await? else {
            // Reset or locked since the current one was looked at: that stands.
            return Err(AppError::Forbidden.into());
        };
        let subject = AuditSubject::of_all(account.id);
        audit::record(&*turn, account.id, AuditAction::AccountChangePassword, subject, json!({}))
            .await?;
        Ok(account)
    })
    .await
}

/// Keeps the language that a person chose: the code of one that the app speaks.
pub async fn choose_language(
    db: &DatabaseConnection,
    account: account::Model,
    code: &str,
) -> Result<(), DbErr> {
    let account = &account;
    write(db, |turn| async move {
        let mut row = account.clone().into_active_model();
        row.language = Set(Some(code.to_owned()));
        row.update(&*turn).await.map(drop)
    })
    .await
}
