//! `/admin/people`: every account of the installation.

use crate::{
    pages::people::welcome::ShownLink,
    people::{
        account_changes::{self, NewPerson},
        accounts,
        person_name::PersonName,
    },
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
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use entity::{account, ids::AccountId};
use sea_orm::{DatabaseConnection, EntityTrait, QueryOrder};
use serde::Deserialize;
use std::collections::HashSet;

#[derive(Template)]
#[template(path = "admin/people/list.html")]
struct AdminPeoplePage {
    page: Page,
    me: account::Model,
    people: Vec<account::Model>,
    /// Those of them who were erased for the law.
    erased: HashSet<AccountId>,
    form: PersonForm,
    errors: FieldErrors,
    /// Shown once.
    created: Option<ShownLink>,
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
        let erased = accounts::erased(db).await?;
        Ok(Self { page, me, people, erased, form, errors, created: None })
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
    request: HttpRequest,
    db: web::Data<DatabaseConnection>,
) -> Result<HttpResponse, AppError> {
    let created = account_changes::create(&db, &me, form.person()).await;
    let mut view = AdminPeoplePage::new(page, me, &db).await?;
    match created {
        Ok(link) => {
            view.created = Some(ShownLink::new(&request, link));
            page::html(&view)
        }
        Err(FormError::Invalid(errors)) => {
            (view.form, view.errors) = (form.into_inner(), errors);
            page::invalid(&view)
        }
        Err(FormError::Failed(error)) => Err(error),
    }
}

/// A link for somebody who lost their password; their sessions end.
pub async fn reset_password(
    page: Page,
    Of(Admin(me), account): Of<Admin, account::Model>,
    request: HttpRequest,
    db: web::Data<DatabaseConnection>,
) -> Result<HttpResponse, AppError> {
    let link = account_changes::reset_password(&db, &me, &account).await?;
    let mut view = AdminPeoplePage::new(page, me, &db).await?;
    view.created = Some(ShownLink::new(&request, link));
    page::html(&view)
}

/// Lets somebody in no more. What they wrote stays.
pub async fn disable(
    Of(Admin(me), account): Of<Admin, account::Model>,
    session: Session,
    db: web::Data<DatabaseConnection>,
) -> Result<HttpResponse, AppError> {
    account_changes::disable(&db, &me, account.id).await?;
    back_to_people(&session, "notice-account-disabled", &account)
}

/// Lets somebody in again.
pub async fn enable(
    Of(Admin(me), account): Of<Admin, account::Model>,
    session: Session,
    db: web::Data<DatabaseConnection>,
) -> Result<HttpResponse, AppError> {
    account_changes::enable(&db, &me, account.id).await?;
    back_to_people(&session, "notice-account-enabled", &account)
}

fn back_to_people(
    session: &Session,
    notice: &str,
    account: &account::Model,
) -> Result<HttpResponse, AppError> {
    page::notify(session, notice, &account.display_name)?;
    Ok(page::see_other(&address::address("/admin/people")))
}
