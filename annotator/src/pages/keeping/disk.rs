//! `/admin/disk`: who holds how much of the disk that the artifacts are on, and what can go.

use crate::{
    keeping::{
        deletion::needs,
        disk_use::{DiskShare, DiskUse},
    },
    web::{
        access::Admin,
        error::AppError,
        format,
        page::{self, Page},
    },
};
use actix_web::{HttpResponse, web};
use askama::Template;
use entity::{ids::ProjectId, model, project};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseConnection, DbErr, EntityTrait, QueryFilter, QueryOrder,
};
use std::collections::{HashMap, HashSet};
use storage::artifact_store::ArtifactStore;

/// Models that are listed: the largest.
const SHOWN: usize = 20;

#[derive(Template)]
#[template(path = "admin/disk/show.html")]
struct DiskPage {
    page: Page,
    disk: DiskUse,
    folder: String,
    holders: Vec<Holder>,
    largest: Vec<Large>,
}

/// A project, or the bases.
struct Holder {
    project: Option<project::Model>,
    held: DiskShare,
}

/// A model, its size, and where its page is.
struct Large {
    model: model::Model,
    n_bytes: i64,
    project: ProjectId,
    /// Others have the same weights.
    is_shared: bool,
}

impl DiskPage {
    fn bytes(&self, n_bytes: &i64) -> String {
        format::bytes(self.page.language, *n_bytes)
    }

    fn free(&self) -> String {
        format::bytes(self.page.language, self.disk.free as i64)
    }

    fn size(&self) -> String {
        format::bytes(self.page.language, self.disk.size as i64)
    }
}

pub async fn show(
    page: Page,
    _: Admin,
    db: web::Data<DatabaseConnection>,
    store: web::Data<ArtifactStore>,
) -> Result<HttpResponse, AppError> {
    let disk = DiskUse::measure(&db, &store).await?;
    let projects =
        project::Entity::find().order_by_asc(project::Column::Name).all(db.get_ref()).await?;
    let largest = largest(db.get_ref(), &projects).await?;
    let holders = holders(projects, &disk.held);
    let folder = store.root().display().to_string();
    page::html(&DiskPage { page, disk, folder, holders, largest })
}

/// Bases and projects that hold something or can, those that hold most first.
fn holders(
    projects: Vec<project::Model>,
    held: &HashMap<Option<ProjectId>, DiskShare>,
) -> Vec<Holder> {
    let held_by = |id| held.get(&id).copied().unwrap_or_default();
    let bases = Holder { project: None, held: held_by(None) };
    let projects = projects
        .into_iter()
        .map(|project| Holder { held: held_by(Some(project.id)), project: Some(project) });
    let is_told = |holder: &Holder| {
        let is_deleted =
            holder.project.as_ref().is_some_and(|project| project.deleted_at.is_some());
        !is_deleted || holder.held.total() > 0
    };
    let mut holders: Vec<_> = [bases].into_iter().chain(projects).filter(is_told).collect();
    holders.sort_by_key(|holder| -holder.held.total());
    holders
}

/// The largest models of projects that are there, and bases, which are shown in any project.
async fn largest(
    db: &impl ConnectionTrait,
    projects: &[project::Model],
) -> Result<Vec<Large>, DbErr> {
    let there: HashSet<ProjectId> = projects
        .iter()
        .filter(|project| project.deleted_at.is_none())
        .map(|project| project.id)
        .collect();
    let any = projects.iter().map(|project| project.id).find(|id| there.contains(id));
    let models = model::Entity::find().filter(model::Column::DeletedAt.is_null()).all(db).await?;
    let sizes = needs::sizes(db).await?;
    let mut n_alike: HashMap<String, usize> = HashMap::new();
    for model in &models {
        *n_alike.entry(model.artifact_hash.clone()).or_default() += 1;
    }
    let large = |model: model::Model| {
        Some(Large {
            project: model.project_id.or(any).filter(|id| there.contains(id))?,
            n_bytes: sizes.get(&model.artifact_hash).copied().unwrap_or(0),
            is_shared: n_alike[&model.artifact_hash] > 1,
            model,
        })
    };
    let mut models: Vec<_> = models.into_iter().filter_map(large).collect();
    models.sort_by_key(|large| -large.n_bytes);
    models.truncate(SHOWN);
    Ok(models)
}
