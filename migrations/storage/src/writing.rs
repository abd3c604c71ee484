//! Transactions that write: through a connection of their own on SQLite, so that no reader waits for
//! a writer and writers take turns, and tried again where another got in the way.

mod log_sync;
mod sqlite_writers;

pub(crate) use log_sync::LogSync;
pub(crate) use sqlite_writers::{SqliteWriters, is_between_turns, write_through};
pub use sqlite_writers::{close, settle_log};

use crate::write_totals::WriteWait;
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, RuntimeErr,
    SqliteTransactionMode, TransactionOptions, TransactionTrait, sqlx,
};
use sqlite_writers::writers_of;
use std::{
    ops::Deref,
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant},
};

/// Pauses between tries of what another writer got in the way of.
const PAUSES: [Duration; 4] = [
    Duration::from_millis(20),
    Duration::from_millis(80),
    Duration::from_millis(320),
    Duration::from_millis(1280),
];

/// After this long nothing is tried once more: whoever asked is told to come back.
const ENOUGH: Duration = Duration::from_secs(10);

/// An error of what is done in a transaction; it may be the database's.
pub trait WriteError: From<DbErr> {
    /// What the database said, if that is what went wrong.
    fn of_database(&self) -> Option<&DbErr>;
}

impl WriteError for DbErr {
    fn of_database(&self) -> Option<&DbErr> {
        Some(self)
    }
}

impl WriteError for anyhow::Error {
    fn of_database(&self) -> Option<&DbErr> {
        self.downcast_ref()
    }
}

/// A transaction that writes, in the hands of what [`write()`] does in it.
#[derive(Clone)]
pub struct WriteTurn(Arc<DatabaseTransaction>);

impl Deref for WriteTurn {
    type Target = DatabaseTransaction;

    fn deref(&self) -> &DatabaseTransaction {
        &self.0
    }
}

/// Does something in one transaction that writes: committed when it succeeds, taken back when it
/// fails, and done again from its beginning when another got in its way or the connection was lost
/// before the commit. So it must do nothing that the transaction does not take back.
///
/// (Not an `AsyncFnMut`: of a future that holds one the compiler cannot see yet that it is `Send`.)
pub async fn write<T, E, F>(
    db: &DatabaseConnection,
    work: impl FnMut(WriteTurn) -> F,
) -> Result<T, E>
where
    E: WriteError,
    F: Future<Output = Result<T, E>>,
{
    write_with(db, CommitSync::Synced, work).await
}

/// The same for what may be lost when the machine loses power, though not when a program is killed:
/// what somebody is still typing. On SQLite such a commit does not wait for the disk; PostgreSQL
/// waits for many at once.
pub async fn write_unsynced<T, E, F>(
    db: &DatabaseConnection,
    work: impl FnMut(WriteTurn) -> F,
) -> Result<T, E>
where
    E: WriteError,
    F: Future<Output = Result<T, E>>,
{
    write_with(db, CommitSync::Unsynced, work).await
}

async fn write_with<T, E, F>(
    db: &DatabaseConnection,
    sync: CommitSync,
    mut work: impl FnMut(WriteTurn) -> F,
) -> Result<T, E>
where
    E: WriteError,
    F: Future<Output = Result<T, E>>,
{
    let mut tries = Tries::begun_now();
    loop {
        match attempt(db, sync, &mut work).await {
            Ok(done) => return Ok(done),
            Err(failed) => {
                if !failed.may_be_tried_again || !tries.another().await {
                    return Err(failed.error);
                }
                tracing::debug!(error = ?failed.error.of_database(), "trying again");
            }
        }
    }
}

/// The longest that others are let through after a transaction.
const LONGEST_PAUSE: Duration = Duration::from_millis(200);

/// Lets others have the write lock for as long as it was held: between the short transactions of
/// something long.
pub async fn let_others_through(since: Instant) {
    tokio::time::sleep(since.elapsed().min(LONGEST_PAUSE)).await;
}

/// How often something is tried that another writer gets in the way of, and with which pauses.
struct Tries {
    started: Instant,
    pauses: std::slice::Iter<'static, Duration>,
}

