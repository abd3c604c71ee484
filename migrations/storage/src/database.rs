//! Opening the database. One code path for SQLite and PostgreSQL, and for both programs.

use crate::{
    database_problem::{self, DatabaseProblem},
    schema::SchemaState,
    sqlite_settings, statements,
    writing::{self, LogSync, SqliteWriters},
};
use sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DbBackend, DbErr, Statement,
    sqlx::{
        self, Connection, Executor,
        sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
    },
};
use std::{path::Path, time::Duration};

pub use crate::database_problem::{sqlite_file, sqlite_url};
pub use crate::writing::{
    WriteError, WriteTurn, asking, begin_alone, begin_write, close, is_conflict, is_full, is_lost,
    is_unavailable, let_others_through, settle_log, write, write_unsynced,
};

/// How long a connection is waited for: a server that is being restarted is back by then, and whoever
/// waits longer is better told to come back.
const PATIENCE: Duration = Duration::from_secs(3);

/// How long a writer waits for its turn on SQLite, where writers take turns.
const WRITERS_PATIENCE: Duration = Duration::from_secs(10);

/// How long one process waits for another's lock on a SQLite file before it tries again, and whoever
/// serves pages for one on a table of PostgreSQL, which may be being written anew.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);

/// How long a connection to PostgreSQL waits for a lock of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockWait {
    /// As long as it takes: for what runs by itself.
    Unbounded,
    /// As long as a person does, who is then told to come back.
    Bounded,
}

/// A connection that was not used for so long is tested before it is.
const UNTESTED: Duration = Duration::from_secs(1);

/// Statements that a connection keeps prepared.
const PREPARED: usize = 400;

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
    locks: LockWait,
) -> Result<(DatabaseConnection, SchemaState), DatabaseProblem> {
    sqlite_settings::of_process();
    database_problem::probe(url).await?;
    let problem = |error: DbErr| DatabaseProblem::of(url, &error);
    let mut options = options(url, max_connections, missing);
    if locks == LockWait::Bounded {
        bound_lock_wait(&mut options);
    }
    let mut db = Database::connect(options).await.map_err(problem)?;
    db.set_metric_callback(statements::note);
    if url.starts_with("sqlite:") {
        let writer = async |synchronous: SqliteSynchronous| {
            let mut alone = self::options(url, 1, missing);
            alone.acquire_timeout(WRITERS_PATIENCE);
            alone.map_sqlx_sqlite_opts(move |sqlite| {
                sqlite_opts(sqlite, missing).synchronous(synchronous)
            });
            let mut writer = Database::connect(alone).await.map_err(problem)?;
            writer.set_metric_callback(statements::note);
            Ok::<_, DatabaseProblem>(writer)
        };
        let synced = writer(SqliteSynchronous::Full).await?;
        let unsynced = writer(SqliteSynchronous::Normal).await?;
        let log = write_ahead_log(url, &unsynced).await.map_err(problem)?;
        writing::write_through(&db, SqliteWriters::new(synced, unsynced, log));
    }
    let state = database_problem::check(url, &db).await?;
    Ok((db, state))
}

fn options(url: &str, max_connections: u32, missing: MissingFile) -> ConnectOptions {
    let mut options = ConnectOptions::new(url);
    options
        .max_connections(max_connections)
        .acquire_timeout(PATIENCE)
        .sqlx_logging(false)
        .map_sqlx_sqlite_opts(move |sqlite| sqlite_opts(sqlite, missing))
        .map_sqlx_sqlite_pool_opts(|pool| {
            pool.after_connect(|connection, _| Box::pin(sqlite_settings::of_connection(connection)))
                .after_release(|connection, _| Box::pin(writing::is_between_turns(connection)))
        })
        .map_sqlx_postgres_opts(|postgres| postgres.statement_cache_capacity(PREPARED));
    if url.starts_with("sqlite:") {
        options.test_before_acquire(false); // a file does not go away
    } else {
        // Every use ends with a test, so that a connection in use needs none before the next.
        options.test_before_acquire_if_idle_for(UNTESTED).map_sqlx_postgres_before_acquire(
            |connection, of| {
                Box::pin(async move {
                    if writing::is_doubtful(of.idle_for) {
                        connection.ping().await?;
                    }
                    Ok(true)
                })
            },
        );
    }
    options
}

/// None where the file is written without a write-ahead log, or is none.
async fn write_ahead_log(url: &str, writer: &DatabaseConnection) -> Result<Option<LogSync>, DbErr> {
    let file = sqlite_file(url).and_then(|file| Path::new(&file).canonicalize().ok());
    let mode = Statement::from_string(DbBackend::Sqlite, "PRAGMA journal_mode");
    let mode: Option<String> = match writer.query_one_raw(mode).await? {
        Some(row) => Some(row.try_get_by_index(0)?),
        None => None,
    };
    Ok(file.filter(|_| mode.as_deref() == Some("wal")).map(LogSync::of))
}

fn bound_lock_wait(options: &mut ConnectOptions) {
    options.map_sqlx_postgres_pool_opts(|pool| {
        pool.after_connect(|connection, _| {
            Box::pin(async move {
                let sql = format!("SET lock_timeout = {}", LOCK_PATIENCE.as_millis());
                connection.execute(sqlx::AssertSqlSafe(sql)).await.map(drop)
            })
        })
    });
}

/// Readers never wait for a writer; a commit is on the disk when it is acknowledged.
fn sqlite_opts(sqlite: SqliteConnectOptions, missing: MissingFile) -> SqliteConnectOptions {
    let sqlite = sqlite
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .statement_cache_capacity(PREPARED)
        .busy_timeout(LOCK_PATIENCE);
    match missing {
        MissingFile::AsTheUrlSays => sqlite,
        MissingFile::Refused => sqlite.create_if_missing(false),
    }
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

/// The connections of a database's pool; the writers of SQLite are not among them.
#[derive(Clone, Copy, Debug)]
pub struct PoolState {
    pub n_open: u32,
    pub n_idle: u32,
}

/// How many connections are open now.
pub fn pool_state(db: &DatabaseConnection) -> PoolState {
    match db.get_database_backend() {
        DbBackend::Postgres => {
            let pool = db.get_postgres_connection_pool();
            PoolState { n_open: pool.size(), n_idle: pool.num_idle() as u32 }
        }
        _ => {
            let pool = db.get_sqlite_connection_pool();
            PoolState { n_open: pool.size(), n_idle: pool.num_idle() as u32 }
        }
    }
}
