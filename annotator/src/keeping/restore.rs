//! Putting a backup into an empty database and its artifacts into a store: all of it or nothing.

use crate::{
    keeping::{
        backup::{
            self,
            manifest::{BackupManifest, ERASURES},
            tables,
        },
        erasure::{
            finish,
            journal::{self, JournalLine},
            repeat,
        },
    },
    people::administrators,
};
use anyhow::{Context, bail, ensure};
use entity::artifact;
use migrations::{Migrator, MigratorTrait, SchemaManager};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr,
    EntityTrait, QueryFilter, Statement,
};
use std::path::Path;
use storage::{artifact_store::ArtifactStore, database::begin_alone};

/// What was restored, for the person who did it.
pub struct RestoreReport {
    pub manifest: BackupManifest,
    /// Runs that were under way and wait for a worker now.
    pub n_interrupted: u64,
    /// Texts and people that were erased after the backup, and were erased again.
    pub n_erased: usize,
    /// False where another list of erasures was named since the backup's own is damaged.
    pub own_list_is_used: bool,
    /// Nobody can administer what was restored: those who could were erased, or are locked.
    pub has_no_administrator: bool,
}

/// Restores a backup. Nothing is written before every byte of it was looked at, and the rows appear
/// in one transaction, after the artifacts that they name.
pub async fn restore(
    db: &DatabaseConnection,
    store: &ArtifactStore,
    folder: &Path,
    erasures: Option<&Path>,
) -> anyhow::Result<RestoreReport> {
    let manifest = BackupManifest::open(folder)?;
    let (lines, own_list_is_used) = erasures_of(&manifest, store, folder, erasures)?;
    refuse_used(db).await?;
    let (to_verify, whole) = (manifest.clone(), folder.to_owned());
    tokio::task::spawn_blocking(move || to_verify.verify(&whole)).await??;

    let turn = begin_alone(db).await?;
    refuse_used(&turn).await?;
    take_steps(&turn, &manifest.steps).await?;
    load_rows(&turn, &manifest, folder).await?;
    let n_interrupted = interrupt_runs(&turn).await?;
    Migrator::up(&turn, None).await.context("cannot migrate what was restored")?;
    journal::append(store, &lines)?;
    // Read again: somebody may have been erased meanwhile, where these artifacts are in use.
    let since = journal::read(&store.root().join(ERASURES))?;
    let n_erased = repeat::repeat(&turn, lines.into_iter().chain(since).collect()).await?;
    copy_artifacts(&turn, store, &manifest, folder).await?;
    turn.commit().await?;
    finish::finish(db, store).await?;
    let has_no_administrator = administrators::are_missing(db).await?;
    Ok(RestoreReport { manifest, n_interrupted, n_erased, own_list_is_used, has_no_administrator })
}

/// What was erased, as the backup, the store and a file that somebody names say, and whether the
/// backup's own list is among these. One that is named must be there; where the backup's own is not
/// what was written, one must be named, since whatever it no longer says would come back.
fn erasures_of(
    manifest: &BackupManifest,
    store: &ArtifactStore,
    folder: &Path,
    named: Option<&Path>,
) -> anyhow::Result<(Vec<JournalLine>, bool)> {
    if let Some(file) = named {
        ensure!(file.exists(), "there is no file {}", file.display());
    }
    let own = folder.join(ERASURES);
    let is_whole = manifest.has_its_erasures(folder);
    let is_whole = is_whole.with_context(|| format!("cannot read {}", own.display()))?;
    ensure!(
        is_whole || named.is_some(),
        "{} is not what the backup's manifest says: it was changed or damaged; name the newest list of erasures with --erasures",
        own.display()
    );
    let files = is_whole.then_some(own).into_iter().chain([store.root().join(ERASURES)]);
    let files = files.chain(named.map(Path::to_owned));
    let read: Vec<_> = files.map(|file| journal::read(&file)).collect::<anyhow::Result<_>>()?;
    Ok((read.into_iter().flatten().collect(), is_whole))
}

async fn refuse_used(db: &impl ConnectionTrait) -> anyhow::Result<()> {
    ensure!(
        tables::all(db).await?.is_empty(),
        "the database is not empty: a backup goes into a new one; name another folder with --data-dir, or an empty database with --database-url"
    );
    Ok(())
}

/// Takes the steps of the schema that the backup's database had taken.
async fn take_steps(turn: &DatabaseTransaction, steps: &[String]) -> anyhow::Result<()> {
    Migrator::install(turn).await?;
    let manager = SchemaManager::new(turn);
    for step in Migrator::migrations() {
        if !steps.iter().any(|taken| taken == step.name()) {
            continue;
        }
        step.up(&manager).await.with_context(|| format!("cannot take the step {}", step.name()))?;
        let sql = format!(
            "INSERT INTO seaql_migrations (version, applied_at) VALUES ('{}', 0)",
            step.name()
        );
        turn.execute_unprepared(&sql).await?;
    }
    Ok(())
}