impl Tries {
    fn begun_now() -> Self {
        Self { started: Instant::now(), pauses: PAUSES.iter() }
    }

    /// Waits before another try; false when there were enough.
    async fn another(&mut self) -> bool {
        match self.pauses.next() {
            Some(pause) if self.started.elapsed() < ENOUGH => {
                tokio::time::sleep(*pause).await;
                true
            }
            _ => false,
        }
    }
}

/// Whether a commit on SQLite waits until the disk has it.
#[derive(Clone, Copy)]
enum CommitSync {
    Synced,
    Unsynced,
}

struct FailedAttempt<E> {
    error: E,
    may_be_tried_again: bool,
}

async fn attempt<T, E, F>(
    db: &DatabaseConnection,
    sync: CommitSync,
    work: &mut impl FnMut(WriteTurn) -> F,
) -> Result<T, FailedAttempt<E>>
where
    E: WriteError,
    F: Future<Output = Result<T, E>>,
{
    let before_commit = |error: E| {
        let again = |error: &DbErr| is_conflict(error) || is_lost(error);
        let may_be_tried_again = error.of_database().is_some_and(again);
        FailedAttempt { error, may_be_tried_again }
    };
    let writers = writers_of(db);
    if let Some(log) = writers.as_ref().and_then(|writers| writers.log.as_ref()) {
        log.demand_trust()
            .map_err(|error| FailedAttempt { error: error.into(), may_be_tried_again: false })?;
    }
    let wait = WriteWait::begin();
    // Held until the transaction has ended, however it does.
    let place = match &writers {
        Some(writers) => Some(writers.wait().await.map_err(|error| before_commit(error.into()))?),
        None => None,
    };
    let by = writers.as_ref().map_or(db, |writers| writers.of(sync));
    let turn = begin_on(by).await.map_err(|error| before_commit(error.into()))?;
    drop(wait);
    let turn = WriteTurn(Arc::new(turn));
    let done = work(turn.clone()).await.map_err(before_commit)?;
    let turn = Arc::into_inner(turn.0).ok_or_else(|| {
        before_commit(DbErr::Custom("a transaction was kept after its end".to_owned()).into())
    })?;
    if let Err(error) = turn.commit().await {
        // A connection that is lost now does not tell whether the commit came through.
        let may_be_tried_again = is_conflict(&error);
        return Err(FailedAttempt { error: error.into(), may_be_tried_again });
    }
    drop(place);
    let log = writers.as_ref().and_then(|writers| writers.log_of(sync));
    match log {
        Some(log) => log.reach_disk().await.map(|()| done).map_err(|error| {
            // It is committed, and only not acknowledged.
            FailedAttempt { error: error.into(), may_be_tried_again: false }
        }),
        None => Ok(done),
    }
}

/// Starts a transaction that will write, and is done once, whatever gets in its way: for tests that
/// hold one. Both programs write with [`write()`].
pub async fn begin_write(db: &DatabaseConnection) -> Result<DatabaseTransaction, DbErr> {
    retrying(|| begin(db)).await
}

/// Like [`begin_write`], and one at a time over all processes: for what is done once, at the start.
pub async fn begin_alone(db: &DatabaseConnection) -> Result<DatabaseTransaction, DbErr> {
    let turn = begin_write(db).await?;
    if turn.get_database_backend() == DbBackend::Postgres {
        turn.execute_unprepared("SET LOCAL lock_timeout = 0").await?;
        turn.execute_unprepared("SELECT pg_advisory_xact_lock(4718240)").await?;
    }
    Ok(turn)
}

/// SQLite takes its write lock here (`BEGIN IMMEDIATE`): a transaction that reads first and writes
/// later would be refused when another wrote between.
async fn begin(db: &DatabaseConnection) -> Result<DatabaseTransaction, DbErr> {
    begin_on(writers_of(db).as_ref().map_or(db, |writers| &writers.synced)).await
}

async fn begin_on(db: &DatabaseConnection) -> Result<DatabaseTransaction, DbErr> {
    let immediate = TransactionOptions {
        sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
        ..TransactionOptions::default()
    };
    db.begin_with_options(immediate).await
}

