//! `/`: the projects and what waits for you.

use crate::web::format;
use crate::{
    keeping::deletion::projects::{RestorableProject, restorable},
    people::projects,
    web::{
        access::SignedIn,
        error::AppError,
        page::{self, Page},
    },
    work::counts::WaitingTasks,
};
use actix_web::{HttpResponse, web};
use askama::Template;
use entity::{membership, membership::ProjectRole, project};
use sea_orm::{ColumnTrait, DatabaseConnection, EntityTrait, QueryFilter};

#[derive(Template)]
#[template(path = "home.html")]
struct HomePage {
    page: Page,
    is_admin: bool,
    projects: Vec<Card>,
    /// For an administrator: what can be restored.
    deleted: Vec<RestorableProject>,
}

impl HomePage {
    fn deleted_by(&self, gone: &RestorableProject) -> String {
        gone.by.as_ref().map(|name| name.shown(self.page.language)).unwrap_or_default()
    }
}

struct Card {
    project: project::Model,
    waiting: WaitingTasks,
    may_annotate: bool,
}

pub async fn show(
    page: Page,
    SignedIn(account): SignedIn,
    db: web::Data<DatabaseConnection>,
) -> Result<HttpResponse, AppError> {
    let db = db.get_ref();
    let annotates_in: Vec<_> = membership::Entity::find()
        .filter(membership::Column::AccountId.eq(account.id))
        .filter(membership::Column::Role.eq(ProjectRole::Annotator))
        .all(db)
        .await?;
    let mut projects = Vec::new();
    for project in projects::visible_to(db, &account).await? {
        let waiting = WaitingTasks::of(db, account.id, project.id).await?;
        let may_annotate =
            account.is_admin || annotates_in.iter().any(|row| row.project_id == project.id);
        projects.push(Card { project, waiting, may_annotate });
    }
    let is_admin = account.is_admin;
    let deleted = if is_admin { restorable(db).await? } else { Vec::new() };
    page::html(&HomePage { page, is_admin, projects, deleted })
}
