//! Which statements something sends to the database: the log says of every request how many, and
//! tests look at them.

use sea_orm::{Statement, metric};
use std::cell::{Cell, RefCell};

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
    // Outside of a watch there is nobody to tell.
    let _ = WATCH.try_with(|watch| {
        watch.n.set(watch.n.get() + 1);
        if let Some(kept) = &watch.kept {
            kept.borrow_mut().push(sent.statement.clone());
        }
    });
}
