//! A copy of everything, taken while the service runs: a folder that `annotator restore` puts into
//! a database of either kind.
//!
//! `<folder>/manifest.json` says what is in it, `tables/<table>.jsonl` holds the rows, all read in
//! one snapshot, and `artifacts/` the models, dataset versions and answers that were on the disk.
//! The folder gets its name when it is whole; whatever was cut short is called `….partial`, has no
//! manifest and cannot be restored. Tables are read as the database describes them, not as this
//! version's entities do, so that a database of an older schema can be copied before it is migrated.
//!
//! **Not in it:** sessions, and the folders in which runs work: a run that was under way begins
//! anew.

mod artifacts;
pub mod before_migration;
pub mod manifest;
mod rows;
pub mod tables;
pub mod target;

pub use rows::load;

use anyhow::{Context, ensure};
use entity::time::UnixMillis;
use manifest::{BackupManifest, FORMAT, MANIFEST, TABLES};
use sea_orm::{
    AccessMode, ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr,
    IsolationLevel, Statement, TransactionOptions, TransactionTrait,
};
use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};
use storage::artifact_store::{ArtifactStore, sync_folder};

/// Tables that no backup holds: whoever was signed in signs in again, and the steps of the schema
/// stand in the manifest.
const LEFT_OUT: [&str; 2] = ["session", "seaql_migrations"];

/// Writes a backup into a folder that is not there yet. Without a store it holds the rows alone.
pub async fn write(
    db: &DatabaseConnection,
    store: Option<&ArtifactStore>,
    folder: &Path,
) -> anyhow::Result<BackupManifest> {
    let shown = folder.display();
    ensure!(!folder.exists(), "{shown} is there already: name a folder that is not");
    let partial = partial_name(folder)?;
    ensure!(
        !partial.exists(),
        "{} is in the way, left by a backup that was cut short or is under way: remove it when none is",
        partial.display()
    );
    if let Some(store) = store {
        artifacts::check_erasures(store)?;
    }
    private_folder(&partial.join(TABLES))
        .with_context(|| format!("cannot make {}", partial.display()))?;
    let mut manifest = write_rows(db, &partial).await?;
    if let Some(store) = store {
        let copied = artifacts::copy(store, &partial, &manifest).await?;
        (manifest.artifacts, manifest.missing) = (Some(copied.artifacts), copied.missing);
        manifest.erasures = artifacts::copy_erasures(store, &partial)?;
    }
    manifest.save(&partial.join(MANIFEST))?;
    let (from, to) = (partial, folder.to_owned());
    tokio::task::spawn_blocking(move || {
        sync_folder(&from)?;
        fs::rename(&from, &to)?;
        fs::File::open(
            to.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new(".")),
        )?
        .sync_all()
    })
    .await?
    .with_context(|| format!("cannot finish {shown}"))?;
    Ok(manifest)
}

/// The name of a backup that is not whole yet.
fn partial_name(folder: &Path) -> anyhow::Result<PathBuf> {
    let name = folder.file_name().context("the backup's folder has no name")?;
    Ok(folder.with_file_name(format!("{}.partial", name.to_string_lossy())))
}

/// A folder that this user alone may read: it will hold what people wrote, and their password hashes.
fn private_folder(folder: &Path) -> std::io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// The rows of every table as they were at one moment.
async fn write_rows(db: &DatabaseConnection, folder: &Path) -> anyhow::Result<BackupManifest> {
    let snapshot = begin_snapshot(db).await?;
    let mut files = BTreeMap::new();
    for table in tables::all(&snapshot).await? {
        if LEFT_OUT.contains(&table.name.as_str()) {
            continue;
        }
        let file = rows::dump(&snapshot, &table, &folder.join(TABLES)).await;
        let file = file.with_context(|| format!("cannot copy the table {}", table.name))?;
        files.insert(table.name, file);
    }
    let steps = steps(&snapshot).await?;
    ensure!(!steps.is_empty(), "there is nothing in the database yet");
    snapshot.rollback().await?;
    Ok(BackupManifest {
        format: FORMAT,
        program: env!("CARGO_PKG_VERSION").to_owned(),
        taken_at: UnixMillis::now(),
        database: kind(db).to_owned(),
        steps,
        tables: files,
        artifacts: None,
        missing: Vec::new(),
        erasures: None,
    })
}

/// A transaction that sees one state of the database, however long it reads, and holds up nobody.
pub async fn begin_snapshot(db: &DatabaseConnection) -> Result<DatabaseTransaction, DbErr> {
    let options = match db.get_database_backend() {
        DbBackend::Postgres => TransactionOptions {
            isolation_level: Some(IsolationLevel::RepeatableRead),
            access_mode: Some(AccessMode::ReadOnly),
            ..TransactionOptions::default()
        },
        _ => TransactionOptions::default(),
    };
    db.begin_with_options(options).await
}

/// The steps of the schema that the database has taken.
async fn steps(db: &impl ConnectionTrait) -> Result<Vec<String>, DbErr> {
    let sql = "SELECT version FROM seaql_migrations ORDER BY version";
    let rows = db.query_all_raw(Statement::from_string(db.get_database_backend(), sql)).await?;
    rows.iter().map(|row| row.try_get("", "version")).collect()
}

fn kind(db: &impl ConnectionTrait) -> &'static str {
    match db.get_database_backend() {
        DbBackend::Postgres => "postgresql",
        _ => "sqlite",
    }
}
