//! One import, from the first look at its file to its end. Its row says how far it is: the rows of a
//! chunk and that they are in are one transaction.

use crate::data::import::{
    check::{CheckWatch, FileCheck, FileRows, TOLD},
    limits::ImportLimits,
    records::{ImportRecords, tell, wanted},
    store::{self, RowChunk, RowChunks},
};
use entity::{
    ids::ImportId,
    import::{self, ImportState},
    message,
    message::KeyedMessage,
};
use sea_orm::{
    ActiveValue::Set,
    DbErr, EntityTrait, UpdateMany,
    sea_query::{Expr, ExprTrait},
};
use std::{
    fs::File,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use storage::database::{let_others_through, write};
use tokio::{sync::mpsc, task::spawn_blocking, time::timeout};

/// How often a file that is looked through says how far it is.
const PROGRESS: Duration = Duration::from_secs(1);

/// An import that this process is at.
pub struct ImportJob<'a> {
    records: &'a ImportRecords,
    import: import::Model,
    /// Locked: nobody else is at it.
    _held: File,
}

/// How storing went.
enum StoreOutcome {
    Done,
    /// Nobody wants it any more.
    Stopped,
    Failed(KeyedMessage),
}

/// Ends a check that nobody waits for any more.
struct StopOnDrop(Arc<CheckWatch>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.stop.store(true, Ordering::Relaxed);
    }
}

impl<'a> ImportJob<'a> {
    pub(super) fn new(records: &'a ImportRecords, import: import::Model, held: File) -> Self {
        Self { records, import, _held: held }
    }

    pub fn id(&self) -> ImportId {
        self.import.id
    }

    /// Goes on with it to its end. An error is the database's, and nothing of it is lost: it can be
    /// tried again.
    pub async fn run(mut self) -> Result<(), DbErr> {
        if self.import.state != ImportState::Storing {
            let Some(checked) = self.check().await? else { return self.stop().await };
            let leaves_out = self.import.leaves_out;
            let verdict = checked.map(|check| match check.verdict(leaves_out) {
                Ok(()) => Ok(check),
                Err(why) => Err((check, why)),
            });
            match verdict {
                Err(why) => return self.refuse(why, None).await,
                Ok(Err((check, why))) => return self.refuse(why, Some(&check)).await,
                Ok(Ok(check)) if self.begin_storing(&check).await? => {}
                Ok(Ok(_)) => return self.stop().await,
            }
        }
        match self.store().await? {
            StoreOutcome::Done => self.records.end(self.id(), ImportState::Done, None, None).await,
            StoreOutcome::Stopped => self.stop().await,
            StoreOutcome::Failed(why) => {
                self.records.end(self.id(), ImportState::Failed, Some(why), None).await
            }
        }
    }

    async fn refuse(&self, why: KeyedMessage, check: Option<&FileCheck>) -> Result<(), DbErr> {
        self.records.end(self.id(), ImportState::Refused, Some(why), check).await
    }

    async fn stop(&self) -> Result<(), DbErr> {
        let row = import::Entity::find_by_id(self.id()).one(&self.records.db).await?;
        let why = row
            .filter(|row| !row.cancel_requested)
            .map(|_| message!("import-project-deleted", "its project was deleted meanwhile"));
        self.records.end(self.id(), ImportState::Cancelled, why, None).await
    }

    /// Looks the file through; none when nobody wants it any more.
    async fn check(&self) -> Result<Option<Result<FileCheck, KeyedMessage>>, DbErr> {
        let begun =
            wanted(self.id()).col_expr(import::Column::State, Expr::value(ImportState::Checking));
        if !self.note(begun).await? {
            return Ok(None);
        }
        let watch = Arc::new(CheckWatch::default());
        let _stop = StopOnDrop(watch.clone());
        let (path, watched) = (self.records.spool.path(self.id()), watch.clone());
        let mut checking = spawn_blocking(move || {
            let file = File::open(path).map_err(|error| KeyedMessage::from(&error))?;
            FileCheck::of(file, ImportLimits::UPLOAD, &watched)
        });
        loop {
            match timeout(PROGRESS, &mut checking).await {
                Ok(checked) => return Ok(Some(checked.unwrap_or_else(|_| Err(broke())))),
                Err(_) if self.is_wanted(&watch.n_lines).await? => {}
                Err(_) => return Ok(None),
            }
        }
    }

