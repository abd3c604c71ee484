//! Commits of SQLite that reach the disk. SQLite would wait for the disk at each of them, and nobody
//! could write meanwhile. Here a commit goes to the write-ahead log first (`synchronous=NORMAL`),
//! and then the log is synchronised: outside of the write lock, once for all who wait for it (group
//! commit, as PostgreSQL's). Whoever waits is told only afterwards.

use sea_orm::{DbErr, RuntimeErr, sqlx};
use std::{
    fs::File,
    io,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio::{sync::Mutex, task::spawn_blocking};

/// A write-ahead log that many wait for.
pub(crate) struct LogSync {
    /// What has the disk take all that was written so far.
    sync: Arc<dyn Fn() -> io::Result<()> + Send + Sync>,
    /// How many have asked.
    n_asked: AtomicU64,
    /// How many of them were served; whoever synchronises holds it.
    n_served: Mutex<u64>,
}

impl LogSync {
    /// The log beside a database that is open. SQLite never locks the log itself, so that opening
    /// and closing it here gives no lock of this process away.
    pub(crate) fn of(database: PathBuf) -> Self {
        let mut log = database.into_os_string();
        log.push("-wal");
        Self::by(move || File::options().write(true).open(&log)?.sync_data())
    }

    fn by(sync: impl Fn() -> io::Result<()> + Send + Sync + 'static) -> Self {
        Self { sync: Arc::new(sync), n_asked: AtomicU64::new(0), n_served: Mutex::new(0) }
    }

    /// Returns when all that was committed before this call is on the disk.
    pub(crate) async fn reach_disk(&self) -> Result<(), DbErr> {
        let own = self.n_asked.fetch_add(1, Ordering::AcqRel) + 1;
        let mut n_served = self.n_served.lock().await;
        if *n_served >= own {
            return Ok(());
        }
        // Whoever has asked by now committed before what follows.
        let n_asked = self.n_asked.load(Ordering::Acquire);
        let sync = self.sync.clone();
        let synced = spawn_blocking(move || sync()).await;
        match synced.unwrap_or_else(|stopped| Err(io::Error::other(stopped))) {
            Ok(()) => {
                *n_served = n_asked;
                Ok(())
            }
            Err(error) => Err(DbErr::Exec(RuntimeErr::SqlxError(sqlx::Error::Io(error).into()))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{thread, time::Duration};
    use tokio::task::JoinSet;

    #[tokio::test]
    async fn those_who_wait_together_are_served_at_once_and_none_before_its_own_turn() {
        let (n_begun, n_ended) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let counters = (n_begun.clone(), n_ended.clone());
        let log = LogSync::by(move || {
            counters.0.fetch_add(1, Ordering::SeqCst);
            thread::sleep(Duration::from_millis(20));
            counters.1.fetch_add(1, Ordering::SeqCst);
            Ok(())
        });
        let log = Arc::new(log);
        let mut waiting = JoinSet::new();
        for n in 0..50 {
            let (log, n_begun, n_ended) = (log.clone(), n_begun.clone(), n_ended.clone());
            waiting.spawn(async move {
                tokio::time::sleep(Duration::from_millis(n)).await;
                let before = n_begun.load(Ordering::SeqCst);
                log.reach_disk().await.unwrap();
                assert!(n_ended.load(Ordering::SeqCst) > before, "one that began after it asked");
            });
        }
        waiting.join_all().await;
        let n = n_begun.load(Ordering::SeqCst);
        assert!(n < 25, "{n} for fifty");
    }

    #[tokio::test]
    async fn whoever_the_disk_fails_is_told_and_the_next_asks_anew() {
        let n = AtomicU64::new(0);
        let log = LogSync::by(move || match n.fetch_add(1, Ordering::SeqCst) {
            0 => Err(io::Error::other("no disk")),
            _ => Ok(()),
        });
        assert!(log.reach_disk().await.unwrap_err().to_string().contains("no disk"));
        log.reach_disk().await.unwrap();
    }
}
