//! Which statements something sends to the database: the log says of every request how many, and
//! tests look at them.

use sea_orm::{Statement, metric};
use std::{
    cell::{Cell, RefCell},
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

static N: AtomicU64 = AtomicU64::new(0);
static N_FAILED: AtomicU64 = AtomicU64::new(0);
static MICROSECONDS: AtomicU64 = AtomicU64::new(0);

/// The statements of this process since it started.
#[derive(Clone, Copy, Debug)]
pub struct StatementTotals {
    pub n: u64,
    pub n_failed: u64,
    /// How long they took, without the wait for a connection.
    pub time: Duration,
}

/// What the statements of this process come to.
pub fn totals() -> StatementTotals {
    StatementTotals {
        n: N.load(Ordering::Relaxed),
        n_failed: N_FAILED.load(Ordering::Relaxed),
        time: Duration::from_micros(MICROSECONDS.load(Ordering::Relaxed)),
    }
}

struct Watch {
    n: Cell<usize>,
    /// None where only their number is wanted.
    kept: Option<RefCell<Vec<Statement>>>,
}

tokio::task_local! {
    static WATCH: Watch;
}

/// Does something, and says how many statements that took. `BEGIN` and `COMMIT` are not counted.
pub async fn counted<F: Future>(work: F) -> (F::Output, usize) {
    let watch = Watch { n: Cell::new(0), kept: None };
    let counting = async {
        let done = work.await;
        (done, WATCH.with(|watch| watch.n.get()))
    };
    WATCH.scope(watch, counting).await
}

/// Does something, and says which statements that took, with their values.
pub async fn recorded<F: Future>(work: F) -> (F::Output, Vec<Statement>) {
    let watch = Watch { n: Cell::new(0), kept: Some(RefCell::default()) };
    let recording = async {
        let done = work.await;
        let kept = WATCH.with(|watch| watch.kept.as_ref().map(RefCell::take));
        (done, kept.unwrap_or_default())
    };
    WATCH.scope(watch, recording).await
}

/// What every connection of ours calls after a statement.
pub(crate) fn note(sent: &metric::Info<'_>) {
    N.fetch_add(1, Ordering::Relaxed);
    N_FAILED.fetch_add(u64::from(sent.failed), Ordering::Relaxed);
    MICROSECONDS.fetch_add(sent.elapsed.as_micros() as u64, Ordering::Relaxed);
    // Outside of a watch there is nobody to tell.
    let _ = WATCH.try_with(|watch| {
        watch.n.set(watch.n.get() + 1);
        if let Some(kept) = &watch.kept {
            kept.borrow_mut().push(sent.statement.clone());
        }
    });
}
