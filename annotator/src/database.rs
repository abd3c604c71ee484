//! The database: SQLite in the data folder, or whatever `DATABASE_URL` names. One code path.

use crate::config::Storage;
use anyhow::{Context, bail};
use entity::{
    database_problem::{self, DatabaseProblem},
    schema::{self, State},
};
use migrations::{Migrator, MigratorTrait};
use sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DatabaseTransaction, DbBackend,
    DbErr, SqliteTransactionMode, TransactionOptions, TransactionTrait,
    sqlx::sqlite::SqliteJournalMode,
};
use std::time::Duration;

/// Opens the database, creating the embedded one with its folder if it is missing. Refuses, in a
/// line, one that cannot be written to or that is newer than this program.
pub async fn connect(storage: &Storage) -> anyhow::Result<DatabaseConnection> {
    let url = storage.url();
    if storage.database_url.is_none() {
        std::fs::create_dir_all(&storage.data_dir).with_context(|| {
            let folder = storage.data_dir.display();
            format!("cannot make the data folder {folder}; name another with --data-dir")
        })?;
    }
    database_problem::probe(&url).await?;
    let mut options = ConnectOptions::new(&url);
    options
        .max_connections(16)
        .acquire_timeout(Duration::from_secs(30))
        .sqlx_logging(false)
        // Readers never wait for a writer; a writer waits for another instead of failing.
        .map_sqlx_sqlite_opts(|sqlite| {
            sqlite
                .journal_mode(SqliteJournalMode::Wal)
                .foreign_keys(true)
                .busy_timeout(Duration::from_secs(30))
        });
    let opened = Database::connect(options).await;
    let db = opened.map_err(|error| DatabaseProblem::of(&url, &error))?;
    database_problem::check(&url, &db).await?;
    Ok(db)
}

/// Brings the schema up to date. Processes that start together take turns.
pub async fn migrate(db: &DatabaseConnection) -> anyhow::Result<()> {
    if schema::state(db).await? == State::Current {
        return Ok(());
    }
    let turn = begin_alone(db).await?;
    Migrator::up(&turn, None).await.context("cannot migrate the database")?;
    Ok(turn.commit().await?)
}

/// Opens the database and brings its schema up to date.
pub async fn open(storage: &Storage) -> anyhow::Result<DatabaseConnection> {
    let db = connect(storage).await?;
    migrate(&db).await?;
    Ok(db)
}

/// Like [`open`], for what only reads: no embedded database is made where there is none.
pub async fn open_existing(storage: &Storage) -> anyhow::Result<DatabaseConnection> {
    let folder = &storage.data_dir;
    if storage.database_url.is_none() && !storage.embedded().exists() {
        bail!(
            "there is no database in {}; name its folder with --data-dir, or the database with --database-url",
            folder.display()
        );
    }
    open(storage).await
}

/// Starts a transaction that will write. SQLite takes its write lock here (`BEGIN IMMEDIATE`):
/// a transaction that reads first and writes later would be refused when another wrote between.
pub async fn begin_write(db: &DatabaseConnection) -> Result<DatabaseTransaction, DbErr> {
    let options = TransactionOptions {
        sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
        ..TransactionOptions::default()
    };
    db.begin_with_options(options).await
}

/// Like [`begin_write`], and one at a time over all processes: for what is done once, at the start.
pub async fn begin_alone(db: &DatabaseConnection) -> Result<DatabaseTransaction, DbErr> {
    let turn = begin_write(db).await?;
    if turn.get_database_backend() == DbBackend::Postgres {
        turn.execute_unprepared("SELECT pg_advisory_xact_lock(4718240)").await?;
    }
    Ok(turn)
}
