//! `/notices`: the runs of yours that have ended, and what a page that is open asks about them.

use crate::{
    people::notices::{self, UnreadRuns},
    training::kinds::{self, definition},
    web::{
        access::SignedIn,
        address,
        error::AppError,
        format,
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
use serde_json::{Value, json};
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
    let unseen: Vec<RunId> = unseen.into_iter().map(|run| run.id).collect();
    notices::see_all(db.get_ref(), &unseen).await?;
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
    let unread_runs = UnreadRuns::of(db, &account).await?;
    let unseen = match unread_runs.n_unseen {
        0 => Vec::new(),
        _ => notices::unseen_by(&account).limit(TOLD).all(db).await?,
    };
    let projects = names(db, &unseen).await?;
    let news = |run: &run::Model| news_of(language, run, projects.get(&run.project_id));
    Ok(HttpResponse::Ok().json(json!({
        "count": unread_runs.n_unseen,
        "waits": unread_runs.waits,
        "notices": unseen.iter().map(news).collect::<Vec<_>>(),
    })))
}

/// A run that has ended, as the page's script shows it.
fn news_of(language: Language, run: &run::Model, project: Option<&String>) -> Value {
    let kind = language.text(definition(run.kind).name).to_string();
    let status = language.text(format::status(run.status)).to_string();
    let title = language.text("notice-run-ended").arg("kind", kind).arg("status", status);
    json!({
        "id": run.id,
        "title": title.to_string(),
        "project": project,
        "url": address::in_project(run.project_id, &format!("/runs/{}", run.id)),
        "finished_at": run.finished_at,
    })
}

async fn names(
    db: &DatabaseConnection,
    runs: &[run::Model],
) -> Result<HashMap<ProjectId, String>, AppError> {
    let ids = runs.iter().map(|run| run.project_id);
    let projects = project::Entity::find().filter(project::Column::Id.is_in(ids)).all(db).await?;
    Ok(projects.into_iter().map(|project| (project.id, project.name)).collect())
}
