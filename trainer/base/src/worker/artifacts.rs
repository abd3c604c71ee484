//! Whether the artifacts folder is the one that the database speaks of.

use anyhow::{Context, Result, bail};
use entity::model;
use sea_orm::{ColumnTrait, DatabaseConnection, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use std::path::Path;
use storage::artifact_store::ArtifactStore;

/// Models that are looked for: some may be on their way out of the folder.
const LOOKED_FOR: u64 = 20;

/// Opens the folder for writing.
///
/// Refuses one that holds none of the database's newest models: a worker with another folder than
/// the web app would fail every run that waits.
pub(super) async fn open(db: &DatabaseConnection, folder: &Path) -> Result<ArtifactStore> {
    let newest = model::Entity::find()
        .filter(model::Column::DeletedAt.is_null())
        .order_by_desc(model::Column::CreatedAt)
        .limit(LOOKED_FOR)
        .all(db)
        .await
        .context("cannot read the database's models")?;
    let is_there =
        |model: &model::Model| ArtifactStore::path_in(folder, &model.artifact_hash).exists();
    if !newest.is_empty() && !newest.iter().any(is_there) {
        bail!(
            "{} holds no model of this database; give the web app's own folder with --artifacts \
             (`annotator serve` has it under its --data-dir, or where its --artifacts says)",
            folder.display()
        );
    }
    Ok(ArtifactStore::open_writable(folder)?)
}
