//! The database: SQLite in the data folder, or whatever `DATABASE_URL` names.

use crate::{config::StorageConfig, keeping::backup::before_migration};
use anyhow::{Context, bail};
use migrations::{Migrator, MigratorTrait};
use sea_orm::DatabaseConnection;
use std::{
    fs::DirBuilder,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::Path,
    thread::available_parallelism,
};
use storage::{
    artifact_store::ArtifactStore,
    database::{self, LockWait, MissingFile, begin_alone},
    schema::{self, SchemaState},
};

/// Connections for the requests and what goes on beside them.
const MAX_CONNECTIONS: u32 = 16;

/// Of each core, where the database is in this process: more would only take turns, and wake more
/// threads.
const EMBEDDED_CONNECTIONS: u32 = 3;

fn max_connections(url: &str) -> u32 {
    if !url.starts_with("sqlite:") {
        return MAX_CONNECTIONS;
    }
    let n_cores = available_parallelism().map_or(1, |n| n.get() as u32);
    (EMBEDDED_CONNECTIONS * n_cores).clamp(4, MAX_CONNECTIONS)
}

/// Opens the database, creating the embedded one with its folder if it is missing.
pub async fn connect(storage: &StorageConfig) -> anyhow::Result<DatabaseConnection> {
    connect_with(storage, LockWait::Unbounded).await
}

async fn connect_with(
    storage: &StorageConfig,
    locks: LockWait,
) -> anyhow::Result<DatabaseConnection> {
    let url = storage.url();
    if storage.database_url.is_none() {
        private_folder(&storage.data_dir).with_context(|| {
            let folder = storage.data_dir.display();
            format!("cannot make the data folder {folder}; name another with --data-dir")
        })?;
    }
    let (db, _) =
        database::connect(&url, max_connections(&url), MissingFile::AsTheUrlSays, locks).await?;
    Ok(db)
}

/// Makes a folder that its owner alone may open, unless it is there: what people wrote is in it.
fn private_folder(folder: &Path) -> std::io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// Says where others can read what people wrote.
pub fn warn_of_open_folder(folder: &Path) {
    let mode = std::fs::metadata(folder).map_or(0, |metadata| metadata.permissions().mode());
    if mode & 0o007 != 0 {
        let folder = folder.display();
        tracing::warn!("every user of this machine can read {folder}: chmod o-rwx {folder}");
    }
}

/// Brings the schema up to date, after a copy of what is there. Processes that start together take
/// turns.
pub async fn migrate(db: &DatabaseConnection, storage: &StorageConfig) -> anyhow::Result<()> {
    match schema::state(db).await? {
        SchemaState::Older(steps) if !storage.no_migration_copy => {
            let folder = ArtifactStore::safety_copies_in(&storage.artifacts_dir());
            let step = steps.first().map_or(before_migration::UNNAMED_STEP, String::as_str);
            before_migration::keep_copy(db, &folder, step).await?;
        }
        SchemaState::Current => return Ok(()),
        SchemaState::Older(_) | SchemaState::Newer(_) => {}
    }
    let turn = begin_alone(db).await?;
    Migrator::up(&turn, None).await.context("cannot migrate the database")?;
    Ok(turn.commit().await?)
}

/// Opens the database and brings its schema up to date.
pub async fn open(storage: &StorageConfig) -> anyhow::Result<DatabaseConnection> {
    let db = connect(storage).await?;
    migrate(&db, storage).await?;
    Ok(db)
}

/// The same for pages: whoever would wait long for a table is told to come back.
pub async fn open_to_serve(storage: &StorageConfig) -> anyhow::Result<DatabaseConnection> {
    let db = connect_with(storage, LockWait::Bounded).await?;
    migrate(&db, storage).await?;
    database::settle_log(&db).await?;
    Ok(db)
}

/// Like [`open`], for what only reads: no embedded database is made where there is none.
pub async fn open_existing(storage: &StorageConfig) -> anyhow::Result<DatabaseConnection> {
    refuse_missing(storage)?;
    open(storage).await
}

/// Like [`connect`], likewise: the schema stays as it is.
pub async fn connect_existing(storage: &StorageConfig) -> anyhow::Result<DatabaseConnection> {
    refuse_missing(storage)?;
    connect(storage).await
}

fn refuse_missing(storage: &StorageConfig) -> anyhow::Result<()> {
    let folder = &storage.data_dir;
    if storage.database_url.is_none() && !storage.embedded().exists() {
        bail!(
            "there is no database in {}; name its folder with --data-dir, or the database with --database-url",
            folder.display()
        );
    }
    Ok(())
}
