//! `/projects/{project}/delete` and `/restore`: what hangs on a project, hiding it from everybody,
//! and bringing it back.

use crate::{
    keeping::deletion::projects::{self, Hanging},
    web::{
        access::{Access, Admin, Owner},
        error::AppError,
        form::FieldErrors,
        format,
        page::{self, Page},
    },
};
use actix_session::Session;
use actix_web::{HttpResponse, web};
use askama::Template;
use entity::{ids::ProjectId, project};
use sea_orm::{DatabaseConnection, EntityTrait};
use serde::Deserialize;

#[derive(Template)]
#[template(path = "projects/delete.html")]
struct DeleteProjectPage {
    page: Page,
    access: Access,
    hanging: Hanging,
    typed: String,
    errors: FieldErrors,
}

impl DeleteProjectPage {
    async fn new(
        db: &DatabaseConnection,
        page: Page,
        access: Access,
        typed: String,
        errors: FieldErrors,
    ) -> Result<Self, AppError> {
        let hanging = Hanging::on(db, access.project.id).await?;
        Ok(Self { page, access, hanging, typed, errors })
    }

    fn size(&self) -> String {
        format::bytes(self.hanging.n_bytes)
    }

    /// For how long it can be restored.
    fn n_days(&self) -> u64 {
        projects::RESTORABLE.as_secs() / (24 * 60 * 60)
    }
}

pub async fn show(
    page: Page,
    Owner(access): Owner,
    db: web::Data<DatabaseConnection>,
) -> Result<HttpResponse, AppError> {
    let (typed, errors) = (String::new(), FieldErrors::default());
    page::html(&DeleteProjectPage::new(&db, page, access, typed, errors).await?)
}

#[derive(Deserialize)]
pub struct DeleteForm {
    name: String,
}

/// Whoever types its name means this project.
pub async fn delete(
    page: Page,
    Owner(access): Owner,
    form: web::Form<DeleteForm>,
    session: Session,
    db: web::Data<DatabaseConnection>,
) -> Result<HttpResponse, AppError> {
    let typed = form.into_inner().name;
    if typed.trim() != access.project.name {
        let mut errors = FieldErrors::default();
        errors.add("name", "project-delete-other-name");
        return page::invalid(&DeleteProjectPage::new(&db, page, access, typed, errors).await?);
    }
    projects::delete(&db, &access.project, access.account.id).await?;
    page::notify(&session, "notice-project-deleted", &access.project.name)?;
    Ok(page::see_other("/"))
}

pub async fn restore(
    Admin(account): Admin,
    path: web::Path<ProjectId>,
    session: Session,
    db: web::Data<DatabaseConnection>,
) -> Result<HttpResponse, AppError> {
    let project = project::Entity::find_by_id(path.into_inner()).one(db.get_ref()).await?;
    let project = project.ok_or(AppError::NotFound)?;
    if project.purged_at.is_some() {
        return Err(AppError::conflict("project-purged"));
    }
    if projects::restore(&db, &project, account.id).await? {
        page::notify(&session, "notice-project-restored", &project.name)?;
    }
    Ok(page::see_other(&format!("/projects/{}", project.id)))
}
