//! How many transactions write, and how long they wait for their beginning: for whoever watches.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

static N_WRITES: AtomicU64 = AtomicU64::new(0);
static WAITED_MICROSECONDS: AtomicU64 = AtomicU64::new(0);

/// The transactions of this process that write, those tried again among them, since it started.
#[derive(Clone, Copy, Debug)]
pub struct WriteTotals {
    pub n: u64,
    /// How long they waited for a connection, and on SQLite for their turn, until they had begun.
    pub waited: Duration,
}

/// What the transactions of this process that write come to.
pub fn totals() -> WriteTotals {
    WriteTotals {
        n: N_WRITES.load(Ordering::Relaxed),
        waited: Duration::from_micros(WAITED_MICROSECONDS.load(Ordering::Relaxed)),
    }
}

/// A transaction that waits for its beginning; counted when that is over, however it ended.
pub(crate) struct WriteWait(Instant);

impl WriteWait {
    pub(crate) fn begin() -> Self {
        Self(Instant::now())
    }
}

impl Drop for WriteWait {
    fn drop(&mut self) {
        N_WRITES.fetch_add(1, Ordering::Relaxed);
        WAITED_MICROSECONDS.fetch_add(self.0.elapsed().as_micros() as u64, Ordering::Relaxed);
    }
}
