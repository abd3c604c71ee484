//! Commits of SQLite that reach the disk. SQLite would wait for the disk at each of them, and nobody
//! could write meanwhile. Here a commit goes to the write-ahead log first (`synchronous=NORMAL`),
//! and then the log is synchronised: outside of the write lock, once for all who wait for it (group
//! commit, as PostgreSQL's). Whoever waits is told only afterwards.
//!
//! A disk that refuses once is not asked again: the kernel tells of it once, forgets what it could not
//! write, and takes the next request for done. What follows in the log would hang on what is missing.
//! So nothing more is written until the process is started anew, which reads the log from its beginning
//! (PostgreSQL stops itself for the same reason).

use sea_orm::{DbErr, RuntimeErr, sqlx};
use std::{
    fs::File,
    io,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};
use tokio::{sync::Mutex, task::spawn_blocking};

/// A write-ahead log that many wait for.
pub(crate) struct LogSync {
    /// What has the disk take all that was written so far.
    sync: Box<dyn Fn() -> io::Result<()> + Send + Sync>,
    /// How many have asked.
    n_asked: AtomicU64,
    /// How many of them were served; whoever synchronises holds it.
    n_served: Mutex<u64>,
    /// Whether the disk has refused.
    is_refused: AtomicBool,
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
        Self {
            sync: Box::new(sync),
            n_asked: AtomicU64::new(0),
            n_served: Mutex::new(0),
            is_refused: AtomicBool::new(false),
        }
    }

    /// An error where the disk has refused the log.
    pub(crate) fn demand_trust(&self) -> Result<(), DbErr> {
        match self.is_refused.load(Ordering::Acquire) {
            true => Err(failed(io::Error::other(
                "the disk has refused what was written before: see to it, and start the service anew",
            ))),
            false => Ok(()),
        }
    }

    /// Returns when all that was committed before this call is on the disk.
    pub(crate) async fn reach_disk(self: &Arc<Self>) -> Result<(), DbErr> {
        let own = self.n_asked.fetch_add(1, Ordering::AcqRel) + 1;
        let mut n_served = self.n_served.lock().await;
        if *n_served >= own {
            return Ok(());
        }
        self.demand_trust()?;
        // Whoever has asked by now committed before what follows.
        let n_asked = self.n_asked.load(Ordering::Acquire);
        let log = self.clone();
        // It is noted there: whoever waits here may go away meanwhile.
        let synced = spawn_blocking(move || {
            let synced = (log.sync)();
            log.is_refused.fetch_or(synced.is_err(), Ordering::AcqRel);
            synced
        });
        synced.await.unwrap_or_else(|stopped| Err(io::Error::other(stopped))).map_err(failed)?;
        *n_served = n_asked;
        Ok(())
    }
}

fn failed(error: io::Error) -> DbErr {
    DbErr::Exec(RuntimeErr::SqlxError(sqlx::Error::Io(error).into()))
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
    async fn after_a_disk_has_refused_nobody_is_told_that_it_took_anything() {
        let n = AtomicU64::new(0);
        let log = LogSync::by(move || match n.fetch_add(1, Ordering::SeqCst) {
            1 => Err(io::Error::other("no disk")),
            _ => Ok(()),
        });
        let log = Arc::new(log);
        log.reach_disk().await.unwrap();
        log.demand_trust().unwrap();
        assert!(log.reach_disk().await.unwrap_err().to_string().contains("no disk"));
        for said in [log.reach_disk().await, log.demand_trust()] {
            assert!(said.unwrap_err().to_string().contains("start the service anew"));
        }
    }
}
