//! Opening the database, and transactions that write. One code path for SQLite and PostgreSQL, and
//! for both programs.

use crate::{
    database_problem::{self, DatabaseProblem},
    schema::SchemaState,
};
use sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DatabaseTransaction, DbBackend,
    DbErr, RuntimeErr, SqliteTransactionMode, TransactionOptions, TransactionTrait, sqlx,
    sqlx::sqlite::SqliteJournalMode,
};
use std::time::Duration;

/// How long a connection, or another writer, is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// Pauses between tries of what another writer got in the way of.
const PAUSES: [Duration; 4] = [
    Duration::from_millis(20),
    Duration::from_millis(80),
    Duration::from_millis(320),
    Duration::from_millis(1280),
];

/// Whether a SQLite file that is not there is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MissingFile {
    /// As the address says: `?mode=rwc` makes it.
    AsTheUrlSays,
    Refused,
}

/// Opens a database; the state of its schema comes with it. One that cannot be written to, or that
/// is newer than this program, is refused in a line.
pub async fn connect(
    url: &str,
    max_connections: u32,
    missing: MissingFile,
) -> Result<(DatabaseConnection, SchemaState), DatabaseProblem> {
    database_problem::probe(url).await?;
    let mut options = ConnectOptions::new(url);
    options
        .max_connections(max_connections)
        .acquire_timeout(PATIENCE)
        .sqlx_logging(false)
        // Readers never wait for a writer; a writer waits for another instead of failing.
        .map_sqlx_sqlite_opts(move |sqlite| {
            let sqlite = sqlite
                .journal_mode(SqliteJournalMode::Wal)
                .foreign_keys(true)
                .busy_timeout(PATIENCE);
            match missing {
                MissingFile::AsTheUrlSays => sqlite,
                MissingFile::Refused => sqlite.create_if_missing(false),
            }
        });
    let opened = Database::connect(options).await;
    let db = opened.map_err(|error| DatabaseProblem::of(url, &error))?;
    let state = database_problem::check(url, &db).await?;
    Ok((db, state))
}

/// Starts a transaction that will write. SQLite takes its write lock here (`BEGIN IMMEDIATE`):
/// a transaction that reads first and writes later would be refused when another wrote between.
pub async fn begin_write(db: &DatabaseConnection) -> Result<DatabaseTransaction, DbErr> {
    retrying(|| db.begin_with_options(immediate())).await
}

fn immediate() -> TransactionOptions {
    TransactionOptions {
        sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
        ..TransactionOptions::default()
    }
}

/// Like [`begin_write`], and one at a time over all processes: for what is done once, at the start.
pub async fn begin_alone(db: &DatabaseConnection) -> Result<DatabaseTransaction, DbErr> {
    let turn = begin_write(db).await?;
    if turn.get_database_backend() == DbBackend::Postgres {
        turn.execute_unprepared("SELECT pg_advisory_xact_lock(4718240)").await?;
    }
    Ok(turn)
}

/// Does something again when another writer got in its way: SQLite was busy, or PostgreSQL broke a
/// deadlock or could not order two transactions. Whatever it does must begin its own transaction.
pub async fn retrying<T, F>(mut operation: impl FnMut() -> F) -> Result<T, DbErr>
where
    F: Future<Output = Result<T, DbErr>>,
{
    for pause in PAUSES {
        match operation().await {
            Err(error) if is_conflict(&error) => tracing::debug!(%error, "trying again"),
            done => return done,
        }
        tokio::time::sleep(pause).await;
    }
    operation().await
}

/// Rows to insert, as many at a time as one statement takes: SQLite binds 32766 values, and no row
/// that is inserted so has more than ten.
pub fn row_chunks<R: IntoIterator>(rows: R) -> impl Iterator<Item = Vec<R::Item>> {
    let mut rows = rows.into_iter();
    std::iter::from_fn(move || {
        let chunk: Vec<_> = rows.by_ref().take(3000).collect();
        (!chunk.is_empty()).then_some(chunk)
    })
}

/// Whether the database refused something only because of another that came at the same time:
/// SQLite's BUSY and LOCKED, PostgreSQL's serialization_failure and deadlock_detected.
pub fn is_conflict(error: &DbErr) -> bool {
    let (DbErr::Conn(RuntimeErr::SqlxError(error))
    | DbErr::Exec(RuntimeErr::SqlxError(error))
    | DbErr::Query(RuntimeErr::SqlxError(error))) = error
    else {
        return false;
    };
    let sqlx::Error::Database(error) = error.as_ref() else { return false };
    let code = error.code().unwrap_or_default();
    let is_sqlite = error.try_downcast_ref::<sqlx::sqlite::SqliteError>().is_some();
    if is_sqlite {
        // SQLite's codes carry details in their upper bits.
        code.parse::<u32>().is_ok_and(|code| matches!(code & 0xff, 5 | 6))
    } else {
        matches!(&*code, "40001" | "40P01")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[tokio::test]
    async fn a_writer_that_another_holds_up_is_tried_again_and_other_errors_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}?mode=rwc", folder.path().join("a.db").display());
        let mut options = ConnectOptions::new(url);
        options
            .max_connections(2)
            .map_sqlx_sqlite_opts(|sqlite| sqlite.busy_timeout(Duration::ZERO));
        let db = Database::connect(options).await.unwrap();
        let holder = begin_write(&db).await.unwrap();
        let n_tries = AtomicUsize::new(0);
        let holder = tokio::sync::Mutex::new(Some(holder));
        let written = retrying(|| async {
            if n_tries.fetch_add(1, Ordering::Relaxed) == 1
                && let Some(holder) = holder.lock().await.take()
            {
                holder.rollback().await?;
            }
            db.begin_with_options(immediate()).await
        })
        .await;
        assert!(written.is_ok());
        assert_eq!(n_tries.load(Ordering::Relaxed), 2);
        drop(written);

        let n_tries = AtomicUsize::new(0);
        let refused = retrying(|| {
            n_tries.fetch_add(1, Ordering::Relaxed);
            db.execute_unprepared("SELECT nothing FROM nowhere")
        })
        .await;
        assert!(refused.is_err());
        assert_eq!(n_tries.load(Ordering::Relaxed), 1);
    }
}
