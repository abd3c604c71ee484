//! A run's events to everybody who watches it, as they happen.
//!
//! However many watch, one poller per run looks at the database, and only says how far the run is;
//! each viewer then reads the rows after its own position. So a viewer misses nothing and sees
//! nothing twice, whatever it joined at and however often its connection dropped: its position is
//! the sequence number of the last event that it saw.

use async_stream::stream;
use entity::{
    ids::RunId,
    run::{self, RunStatus},
    run_event,
};
use futures_util::Stream;
use sea_orm::{
    ColumnTrait, DatabaseConnection, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
};
use serde_json::Value;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::sync::watch;

/// How often a run that somebody watches is looked at.
const POLL: Duration = Duration::from_millis(300);

/// Rows read at once, so that a viewer who comes late does not load a whole run.
pub(crate) const PAGE: u64 = 500;

/// How far a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seen {
    status: RunStatus,
    /// Sequence number of the newest event.
    last: i64,
}

/// What a viewer is told.
#[derive(Clone, Debug, PartialEq)]
pub enum FeedItem {
    /// A row of `run_event`.
    Event { sequence: i64, event: Value },
    /// What the run is doing now; said at first and at every change.
    Status(RunStatus),
    /// The run is over, and everything that it said was told.
    End(RunStatus),
}

/// How far one of several runs is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunNews {
    pub run: RunId,
    /// Sequence number of its newest event.
    pub last: i64,
    pub status: RunStatus,
}

type Pollers = HashMap<RunId, watch::Sender<Option<Seen>>>;

#[derive(Clone)]
pub struct RunFeed {
    db: DatabaseConnection,
    pollers: Arc<Mutex<Pollers>>,
}

impl RunFeed {
    pub fn new(db: DatabaseConnection) -> Self {
        Self { db, pollers: Arc::default() }
    }

    /// The run's events after sequence number `after`, then whatever follows, until the run is
    /// over. A stream that ends without [`FeedItem::End`] was cut off: follow again from there.
    pub fn follow(
        &self,
        run: RunId,
        after: i64,
    ) -> impl Stream<Item = Result<FeedItem, DbErr>> + use<> {
        let (db, mut seen) = (self.db.clone(), self.subscribe(run));
        stream! {
            let (mut position, mut status) = (after, None);
            loop {
                let now = *seen.borrow_and_update();
                loop {
                    let rows = match rows_after(&db, run, position).await {
                        Ok(rows) => rows,
                        Err(error) => { yield Err(error); return; }
                    };
                    let more = rows.len() as u64 == PAGE;
                    for row in rows {
                        position = row.sequence;
                        yield Ok(FeedItem::Event { sequence: row.sequence, event: row.event });
                    }
                    if !more { break; }
                }
                if let Some(now) = now {
                    if status != Some(now.status) {
                        status = Some(now.status);
                        yield Ok(FeedItem::Status(now.status));
                    }
                    if now.status.is_final() && position >= now.last {
                        yield Ok(FeedItem::End(now.status));
                        return;
                    }
                }
                // The poller ended although the run goes on: the database failed, or all is closed.
                if seen.changed().await.is_err() { return; }
            }
        }
    }

    /// How far a run is: now, and at every change, until it is over.
    pub fn news(&self, run: RunId) -> impl Stream<Item = RunNews> + use<> {
        let mut seen = self.subscribe(run);
        stream! {
            loop {
                let now = *seen.borrow_and_update();
                if let Some(Seen { status, last }) = now {
                    yield RunNews { run, last, status };
                    if status.is_final() { return; }
                }
                if seen.changed().await.is_err() { return; }
            }
        }
    }

    /// Ends every stream, so that the server can stop; browsers connect again when it is back.
    pub fn close(&self) {
        self.pollers.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Joins the run's poller, starting it for the first viewer.
    fn subscribe(&self, run: RunId) -> watch::Receiver<Option<Seen>> {
        let mut pollers = self.pollers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(poller) = pollers.get(&run) {
            return poller.subscribe();
        }
        let (sender, receiver) = watch::channel(None);
        pollers.insert(run, sender);
        tokio::spawn(poll(self.db.clone(), self.pollers.clone(), run));
        receiver
    }
}

/// Looks at the run until it is over or nobody watches.
async fn poll(db: DatabaseConnection, pollers: Arc<Mutex<Pollers>>, run: RunId) {
    loop {
        let seen = look(&db, run).await;
        {
            // Under the lock, so that nobody joins a poller that has decided to end.
            let mut pollers = pollers.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(poller) = pollers.get(&run) else { return };
            let goes_on = match seen {
                Ok(Some(seen)) => {
                    poller.send_if_modified(|known| known.replace(seen) != Some(seen));
                    !seen.status.is_final() && poller.receiver_count() > 0
                }
                Ok(None) => false,
                Err(error) => {
                    tracing::warn!(%run, %error, "cannot follow a run");
                    false
                }
            };
            if !goes_on {
                pollers.remove(&run);
                return;
            }
        }
        tokio::time::sleep(POLL).await;
    }
}

/// The status is read first: everything a run says is written before it is over, so a final status
/// means that the sequence number read after it is the last.
async fn look(db: &DatabaseConnection, run: RunId) -> Result<Option<Seen>, DbErr> {
    let status = run::Entity::find_by_id(run)
        .select_only()
        .column(run::Column::Status)
        .into_tuple()
        .one(db)
        .await?;
    let Some(status) = status else { return Ok(None) };
    Ok(Some(Seen { status, last: last_sequence(db, run).await? }))
}

/// The sequence number of a run's newest event; 0 before the first.
pub async fn last_sequence(db: &impl sea_orm::ConnectionTrait, run: RunId) -> Result<i64, DbErr> {
    let last: Option<Option<i64>> = run_event::Entity::find()
        .select_only()
        .column_as(run_event::Column::Sequence.max(), "last")
        .filter(run_event::Column::RunId.eq(run))
        .into_tuple()
        .one(db)
        .await?;
    Ok(last.flatten().unwrap_or(0))
}

/// The next [`PAGE`] events of a run after a sequence number.
pub(crate) async fn rows_after(
    db: &DatabaseConnection,
    run: RunId,
    after: i64,
) -> Result<Vec<run_event::Model>, DbErr> {
    run_event::Entity::find()
        .filter(run_event::Column::RunId.eq(run))
        .filter(run_event::Column::Sequence.gt(after))
        .order_by_asc(run_event::Column::Sequence)
        .limit(PAGE)
        .all(db)
        .await
}
