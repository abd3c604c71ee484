//! `/projects/{project}/delete` and `/restore`: what hangs on a project, hiding it from everybody,
//! and bringing it back.

use crate::{
    keeping::deletion::projects::{self, ProjectDeletionImpact},
    web::{
        access::{Access, Admin, Owner},
        address,
        error::AppError,
        form::{FieldErrors, FormError},
        format,
        of::Of,
        page::{self, Page},
        typed::TypedForm,
    },
};
use actix_session::Session;
use actix_web::{HttpResponse, web};
use askama::Template;
use entity::project;
use sea_orm::DatabaseConnection;
use serde::Deserialize;

#[derive(Template)]
#[template(path = "projects/delete.html")]
struct DeleteProjectPage {
    page: Page,
    access: Access,
    impact: ProjectDeletionImpact,
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
        let impact = ProjectDeletionImpact::of(db, access.project.id).await?;
        Ok(Self { page, access, impact, typed, errors })
    }

    fn size(&self) -> String {
        format::bytes(self.page.language, self.impact.n_bytes)
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
    form: TypedForm<DeleteForm>,
    session: Session,
    db: web::Data<DatabaseConnection>,
) -> Result<HttpResponse, AppError> {
    let typed = form.into_inner().name;
    match projects::delete_by_name(&db, &access.project, &typed, access.account.id).await {
        Ok(_) => {
            page::notify(&session, "notice-project-deleted", &access.project.name)?;
            Ok(page::see_other(&address::address("/")))
        }
        Err(FormError::Invalid(errors)) => {
            page::invalid(&DeleteProjectPage::new(&db, page, access, typed, errors).await?)
        }
        Err(FormError::Failed(error)) => Err(error),
    }
}

pub async fn restore(
    Of(Admin(account), project): Of<Admin, project::Model>,
    session: Session,
    db: web::Data<DatabaseConnection>,
) -> Result<HttpResponse, AppError> {
    if projects::bring_back(&db, &project, account.id).await? {
        page::notify(&session, "notice-project-restored", &project.name)?;
    }
    Ok(page::see_other(&address::in_project(project.id, "")))
}
