//! `/projects/new` and `/projects/{project}`: a project at a glance.

use crate::{
    people::{audit, projects},
    web::{
        access::{Access, Admin, Manager, Member},
        error::AppError,
        form::FieldErrors,
        markdown,
        page::{self, Page},
    },
    work::counts::{self, WaitingTasks},
};
use actix_session::Session;
use actix_web::{HttpResponse, web};
use askama::Template;
use entity::{membership::ProjectRole, prompt, run};
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, DatabaseConnection, EntityTrait,
    IntoActiveModel, PaginatorTrait, QueryFilter,
};
use serde::Deserialize;
use serde_json::json;

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
    form: web::Form<NewProjectForm>,
    db: web::Data<DatabaseConnection>,
) -> Result<HttpResponse, AppError> {
    let NewProjectForm { name, guidelines } = form.into_inner();
    let mut errors = FieldErrors::default();
    if name.trim().is_empty() {
        errors.add("name", "project-name-missing");
    } else if projects::find_by_name(db.get_ref(), &name).await?.is_some() {
        errors.add("name", "project-name-taken");
    }
    if !errors.is_empty() {
        return page::invalid(&NewProjectPage { page, name, guidelines, errors });
    }
    let project = projects::create(db.get_ref(), &name, &guidelines).await?;
    for role in [ProjectRole::Manager, ProjectRole::Engineer, ProjectRole::Annotator] {
        projects::give_role(db.get_ref(), account.id, project.id, role).await?;
    }
    audit::record(db.get_ref(), account.id, "project.create", project.id, json!({"name": name}))
        .await?;
    Ok(page::see_other(&format!("/projects/{}/prompts", project.id)))
}

#[derive(Template)]
#[template(path = "projects/show.html")]
struct ProjectPage {
    page: Page,
    access: Access,
    waiting: WaitingTasks,
    guidelines_html: String,
    overlap: i32,
    n_prompts: u64,
    /// What there is of each kind of task: Fluent key and number.
    figures: Vec<(&'static str, u64)>,
    n_runs: u64,
}

pub async fn show(
    page: Page,
    Member(access): Member,
    db: web::Data<DatabaseConnection>,
) -> Result<HttpResponse, AppError> {
    let db = db.get_ref();
    let id = access.project.id;
    let all_prompts = prompt::Entity::find().filter(prompt::Column::ProjectId.eq(id));
    let view = ProjectPage {
        waiting: WaitingTasks::of(db, access.account.id, id).await?,
        guidelines_html: markdown::to_html(&access.project.guidelines),
        overlap: access.project.comparison_overlap,
        n_prompts: all_prompts.count(db).await?,
        figures: counts::figures(db, id).await?,
        n_runs: run::Entity::find().filter(run::Column::ProjectId.eq(id)).count(db).await?,
        page,
        access,
    };
    page::html(&view)
}

#[derive(Deserialize)]
pub struct ChangeForm {
    guidelines: String,
    overlap: i32,
}

/// Guidelines, and how many people judge each new comparison.
pub async fn change(
    Manager(access): Manager,
    form: web::Form<ChangeForm>,
    session: Session,
    db: web::Data<DatabaseConnection>,
) -> Result<HttpResponse, AppError> {
    let ChangeForm { guidelines, overlap } = form.into_inner();
    if !(1..=100).contains(&overlap) {
        return Err(AppError::bad_request("overlap-out-of-range"));
    }
    let before = json!({"guidelines": access.project.guidelines, "overlap": access.project.comparison_overlap});
    let url = access.url("");
    let mut row = access.project.into_active_model();
    row.guidelines = Set(guidelines);
    row.comparison_overlap = Set(overlap);
    let project = row.update(db.get_ref()).await?;
    audit::record(db.get_ref(), access.account.id, "project.change", project.id, before).await?;
    page::notify(&session, "notice-saved", "")?;
    Ok(page::see_other(&url))
}
