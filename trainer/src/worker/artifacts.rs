//! Whether the artifacts folder is the one that the database speaks of.

use anyhow::{Context, Result, bail};
use entity::{artifact, artifact_store::ArtifactStore};
use sea_orm::{DatabaseConnection, EntityTrait, QueryOrder, QuerySelect};
use std::path::Path;

/// Artifacts that are looked for: some may be on their way into the folder, or out of it.
const LOOKED_FOR: u64 = 20;

/// Opens the folder for writing.
///
/// Refuses one that holds none of the database's newest artifacts: a worker with another folder than
/// the web app would fail every run that waits.
pub(super) async fn open(db: &DatabaseConnection, folder: &Path) -> Result<ArtifactStore> {
    let newest = artifact::Entity::find()
        .order_by_desc(artifact::Column::CreatedAt)
        .limit(LOOKED_FOR)
        .all(db)
        .await
        .context("cannot read the database's artifacts")?;
    let is_there = |artifact: &artifact::Model| {
        let hash = &artifact.hash;
        folder.join(hash.get(..2).unwrap_or("__")).join(hash).exists()
    };
    if !newest.is_empty() && !newest.iter().any(is_there) {
        bail!(
            "{} holds no model and no dataset of this database; give the web app's own folder with --artifacts \
             (`annotator serve` has it under its --data-dir, or where its --artifacts says)",
            folder.display()
        );
    }
    Ok(ArtifactStore::open_writable(folder)?)
}
