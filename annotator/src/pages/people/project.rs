//! `/projects/new` and `/projects/{project}`: a project at a glance.

use crate::{
    people::projects::{self, ChangeOutcome, ProjectChange},
    web::{
        access::{Access, Admin, Manager, Member},
        address,
        error::AppError,
        form::{FieldErrors, FormError},
        page::{self, Page},
        shown_text::{self, ShownText},
        typed::TypedForm,
    },
    work::counts::{self, ProjectFigures, WaitingTasks},
};
use actix_session::Session;
use actix_web::{HttpResponse, web};
use askama::Template;
use entity::run;
use sea_orm::{ColumnTrait, DatabaseConnection, EntityTrait, PaginatorTrait, QueryFilter};
use serde::Deserialize;

#[derive(Template)]
#[template(path = "projects/new.html")]
struct NewProjectPage {
    page: Page,
    name: String,
    guidelines: String,
    errors: FieldErrors,
}

#[derive(Deserialize)]
pub struct NewProjectForm {
    name: String,
    #[serde(default)]
    guidelines: String,
}

pub async fn new(page: Page, _: Admin) -> Result<HttpResponse, AppError> {
    let (name, guidelines) = (String::new(), String::new());
    page::html(&NewProjectPage { page, name, guidelines, errors: FieldErrors::default() })
}

/// Makes the project; whoever made it may do everything in it.
pub async fn create(
    page: Page,
    Admin(account): Admin,
    form: TypedForm<NewProjectForm>,
    db: web::Data<DatabaseConnection>,
) -> Result<HttpResponse, AppError> {
    let NewProjectForm { name, guidelines } = form.into_inner();
    match projects::found(&db, account.id, &name, &guidelines).await {
        Ok(project) => Ok(page::see_other(&address::in_project(project.id, "/prompts"))),
        Err(FormError::Invalid(errors)) => {
            page::invalid(&NewProjectPage { page, name, guidelines, errors })
        }
        Err(FormError::Failed(error)) => Err(error),
    }
}

#[derive(Template)]
#[template(path = "projects/show.html")]
struct ProjectPage {
    page: Page,
    access: Access,
    waiting: WaitingTasks,
    guidelines: ShownText,
    /// Prompts, and what there is of each kind of task: Fluent key and number.
    figures: ProjectFigures,
    n_runs: u64,
    /// What stands in the fields.
    typed: ProjectChange,
    /// Whether what is stored is shown beside it: somebody else has changed it meanwhile.
    is_overtaken: bool,
    errors: FieldErrors,
}

impl ProjectPage {
    async fn load(
        page: Page,
        access: Access,
        typed: ProjectChange,
        errors: FieldErrors,
        db: &DatabaseConnection,
    ) -> Result<Self, AppError> {
        let id = access.project.id;
        Ok(Self {
            waiting: WaitingTasks::of(db, access.account.id, id).await?,
            guidelines: shown_text::markdown(&access.project.guidelines).await,
            figures: counts::figures(db, id).await?,
            n_runs: run::Entity::find().filter(run::Column::ProjectId.eq(id)).count(db).await?,
            page,
            access,
            typed,
            is_overtaken: false,
            errors,
        })
    }
}

pub async fn show(
    page: Page,
    Member(access): Member,
    db: web::Data<DatabaseConnection>,
) -> Result<HttpResponse, AppError> {
    let typed = ProjectChange::of(&access.project);
    page::html(&ProjectPage::load(page, access, typed, FieldErrors::default(), &db).await?)
}

/// Guidelines, and how many people judge each new comparison. 409 where somebody else has changed them
/// since the form was opened: the page shows both, and whoever sends it again has seen both.
pub async fn change(
    page: Page,
    Manager(mut access): Manager,
    form: TypedForm<ProjectChange>,
    session: Session,
    db: web::Data<DatabaseConnection>,
) -> Result<HttpResponse, AppError> {
    let mut typed = form.into_inner();
    match projects::change(&db, access.account.id, access.project.id, &typed).await {
        Ok(ChangeOutcome::Stored) => {
            page::notify(&session, "notice-saved", "")?;
            Ok(page::see_other(&access.url("")))
        }
        Ok(ChangeOutcome::Overtaken(stored)) => {
            typed.seen = ProjectChange::of(&stored).seen;
            access.project = *stored;
            let errors = FieldErrors::one("guidelines", "project-changed-meanwhile");
            let shown = ProjectPage::load(page, access, typed, errors, &db).await?;
            Ok(page::conflict(ProjectPage { is_overtaken: true, ..shown }.render()?))
        }
        Err(FormError::Invalid(errors)) => {
            page::invalid(&ProjectPage::load(page, access, typed, errors, &db).await?)
        }
        Err(FormError::Failed(error)) => Err(error),
    }
}