    /// Tells how many lines were looked at.
    async fn is_wanted(&self, n_lines: &AtomicU64) -> Result<bool, DbErr> {
        let n = n_lines.load(Ordering::Relaxed) as i64;
        self.note(wanted(self.id()).col_expr(import::Column::NLines, Expr::value(n))).await
    }

    async fn begin_storing(&mut self, check: &FileCheck) -> Result<bool, DbErr> {
        let mut found =
            import::ActiveModel { state: Set(ImportState::Storing), ..Default::default() };
        tell(&mut found, check);
        self.note(wanted(self.id()).set(found)).await
    }

    /// Writes how far it is into its row; false when nobody wants it any more.
    async fn note(&self, update: UpdateMany<import::Entity>) -> Result<bool, DbErr> {
        let update = &update;
        write(&self.records.db, |turn| async move {
            Ok(update.clone().exec(&*turn).await?.rows_affected == 1)
        })
        .await
    }

    async fn store(&mut self) -> Result<StoreOutcome, DbErr> {
        let (sender, mut chunks) = mpsc::channel(1);
        let path = self.records.spool.path(self.id());
        let (after, leaves_out) = (self.import.line_done as u64, self.import.leaves_out);
        let reading = spawn_blocking(move || {
            let rows = File::open(path)
                .map_err(|error| KeyedMessage::from(&error))
                .and_then(|file| FileRows::open(file, ImportLimits::UPLOAD));
            match rows {
                Err(why) => drop(sender.blocking_send(Err(why))),
                Ok(rows) => {
                    for chunk in RowChunks::new(rows, after, leaves_out) {
                        if sender.blocking_send(chunk).is_err() {
                            return; // nobody waits for it
                        }
                    }
                }
            }
        });
        while let Some(chunk) = chunks.recv().await {
            let (chunk, began) = match chunk {
                Ok(chunk) => (chunk, Instant::now()),
                Err(why) => return Ok(StoreOutcome::Failed(why)),
            };
            if !self.store_chunk(&chunk).await? {
                return Ok(StoreOutcome::Stopped);
            }
            let_others_through(began).await;
        }
        Ok(if reading.await.is_ok() { StoreOutcome::Done } else { StoreOutcome::Failed(broke()) })
    }

    /// Stores a chunk and how far the import is with it; false when nobody wants it any more.
    async fn store_chunk(&self, chunk: &RowChunk) -> Result<bool, DbErr> {
        write(&self.records.db, |turn| async move {
            // First, so that the project cannot be deleted nor the import be stopped meanwhile.
            let n_done = Expr::col(import::Column::NDone).add(chunk.rows.len() as i64);
            let went_on = wanted(self.id())
                .col_expr(import::Column::NDone, n_done)
                .col_expr(import::Column::LineDone, Expr::value(chunk.last_line as i64));
            if went_on.exec(&*turn).await?.rows_affected == 0 {
                return Ok(false);
            }
            let stored = store::store(&turn, self.import.project_id, &chunk.rows).await?;
            let row = import::Entity::find_by_id(self.id()).one(&*turn).await?;
            let Some(import::Model { mut counts, mut refused, n_refused, .. }) = row else {
                return Ok(false);
            };
            counts.include(&stored.counts);
            let mut counted = import::ActiveModel { counts: Set(counts), ..Default::default() };
            if !stored.erased.is_empty() {
                let room = TOLD.saturating_sub(refused.0.len());
                refused.0.extend(chunk.told(&stored).take(room));
                counted.n_refused = Set(n_refused + stored.erased.len() as i64);
                counted.refused = Set(refused);
            }
            wanted(self.id()).set(counted).exec(&*turn).await?;
            Ok(true)
        })
        .await
    }
}

/// A reader that panicked: nobody's file should make it.
fn broke() -> KeyedMessage {
    message!("import-broke", "the service broke over the file; its log says why")
}
