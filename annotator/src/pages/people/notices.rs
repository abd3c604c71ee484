//! `/notices`: the runs of yours that have ended, and what a page that is open asks about them.

use crate::training::kinds;
use crate::web::format;
use crate::{
    people::notices::{self, Standing},
    web::{
        access::SignedIn,
        address,
        error::AppError,
        i18n::Language,
        page::{self, Page},
    },
};
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use entity::{
    ids::{ProjectId, RunId},
    project, run,
};
use sea_orm::{ColumnTrait, DatabaseConnection, EntityTrait, QueryFilter, QuerySelect};
use serde_json::json;
use std::collections::{HashMap, HashSet};

/// Ended runs that the page shows: the newest.
const SHOWN: u64 = 100;

/// Notices told to an open page at once.
const TOLD: u64 = 10;

#[derive(Template)]
#[template(path = "notices/list.html")]
struct NoticesPage {
    page: Page,
    ended: Vec<run::Model>,
    unseen: HashSet<RunId>,
    projects: HashMap<ProjectId, String>,
}

impl NoticesPage {
    fn project(&self, run: &run::Model) -> &str {
        self.projects.get(&run.project_id).map_or("", String::as_str)
    }

    fn is_new(&self, run: &run::Model) -> bool {
        self.unseen.contains(&run.id)
    }

    fn finished(&self, run: &run::Model) -> String {
        run.finished_at.map(format::date_time).unwrap_or_default()
    }
}

pub async fn show(
    page: Page,
    SignedIn(account): SignedIn,
    db: web::Data<DatabaseConnection>,
) -> Result<HttpResponse, AppError> {
    let db = db.get_ref();
    let ended = notices::ended_for(&account).limit(SHOWN).all(db).await?;
    let unseen = notices::unseen_by(&account).limit(SHOWN).all(db).await?;
    let unseen = unseen.into_iter().map(|run| run.id).collect();
    let projects = names(db, &ended).await?;
    page::html(&NoticesPage { page, ended, unseen, projects })
}

/// "Mark all as seen".
pub async fn see_all(
    SignedIn(account): SignedIn,
    db: web::Data<DatabaseConnection>,
) -> Result<HttpResponse, AppError> {
    let unseen = notices::unseen_by(&account).all(db.get_ref()).await?;
    notices::note(db.get_ref(), unseen.into_iter().map(|run| run.id)).await?;
    Ok(page::see_other(&address::address("/notices")))
}

/// What an open page asks now and then: how many notices there are, and the newest in words. It
/// takes no [`Page`], which would use up the notice of the person's last action.
pub async fn news(
    request: HttpRequest,
    SignedIn(account): SignedIn,
    db: web::Data<DatabaseConnection>,
) -> Result<HttpResponse, AppError> {
    let db = db.get_ref();
    let language = Language::of(&request, Some(&account));
    let standing = Standing::of(db, &account).await?;
    let unseen = match standing.n_unseen {
        0 => Vec::new(),
        _ => notices::unseen_by(&account).limit(TOLD).all(db).await?,
    };
    let projects = names(db, &unseen).await?;
    let told = |run: &run::Model| {
        let kind = language.text(kinds::definition(run.kind).name).to_string();
        let status = language.text(format::status(run.status)).to_string();
        json!({
            "id": run.id,
            "title": language.text("notice-run-ended").arg("kind", kind).arg("status", status).to_string(),
            "project": projects.get(&run.project_id),
            "url": address::in_project(run.project_id, &format!("/runs/{}", run.id)),
            "finished_at": run.finished_at,
        })
    };
    Ok(HttpResponse::Ok().json(json!({
        "count": standing.n_unseen,
        "waits": standing.waits,
        "notices": unseen.iter().map(told).collect::<Vec<_>>(),
    })))
}

async fn names(
    db: &DatabaseConnection,
    runs: &[run::Model],
) -> Result<HashMap<ProjectId, String>, AppError> {
    let ids = runs.iter().map(|run| run.project_id);
    let projects = project::Entity::find().filter(project::Column::Id.is_in(ids)).all(db).await?;
    Ok(projects.into_iter().map(|project| (project.id, project.name)).collect())
}
