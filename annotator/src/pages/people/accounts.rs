//! `/admin/people`: every account of the installation.

use crate::{
    people::{accounts, accounts::NewAccount, audit},
    web::{
        access::Admin,
        error::AppError,
        form::FieldErrors,
        page::{self, Page},
        session,
    },
};
use actix_session::Session;
use actix_web::{HttpResponse, web};
use askama::Template;
use entity::{account, ids::AccountId, time::UnixMillis};
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, DatabaseConnection, EntityTrait, IntoActiveModel,
    QueryOrder,
};
use serde::Deserialize;
use serde_json::json;

#[derive(Template)]
#[template(path = "admin/people.html")]
struct AdminPeoplePage {
    page: Page,
    me: account::Model,
    people: Vec<account::Model>,
    form: PersonForm,
    errors: FieldErrors,
    /// Shown once: the login and the one-time password that was just made.
    created: Option<(String, String)>,
}

#[derive(Default, Deserialize)]
pub struct PersonForm {
    login: String,
    name: String,
    #[serde(default)]
    admin: Option<String>,
}

impl AdminPeoplePage {
    async fn new(
        page: Page,
        me: account::Model,
        db: &DatabaseConnection,
    ) -> Result<Self, AppError> {
        let people = account::Entity::find().order_by_asc(account::Column::Login).all(db).await?;
        let (form, errors) = (PersonForm::default(), FieldErrors::default());
        Ok(Self { page, me, people, form, errors, created: None })
    }
}

pub async fn people(
    page: Page,
    Admin(me): Admin,
    db: web::Data<DatabaseConnection>,
) -> Result<HttpResponse, AppError> {
    page::html(&AdminPeoplePage::new(page, me, db.get_ref()).await?)
}

pub async fn create_person(
    page: Page,
    Admin(me): Admin,
    form: web::Form<PersonForm>,
    db: web::Data<DatabaseConnection>,
) -> Result<HttpResponse, AppError> {
    let form = form.into_inner();
    let mut errors = FieldErrors::default();
    if !accounts::is_login(&form.login) {
        errors.add("login", "people-login-wrong");
    } else if accounts::find_by_login(db.get_ref(), &form.login).await?.is_some() {
        errors.add("login", "people-login-taken");
    }
    if form.name.trim().is_empty() {
        errors.add("name", "people-name-missing");
    }
    if !errors.is_empty() {
        let mut view = AdminPeoplePage::new(page, me, db.get_ref()).await?;
        (view.form, view.errors) = (form, errors);
        return page::invalid(&view);
    }
    let password = accounts::one_time_password();
    let new = NewAccount {
        login: form.login,
        display_name: form.name,
        password_hash: accounts::hash_password(password.clone()).await?,
        is_admin: form.admin.is_some(),
        password_is_one_time: true,
    };
    let account = accounts::create_account(db.get_ref(), new).await?;
    let details = json!({"login": account.login, "is_admin": account.is_admin});
    audit::record(db.get_ref(), me.id, "account.create", account.id, details).await?;
    let mut view = AdminPeoplePage::new(page, me, db.get_ref()).await?;
    view.created = Some((account.login, password));
    page::html(&view)
}

async fn find(
    db: &DatabaseConnection,
    path: web::Path<AccountId>,
) -> Result<account::Model, AppError> {
    account::Entity::find_by_id(path.into_inner()).one(db).await?.ok_or(AppError::NotFound)
}

/// A fresh one-time password for somebody who lost theirs; their sessions end.
pub async fn reset_password(
    page: Page,
    Admin(me): Admin,
    path: web::Path<AccountId>,
    db: web::Data<DatabaseConnection>,
) -> Result<HttpResponse, AppError> {
    let account = find(db.get_ref(), path).await?;
    let password = accounts::one_time_password();
    let (id, login) = (account.id, account.login.clone());
    let mut row = account.into_active_model();
    row.password_hash = Set(accounts::hash_password(password.clone()).await?);
    row.password_is_one_time = Set(true);
    row.update(db.get_ref()).await?;
    session::end_all(db.get_ref(), id).await?;
    audit::record(db.get_ref(), me.id, "account.reset_password", id, json!({})).await?;
    let mut view = AdminPeoplePage::new(page, me, db.get_ref()).await?;
    view.created = Some((login, password));
    page::html(&view)
}

/// Lets somebody in no more, or lets them in again. What they wrote stays.
pub async fn disable(
    Admin(me): Admin,
    path: web::Path<AccountId>,
    session: Session,
    db: web::Data<DatabaseConnection>,
) -> Result<HttpResponse, AppError> {
    let account = find(db.get_ref(), path).await?;
    if account.id == me.id {
        return Err(AppError::bad_request("account-is-yours"));
    }
    let (id, was_disabled) = (account.id, account.disabled_at.is_some());
    let mut row = account.into_active_model();
    row.disabled_at = Set(if was_disabled { None } else { Some(UnixMillis::now()) });
    row.update(db.get_ref()).await?;
    session::end_all(db.get_ref(), id).await?;
    let action = if was_disabled { "account.enable" } else { "account.disable" };
    audit::record(db.get_ref(), me.id, action, id, json!({})).await?;
    page::notify(&session, "notice-saved", "")?;
    Ok(page::see_other("/admin/people"))
}