/// Tries to begin again while another writer holds the lock.
async fn retrying<T, F>(mut operation: impl FnMut() -> F) -> Result<T, DbErr>
where
    F: Future<Output = Result<T, DbErr>>,
{
    let mut tries = Tries::begun_now();
    loop {
        match operation().await {
            Err(error) if is_conflict(&error) && tries.another().await => {
                tracing::debug!(%error, "trying again");
            }
            done => return done,
        }
    }
}

/// How long a server that went away is asked again.
const AWAY: Duration = Duration::from_secs(2);

/// Asks again while the connection turns out to be lost: a server that is started anew is back soon.
/// For what only reads.
pub async fn asking<T, F>(mut question: impl FnMut() -> F) -> Result<T, DbErr>
where
    F: Future<Output = Result<T, DbErr>>,
{
    let started = Instant::now();
    // The first try again needs no pause: it takes another connection.
    let mut pause = Duration::ZERO;
    loop {
        match question().await {
            Err(error) if is_lost(&error) && started.elapsed() < AWAY => {
                tracing::debug!(%error, "asking again");
            }
            answer => return answer,
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).clamp(PAUSES[0], PAUSES[2]);
    }
}

/// Whether the database refused something only because of another that came at the same time:
/// SQLite's BUSY and LOCKED, PostgreSQL's serialization_failure, deadlock_detected and
/// lock_not_available.
pub fn is_conflict(error: &DbErr) -> bool {
    let Some(sqlx::Error::Database(error)) = said_by_sqlx(error) else { return false };
    let code = error.code().unwrap_or_default();
    let is_sqlite = error.try_downcast_ref::<sqlx::sqlite::SqliteError>().is_some();
    if is_sqlite {
        // SQLite's codes carry details in their upper bits.
        code.parse::<u32>().is_ok_and(|code| matches!(code & 0xff, 5 | 6))
    } else {
        matches!(&*code, "40001" | "40P01" | "55P03")
    }
}

/// Whether it was not the statement that failed but the connection under it: the server went away,
/// or is being stopped or started.
pub fn is_lost(error: &DbErr) -> bool {
    let is_lost = match said_by_sqlx(error) {
        Some(sqlx::Error::Io(_) | sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed) => true,
        Some(sqlx::Error::Database(error)) => {
            let code = error.code().unwrap_or_default();
            error.try_downcast_ref::<sqlx::postgres::PgDatabaseError>().is_some()
                && (matches!(&*code, "57P01" | "57P02" | "57P03") || code.starts_with("08"))
        }
        _ => false,
    };
    if is_lost {
        *LOST_AT.write().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }
    is_lost
}

/// Whether a database does not answer now, but may in a moment: whoever asked should come back.
pub fn is_unavailable(error: &DbErr) -> bool {
    matches!(error, DbErr::ConnectionAcquire(_)) || is_lost(error) || is_conflict(error)
}

/// Whether there is no room left on the disk of the database.
pub fn is_full(error: &DbErr) -> bool {
    let Some(sqlx::Error::Database(said)) = said_by_sqlx(error) else { return false };
    // SQLITE_FULL, and PostgreSQL's disk_full.
    matches!(said.code().as_deref(), Some("13" | "53100"))
}

/// When a connection was last found to be lost. Those that were idle then are likely lost as well.
static LOST_AT: RwLock<Option<Instant>> = RwLock::new(None);

/// Whether a connection that has been idle for so long may have been lost with another.
pub(crate) fn is_doubtful(idle_for: Duration) -> bool {
    let lost_at = *LOST_AT.read().unwrap_or_else(PoisonError::into_inner);
    lost_at.is_some_and(|lost_at| idle_for >= lost_at.elapsed())
}

fn said_by_sqlx(error: &DbErr) -> Option<&sqlx::Error> {
    match error {
        DbErr::Conn(RuntimeErr::SqlxError(error))
        | DbErr::Exec(RuntimeErr::SqlxError(error))
        | DbErr::Query(RuntimeErr::SqlxError(error)) => Some(error.as_ref()),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
