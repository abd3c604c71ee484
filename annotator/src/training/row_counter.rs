//! Rows that are counted for launch forms: beside the requests, one count at a time, each in a thread
//! that ends with it, and what was counted is kept for a while.

use super::{
    kinds::definition,
    row_lengths::{self, CountError, CountedRows, MOST_ROWS, ReadingSettings},
};
use crate::data::{
    dataset::{self, DatasetContents},
    scratch,
};
use anyhow::Context;
use entity::{ids::ProjectId, message::KeyedMessage, run::RunKind};
use sea_orm::DatabaseConnection;
use std::{
    collections::VecDeque,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use storage::artifact_store::ArtifactStore;
use tokio::{sync::oneshot, time::timeout};

/// Counts that are kept; each has at most some 100 kB.
const KEPT: usize = 64;

/// How long what would be frozen now counts as that.
const FRESH: Duration = Duration::from_secs(60);

/// How long the database may take to say what would be frozen now.
const PATIENCE: Duration = Duration::from_secs(20);

/// What is to be counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CountKey {
    pub source: RowSource,
    pub kind: RunKind,
    /// The artifact of the model whose tokenizer counts.
    pub model: String,
    pub reading: ReadingSettings,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RowSource {
    /// A frozen version: its artifact, rows to learn from and held-out ones.
    Version { hash: String, train: u64, eval: u64 },
    /// What would be frozen now.
    Now(ProjectId, DatasetContents),
}

/// Rows of a version, or of what would be one.
#[derive(Clone, Debug, PartialEq)]
pub struct KnownRows {
    pub n_train: u64,
    pub n_eval: u64,
    /// The numbers were reckoned from a part of what people said.
    pub is_about: bool,
    pub train: CountedRows,
    pub eval: CountedRows,
}

impl KnownRows {
    pub fn is_sample(&self) -> bool {
        self.train.n_read < self.n_train
    }
}

/// What is known of rows.
#[derive(Clone, Debug)]
pub enum RowsAnswer {
    Known(Arc<KnownRows>),
    /// Under way: ask again.
    Counting,
    /// A run would end with this.
    Unreadable(KeyedMessage),
    /// They are too large to look at, or it failed.
    Unknown,
}

struct Counted {
    key: CountKey,
    at: Instant,
    answer: RowsAnswer,
}

impl Counted {
    fn is_fresh(&self) -> bool {
        let changes = match (&self.answer, &self.key.source) {
            (RowsAnswer::Known(_), RowSource::Version { .. }) => false,
            // Whatever failed may go well later.
            _ => true,
        };
        !changes || self.at.elapsed() < FRESH
    }
}

#[derive(Default)]
struct Counts {
    /// The newest at the end.
    kept: VecDeque<Counted>,
    is_busy: bool,
}

/// One of a process.
#[derive(Clone)]
pub struct RowCounter {
    db: DatabaseConnection,
    store: ArtifactStore,
    counts: Arc<Mutex<Counts>>,
}

impl RowCounter {
    pub fn new(db: DatabaseConnection, store: ArtifactStore) -> Self {
        Self { db, store, counts: Arc::default() }
    }

    /// Where models and versions are.
    pub fn store(&self) -> &ArtifactStore {
        &self.store
    }

    /// What is known; starts counting where nothing is, or not any more, unless a count is under way.
    pub fn ask(&self, key: &CountKey) -> RowsAnswer {
        let mut counts = self.counts();
        let kept = counts.kept.iter().find(|counted| counted.key == *key);
        let known = kept.map(|counted| (counted.answer.clone(), counted.is_fresh()));
        if let Some((answer, true)) = known {
            return answer;
        }
        if !counts.is_busy {
            counts.is_busy = true;
            tokio::spawn(self.clone().count(key.clone(), Busy(self.counts.clone())));
        }
        known.map_or(RowsAnswer::Counting, |(answer, _)| answer)
    }

    async fn count(self, key: CountKey, busy: Busy) {
        let answer = match self.rows(&key).await {
            Ok(Ok(rows)) => RowsAnswer::Known(Arc::new(rows)),
            Ok(Err(CountError::Unreadable(why))) => RowsAnswer::Unreadable(why),
            Ok(Err(CountError::TooLarge)) => RowsAnswer::Unknown,
            Err(error) => {
                tracing::warn!(error = format!("{error:#}"), "cannot count a launch form's rows");
                RowsAnswer::Unknown
            }
        };
        let mut counts = self.counts();
        counts.kept.retain(|counted| counted.key != key);
        if counts.kept.len() >= KEPT {
            counts.kept.pop_front();
        }
        counts.kept.push_back(Counted { key, at: Instant::now(), answer });
        drop(counts);
        drop(busy);
    }

    async fn rows(&self, key: &CountKey) -> anyhow::Result<Result<KnownRows, CountError>> {
        match &key.source {
            RowSource::Version { hash, train, eval } => {
                let counted = self.counted(self.store.path(hash), key).await?;
                Ok(counted.map(|[of_train, of_eval]| KnownRows {
                    n_train: *train,
                    n_eval: *eval,
                    is_about: false,
                    train: of_train,
                    eval: of_eval,
                }))
            }
            RowSource::Now(project, contents) => {
                let folder = scratch::folder().context("cannot make a temporary folder")?;
                let read = self.would_be_frozen(folder.path(), *project, *contents);
                let read = timeout(PATIENCE, read).await;
                let (n_train, n_eval, is_about) = read.context("the database takes too long")??;
                let counted = self.counted(folder.path().to_owned(), key).await?;
                Ok(counted.map(|[train, eval]| KnownRows {
                    n_train,
                    n_eval,
                    is_about,
                    train,
                    eval,
                }))
            }
        }
    }

    /// Writes the beginning of what would be frozen, and tells how many rows all of it has.
    async fn would_be_frozen(
        &self,
        folder: &Path,
        project: ProjectId,
        contents: DatasetContents,
    ) -> anyhow::Result<(u64, u64, bool)> {
        let total = dataset::n_candidates(&self.db, project, contents).await?;
        let (counts, _) =
            dataset::write(&self.db, folder, project, contents, Some(MOST_ROWS)).await?;
        if total <= MOST_ROWS {
            return Ok((counts.train, counts.eval, false));
        }
        let scaled = |n: u64| (n as f64 * total as f64 / MOST_ROWS as f64).round() as u64;
        Ok((scaled(counts.train), scaled(counts.eval), true))
    }

    /// In a thread of its own.
    async fn counted(
        &self,
        folder: PathBuf,
        key: &CountKey,
    ) -> anyhow::Result<Result<[CountedRows; 2], CountError>> {
        let rows = definition(key.kind).rows.as_ref().context("it reads no rows")?;
        let (model, reading, read) = (self.store.path(&key.model), key.reading, rows.read);
        let (done, result) = oneshot::channel();
        std::thread::Builder::new().name("row-lengths".to_owned()).spawn(move || {
            let _ = done.send(row_lengths::count(&folder, &model, read, &reading));
        })?;
        result.await.context("counting rows failed")
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Lets the next count begin, however this one ends.
struct Busy(Arc<Mutex<Counts>>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_busy = false;
    }
}
