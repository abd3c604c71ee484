//! `annotator backup` and `restore`.

use crate::{
    config::{BackupConfig, RestoreConfig},
    database,
    keeping::{backup, backup::manifest::BackupManifest, restore},
};
use storage::artifact_store::ArtifactStore;

/// Copies everything into a folder while the service runs.
pub async fn back_up(request: BackupConfig) -> anyhow::Result<()> {
    let db = database::connect_existing(&request.storage).await?;
    let store = ArtifactStore::open(request.storage.artifacts_dir())?;
    let store = (!request.rows_only).then_some(&store);
    let manifest = backup::write(&db, store, &request.out).await?;
    println!("{} holds {}", request.out.display(), summary(&manifest));
    if !manifest.missing.is_empty() {
        println!(
            "{} artifacts that the database knows were not on the disk: those of deleted models and projects are not",
            manifest.missing.len()
        );
    }
    Ok(())
}

/// Puts a backup into an empty database.
pub async fn restore(request: RestoreConfig) -> anyhow::Result<()> {
    BackupManifest::open(&request.folder)?;
    let db = database::connect(&request.storage).await?;
    let store = ArtifactStore::open_writable(request.storage.artifacts_dir())?;
    let report = restore::restore(&db, &store, &request.folder).await?;
    println!("Restored {}, each with the hash that the backup has", summary(&report.manifest));
    if report.manifest.artifacts.is_none() {
        println!("It was a backup of the rows alone: models and dataset versions are not there");
    }
    if report.n_interrupted > 0 {
        println!(
            "{} runs that were under way begin anew when a worker is free",
            report.n_interrupted
        );
    }
    Ok(())
}

fn summary(manifest: &BackupManifest) -> String {
    let (n_rows, n_tables) = (manifest.n_rows(), manifest.tables.len());
    match &manifest.artifacts {
        Some(artifacts) => {
            format!("{n_rows} rows of {n_tables} tables and {} artifacts", artifacts.len())
        }
        None => format!("{n_rows} rows of {n_tables} tables"),
    }
}