/// Loads every table and counts what came of it. References between tables are checked at the end:
/// models and runs name each other.
async fn load_rows(
    turn: &DatabaseTransaction,
    manifest: &BackupManifest,
    folder: &Path,
) -> anyhow::Result<()> {
    let references = References::suspend(turn).await?;
    let shapes = tables::all(turn).await?;
    for (name, file) in &manifest.tables {
        let Some(shape) = shapes.iter().find(|shape| shape.name == *name) else {
            bail!("the backup has a table that its schema has not: {name}");
        };
        // A step of the schema may have put rows in.
        turn.execute_unprepared(&format!("DELETE FROM {}", tables::quoted(name))).await?;
        let n_rows = backup::load(turn, shape, &BackupManifest::table_path(folder, name))
            .await
            .with_context(|| format!("cannot restore the table {name}"))?;
        let n_there = count(turn, name).await?;
        ensure!(
            n_rows == file.rows && n_there == file.rows,
            "{name} has {n_there} rows after the restore, not {}",
            file.rows
        );
    }
    references.check(turn).await.context("rows of the backup name others that are not in it")
}

async fn count(db: &impl ConnectionTrait, table: &str) -> Result<u64, DbErr> {
    let sql = format!("SELECT count(*) AS n FROM {}", tables::quoted(table));
    let row = db.query_one_raw(Statement::from_string(db.get_database_backend(), sql)).await?;
    let n: i64 = row.map_or(Ok(0), |row| row.try_get("", "n"))?;
    Ok(n as u64)
}

/// The references between tables while rows come in any order.
struct References {
    /// How PostgreSQL makes them again; SQLite checks by itself when the transaction ends.
    statements: Vec<String>,
}

const REFERENCES: &str =
    "SELECT conrelid::regclass::text AS of_table, quote_ident(conname) AS name,
pg_get_constraintdef(oid) AS definition FROM pg_constraint
WHERE contype = 'f' AND connamespace = current_schema()::regnamespace ORDER BY 1, 2";

impl References {
    async fn suspend(turn: &DatabaseTransaction) -> Result<Self, DbErr> {
        let backend = turn.get_database_backend();
        if backend != DbBackend::Postgres {
            turn.execute_unprepared("PRAGMA defer_foreign_keys = ON").await?;
            return Ok(Self { statements: Vec::new() });
        }
        let mut statements = Vec::new();
        for row in turn.query_all_raw(Statement::from_string(backend, REFERENCES)).await? {
            let (table, name): (String, String) =
                (row.try_get("", "of_table")?, row.try_get("", "name")?);
            let definition: String = row.try_get("", "definition")?;
            turn.execute_unprepared(&format!("ALTER TABLE {table} DROP CONSTRAINT {name}")).await?;
            statements.push(format!("ALTER TABLE {table} ADD CONSTRAINT {name} {definition}"));
        }
        Ok(Self { statements })
    }

    async fn check(self, turn: &DatabaseTransaction) -> anyhow::Result<()> {
        let backend = turn.get_database_backend();
        for statement in self.statements {
            turn.execute_unprepared(&statement).await?;
        }
        if backend != DbBackend::Postgres {
            let sql =
                Statement::from_string(backend, "SELECT \"table\" FROM pragma_foreign_key_check");
            if let Some(row) = turn.query_one_raw(sql).await? {
                bail!("a row of {}", row.try_get::<String>("", "table")?);
            }
        }
        Ok(())
    }
}

/// No worker holds them here, and the folders that they worked in are elsewhere.
async fn interrupt_runs(turn: &DatabaseTransaction) -> Result<u64, DbErr> {
    let sql = "UPDATE run SET status = 'interrupted', worker = NULL, lease_expires_at = NULL \
         WHERE status IN ('claimed', 'running')";
    Ok(turn.execute_unprepared(sql).await?.rows_affected())
}

async fn copy_artifacts(
    turn: &impl ConnectionTrait,
    store: &ArtifactStore,
    manifest: &BackupManifest,
    folder: &Path,
) -> anyhow::Result<()> {
    let erased: Vec<String> = artifact::Entity::find()
        .filter(artifact::Column::ErasedAt.is_not_null())
        .all(turn)
        .await?
        .into_iter()
        .map(|artifact| artifact.hash)
        .collect();
    for artifact in manifest.artifacts.iter().flatten() {
        if erased.contains(&artifact.hash) {
            continue;
        }
        let copy = BackupManifest::artifact_path(folder, &artifact.hash);
        let target = store.clone();
        let stored = tokio::task::spawn_blocking(move || target.import(&copy)).await?;
        let stored =
            stored.with_context(|| format!("cannot copy the artifact {}", artifact.hash))?;
        ensure!(stored.hash == artifact.hash, "the artifact {} changed on its way", artifact.hash);
    }
    Ok(())
}
