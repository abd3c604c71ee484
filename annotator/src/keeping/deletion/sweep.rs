//! Bringing the disk to what the rows say: it completes deletions and erasures that a crash cut
//! short, and gives up projects whose time is over.

use crate::{
    data::dataset,
    keeping::{
        deletion::{needs, projects},
        erasure::finish,
    },
};
use anyhow::Context;
use entity::{artifact, time::UnixMillis};
use sea_orm::{ConnectionTrait, DatabaseConnection, EntityTrait};
use std::{collections::HashSet, time::Duration};
use storage::artifact_store::{ArtifactStore, FolderRemoval};

/// How often it is looked what can go.
const EVERY: Duration = Duration::from_secs(60);

/// Sweeps for as long as the service runs, at its start first.
pub async fn run(db: DatabaseConnection, store: ArtifactStore) {
    loop {
        if let Err(error) = sweep(&db, &store, UnixMillis::now()).await {
            tracing::warn!(error = format!("{error:#}"), "cannot remove what nobody needs");
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// Purges the projects whose time is over, and removes the artifacts that nothing needs and what
/// programs that were stopped left behind.
pub async fn sweep(
    db: &DatabaseConnection,
    store: &ArtifactStore,
    now: UnixMillis,
) -> anyhow::Result<()> {
    projects::purge_lapsed(db, now).await?;
    dataset::sweep_abandoned(db, now).await?;
    // What cannot be finished now, because the disk is full, say, must not keep the rest from going.
    if let Err(error) = finish::finish(db, store).await {
        tracing::warn!(error = format!("{error:#}"), "cannot remove what is left of an erasure");
    }
    for hash in unneeded_on_disk(db, store).await? {
        remove_unneeded(db, store, &hash).await?;
    }
    let store = store.clone();
    tokio::task::spawn_blocking(move || store.remove_leftovers()).await??;
    Ok(())
}

/// The artifacts on the disk that this database has recorded and that nothing needs.
pub async fn unneeded_on_disk(
    db: &impl ConnectionTrait,
    store: &ArtifactStore,
) -> anyhow::Result<Vec<String>> {
    let needed: HashSet<_> = needs::all(db).await?.into_iter().map(|need| need.hash).collect();
    let recorded = needs::sizes(db).await?;
    let store = store.clone();
    let mut hashes = tokio::task::spawn_blocking(move || store.hashes()).await??;
    hashes.retain(|hash| recorded.contains_key(hash) && !needed.contains(hash));
    Ok(hashes)
}

/// Removes an artifact's files unless something needs it, or may be about to.
pub async fn remove_unneeded(
    db: &impl ConnectionTrait,
    store: &ArtifactStore,
    hash: &str,
) -> anyhow::Result<FolderRemoval> {
    let is_recorded = artifact::Entity::find_by_id(hash).one(db).await?.is_some();
    if !is_recorded || !needs::of(db, hash).await?.is_empty() {
        return Ok(FolderRemoval::Spared);
    }
    let (store, name) = (store.clone(), hash.to_owned());
    let removal = tokio::task::spawn_blocking(move || store.remove(&name)).await?;
    let removal = removal.with_context(|| format!("cannot remove the artifact {hash}"))?;
    if removal == FolderRemoval::Removed {
        tracing::info!(hash, "removed an artifact that nothing needs any more");
    }
    Ok(removal)
}
