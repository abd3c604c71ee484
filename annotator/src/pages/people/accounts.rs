//! `/admin/people`: every account of the installation.

use crate::{
    people::account_changes::{self, NewPerson, OneTimeLogin},
    web::{
        access::Admin,
        address,
        error::AppError,
        form::{FieldErrors, FormError},
        of::Of,
        page::{self, Page},
        typed::TypedForm,
    },
};
use actix_session::Session;
use actix_web::{HttpResponse, web};
use askama::Template;
use entity::account;
use sea_orm::{DatabaseConnection, EntityTrait, QueryOrder};
use serde::Deserialize;

#[derive(Template)]
#[template(path = "admin/people/list.html")]
struct AdminPeoplePage {
    page: Page,
    me: account::Model,
    people: Vec<account::Model>,
    form: PersonForm,
    errors: FieldErrors,
    /// Shown once.
    created: Option<OneTimeLogin>,
}

#[derive(Default, Deserialize)]
pub struct PersonForm {
    login: String,
    name: String,
    #[serde(default)]
    admin: Option<String>,
}

impl PersonForm {
    fn person(&self) -> NewPerson {
        let Self { login, name, admin } = self;
        NewPerson { login: login.clone(), name: name.clone(), is_admin: admin.is_some() }
    }
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
    form: TypedForm<PersonForm>,
    db: web::Data<DatabaseConnection>,
) -> Result<HttpResponse, AppError> {
    let created = account_changes::create(&db, me.id, form.person()).await;
    let mut view = AdminPeoplePage::new(page, me, &db).await?;
    match created {
        Ok(created) => {
            view.created = Some(created);
            page::html(&view)
        }
        Err(FormError::Invalid(errors)) => {
            (view.form, view.errors) = (form.into_inner(), errors);
            page::invalid(&view)
        }
        Err(FormError::Failed(error)) => Err(error),
    }
}

/// A fresh one-time password for somebody who lost theirs; their sessions end.
pub async fn reset_password(
    page: Page,
    Of(Admin(me), account): Of<Admin, account::Model>,
    db: web::Data<DatabaseConnection>,
) -> Result<HttpResponse, AppError> {
    let created = account_changes::reset_password(&db, me.id, account).await?;
    let mut view = AdminPeoplePage::new(page, me, &db).await?;
    view.created = Some(created);
    page::html(&view)
}

/// Lets somebody in no more, or lets them in again. What they wrote stays.
pub async fn disable(
    Of(Admin(me), account): Of<Admin, account::Model>,
    session: Session,
    db: web::Data<DatabaseConnection>,
) -> Result<HttpResponse, AppError> {
    let is_disabled = account.disabled_at.is_none();
    account_changes::set_disabled(&db, me.id, account, is_disabled).await?;
    page::notify(&session, "notice-saved", "")?;
    Ok(page::see_other(&address::address("/admin/people")))
}
