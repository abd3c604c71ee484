//! The connections through which a process writes to a SQLite file.

use super::{CommitSync, ENOUGH, LogSync};
use sea_orm::{
    ConnAcquireErr, ConnectionTrait, DatabaseConnection, DatabaseConnectionType, DbErr, sqlx,
    sqlx::{Connection, sqlite::SqliteConnectOptions},
};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use tokio::{sync::OwnedMutexGuard, time::timeout};

/// The connections through which one process writes to a SQLite file. [`write()`](super::write())
/// uses one of them at a time, so that neither waits for the other's lock.
#[derive(Clone)]
pub(crate) struct SqliteWriters {
    /// Whose commits wait for the disk by themselves.
    pub(super) synced: DatabaseConnection,
    /// Whose commits do not.
    unsynced: DatabaseConnection,
    /// Where the two have one: what has the disk take the commits of `unsynced`.
    pub(super) log: Option<Arc<LogSync>>,
    place: Arc<tokio::sync::Mutex<()>>,
}

impl SqliteWriters {
    pub(crate) fn new(
        synced: DatabaseConnection,
        unsynced: DatabaseConnection,
        log: Option<LogSync>,
    ) -> Self {
        Self { synced, unsynced, log: log.map(Arc::new), place: Arc::default() }
    }

    /// With a log that is synchronised after the commit, both kinds go through one connection, which
    /// then keeps what it has read of the file from one transaction to the next.
    pub(super) fn of(&self, sync: CommitSync) -> &DatabaseConnection {
        match sync {
            CommitSync::Synced if self.log.is_none() => &self.synced,
            _ => &self.unsynced,
        }
    }

    pub(super) fn log_of(&self, sync: CommitSync) -> Option<&Arc<LogSync>> {
        match sync {
            CommitSync::Synced => self.log.as_ref(),
            CommitSync::Unsynced => None,
        }
    }

    /// Waits for those who came before.
    pub(super) async fn wait(&self) -> Result<OwnedMutexGuard<()>, DbErr> {
        let place = timeout(ENOUGH, self.place.clone().lock_owned()).await;
        place.map_err(|_| DbErr::ConnectionAcquire(ConnAcquireErr::Timeout))
    }
}

/// The writers of every open database, with what the pool is known by that reads beside them.
static WRITERS: Mutex<Vec<(Weak<SqliteConnectOptions>, SqliteWriters)>> = Mutex::new(Vec::new());

fn known_by(readers: &DatabaseConnection) -> Option<Arc<SqliteConnectOptions>> {
    match readers.inner {
        DatabaseConnectionType::SqlxSqlitePoolConnection(_) => {
            Some(readers.get_sqlite_connection_pool().connect_options())
        }
        _ => None,
    }
}

/// Makes `writers` those through which [`write()`](super::write()) writes for `readers`.
pub(crate) fn write_through(readers: &DatabaseConnection, writers: SqliteWriters) {
    let Some(key) = known_by(readers) else { return };
    let mut all = WRITERS.lock().unwrap_or_else(PoisonError::into_inner);
    all.retain(|(readers, _)| readers.strong_count() > 0);
    all.push((Arc::downgrade(&key), writers));
}

/// None on PostgreSQL, where every connection may write.
pub(super) fn writers_of(db: &DatabaseConnection) -> Option<SqliteWriters> {
    let key = known_by(db)?;
    let all = WRITERS.lock().unwrap_or_else(PoisonError::into_inner);
    let own = all.iter().find(|(readers, _)| std::ptr::eq(readers.as_ptr(), &*key));
    own.map(|(_, writers)| writers.clone())
}

/// Whether a connection to SQLite may serve the next: no transaction is open on it. Where the disk is full
/// or fails, SQLite ends a transaction by itself, sqlx (0.9) goes on counting it, and whatever came next
/// would be part of one that nobody ends. Such a connection is closed.
pub(crate) async fn is_between_turns(
    connection: &mut sqlx::SqliteConnection,
) -> Result<bool, sqlx::Error> {
    if connection.is_in_transaction() {
        // The end of one that was dropped may still be on its way.
        connection.ping().await?;
    }
    Ok(!connection.is_in_transaction())
}

/// Before a process serves: moves what SQLite's log holds into the file itself. What the disk refused of
/// the log before the process was started would end it there after a loss of power, with all that came
/// later.
pub async fn settle_log(db: &DatabaseConnection) -> Result<(), DbErr> {
    if let Some(writers) = writers_of(db) {
        writers.unsynced.execute_unprepared("PRAGMA wal_checkpoint(TRUNCATE)").await?;
    }
    Ok(())
}

/// Closes a database, with the connection that writes.
pub async fn close(db: DatabaseConnection) -> Result<(), DbErr> {
    if let Some(writers) = writers_of(&db) {
        writers.synced.close().await?;
        writers.unsynced.close().await?;
    }
    db.close().await
}
