//! Imports of the web app: a file waits in the data folder and a row in the database; one after
//! another is looked through and stored beside the requests. Whoever sent it need not wait, and a
//! restart goes on where the row says.

use crate::{
    data::import::{
        job::ImportJob,
        records::{ImportRecords, wanted},
        spool::ImportSpool,
    },
    people::audit::{self, AuditAction, AuditSubject},
};
use entity::{
    ids::{AccountId, ImportId, ProjectId},
    import::{self, ImportCounts, ImportState, RefusedLines},
    message,
    time::UnixMillis,
};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, Condition, DatabaseConnection, DbErr, EntityTrait,
    PaginatorTrait, QueryFilter, sea_query::Expr,
};
use serde_json::json;
use std::{
    collections::{HashMap, HashSet},
    io,
    path::Path,
    time::Duration,
};
use storage::database::{is_unavailable, write};
use tempfile::NamedTempFile;
use tokio::{
    sync::{Notify, watch},
    time::timeout,
};

/// How often is looked for imports that another process left.
const POLL: Duration = Duration::from_secs(5);

/// Imports of one project that may be under way.
const MOST_UNDER_WAY: u64 = 20;

/// The same file of the same person within this time is the same import: a double click.
const SAME: Duration = Duration::from_secs(10);

/// After how long an import whose file is not on this machine is given up: another web app, which
/// received it, may be away for a while.
const LOST: Duration = Duration::from_secs(60 * 60);

/// How often an import is tried on which the database fails.
const TRIES: u32 = 5;

/// A file that has arrived.
pub struct NewImport {
    pub project: ProjectId,
    pub by: AccountId,
    /// As the person's machine called it; none for what was pasted.
    pub file_name: Option<String>,
    pub file_hash: String,
    pub n_bytes: u64,
    /// Lines that are no rows are left out.
    pub leaves_out: bool,
}

/// Why a file was not taken.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    #[error("too many imports of the project are under way")]
    TooMany,
    #[error("the file cannot be kept: {0}")]
    Disk(#[from] io::Error),
    #[error(transparent)]
    Database(#[from] DbErr),
}

/// The imports of this process.
pub struct ImportQueue {
    records: ImportRecords,
    wake: Notify,
}

impl ImportQueue {
    pub fn new(db: DatabaseConnection, data_dir: &Path) -> Self {
        let (ended, _) = watch::channel(0);
        let records = ImportRecords { db, spool: ImportSpool::new(data_dir), ended };
        Self { records, wake: Notify::new() }
    }

    /// A file to write what arrives into.
    pub fn incoming(&self) -> io::Result<NamedTempFile> {
        self.records.spool.incoming()
    }

    /// Takes a file in. The same file sent twice in a moment is one import.
    pub async fn add(&self, new: NewImport, file: NamedTempFile) -> Result<ImportId, QueueError> {
        let id = ImportId::new();
        self.records.spool.keep(file, id)?;
        let added = self.insert(id, &new).await;
        if !matches!(added, Ok(Some(added)) if added == id) {
            self.records.spool.remove(id);
        }
        self.wake.notify_one();
        added?.ok_or(QueueError::TooMany)
    }

    /// The import of a file: this one, or that which is the same; none when there are too many.
    async fn insert(&self, id: ImportId, new: &NewImport) -> Result<Option<ImportId>, DbErr> {
        write(&self.records.db, |turn| async move {
            let now = UnixMillis::now();
            let of_project =
                || import::Entity::find().filter(import::Column::ProjectId.eq(new.project));
            let recent = Condition::any()
                .add(import::Column::FinishedAt.is_null())
                .add(import::Column::CreatedAt.gt(now.minus(SAME)));
            let same = of_project()
                .filter(import::Column::CreatedBy.eq(new.by))
                .filter(import::Column::FileHash.eq(&new.file_hash))
                .filter(import::Column::LeavesOut.eq(new.leaves_out))
                .filter(import::Column::CancelRequested.eq(false))
                .filter(recent);
            if let Some(same) = same.one(&*turn).await? {
                return Ok(Some(same.id));
            }
            let under_way = of_project().filter(import::Column::FinishedAt.is_null());
            if under_way.count(&*turn).await? >= MOST_UNDER_WAY {
                return Ok(None);
            }
            let row = import::ActiveModel {
                id: Set(id),
                project_id: Set(new.project),
                created_by: Set(Some(new.by)),
                file_name: Set(new.file_name.clone()),
                file_hash: Set(new.file_hash.clone()),
                n_bytes: Set(new.n_bytes as i64),
                leaves_out: Set(new.leaves_out),
                state: Set(ImportState::Waiting),
                cancel_requested: Set(false),
                n_lines: Set(0),
                n_rows: Set(0),
                n_refused: Set(0),
                n_done: Set(0),
                line_done: Set(0),
                counts: Set(ImportCounts::default()),
                refused: Set(RefusedLines::default()),
                reason: Set(None),
                created_at: Set(now),
                updated_at: Set(now),
                finished_at: Set(None),
            };
            import::Entity::insert(row).exec_without_returning(&*turn).await?;
            Ok(Some(id))
        })
        .await
    }

    /// Waits until an import is over, but not for long.
    pub async fn settled(&self, id: ImportId, patience: Duration) -> Result<(), DbErr> {
        let mut ended = self.records.ended.subscribe();
        let is_over = async {
            loop {
                let import = import::Entity::find_by_id(id).one(&self.records.db).await?;
                if import.is_none_or(|import| import.is_over()) || ended.changed().await.is_err() {
                    return Ok(());
                }
            }
        };
        timeout(patience, is_over).await.unwrap_or(Ok(()))
    }

    /// Asks an import to stop; false when it is over.
    pub async fn cancel(&self, id: ImportId, by: AccountId) -> Result<bool, DbErr> {
        let asked = write(&self.records.db, |turn| async move {
            let asked = wanted(id).col_expr(import::Column::CancelRequested, Expr::value(true));
            if asked.exec(&*turn).await?.rows_affected == 0 {
                return Ok::<_, DbErr>(false);
            }
            let import = import::Entity::find_by_id(id).one(&*turn).await?;
            let project = import.as_ref().map(|import| import.project_id);
            let subject = AuditSubject::in_project(project, id);
            let details = json!({"name": import.and_then(|import| import.file_name)});
            audit::record(&*turn, by, AuditAction::ImportCancel, subject, details).await?;
            Ok(true)
        });
        let asked = asked.await?;
        self.wake.notify_one();
        Ok(asked)
    }

    /// Brings in whatever waits, for as long as the service runs.
    pub async fn run(&self) {
        let mut failures: HashMap<ImportId, u32> = HashMap::new();
        let mut is_swept = false;
        loop {
            match self.next().await {
                Ok(Some(job)) => self.take_on(job, &mut failures).await,
                Ok(None) if !is_swept => {
                    is_swept = true;
                    self.sweep().await;
                }
                Ok(None) => drop(timeout(POLL, self.wake.notified()).await),
                Err(error) => {
                    tracing::warn!(error = format!("{error:#}"), "cannot look for imports");
                    tokio::time::sleep(POLL).await;
                }
            }
        }
    }

    async fn take_on(&self, job: ImportJob<'_>, failures: &mut HashMap<ImportId, u32>) {
        let id = job.id();
        let Err(error) = job.run().await else {
            failures.remove(&id);
            return;
        };
        tracing::error!(%error, import = %id, "an import could not go on");
        // A database that is away, or held by another, is waited for.
        if is_unavailable(&error) {
            return tokio::time::sleep(POLL).await;
        }
        let n = failures.entry(id).or_default();
        *n += 1;
        if *n >= TRIES {
            let why = message!(
                "import-database-failed",
                "the database could not store the rows; the log of the service says why"
            );
            if let Err(error) = self.records.end(id, ImportState::Failed, Some(why), None).await {
                tracing::error!(%error, import = %id, "an import could not be ended");
            }
        }
        tokio::time::sleep(POLL).await;
    }

    /// The oldest import that nobody is at and whose file is here.
    async fn next(&self) -> anyhow::Result<Option<ImportJob<'_>>> {
        for import in self.records.under_way().await? {
            let id = import.id;
            match self.records.spool.hold(id) {
                Ok(None) => {}
                Ok(Some(file)) => {
                    // It may have ended since its row was read.
                    let row = import::Entity::find_by_id(id).one(&self.records.db).await?;
                    if let Some(row) = row.filter(|row| !row.is_over()) {
                        return Ok(Some(ImportJob::new(&self.records, row, file)));
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    let is_lost = import.updated_at < UnixMillis::now().minus(LOST);
                    if import.cancel_requested || is_lost {
                        self.records.give_up(&import).await?;
                    }
                }
                // One that cannot be opened must not keep the others waiting.
                Err(error) => tracing::warn!(%id, %error, "cannot open the file of an import"),
            }
        }
        Ok(None)
    }

    async fn sweep(&self) {
        let Ok(under_way) = self.records.under_way().await else { return };
        let under_way: HashSet<ImportId> = under_way.iter().map(|import| import.id).collect();
        if let Err(error) = self.records.spool.sweep(&under_way) {
            tracing::warn!(%error, "files of old imports stay in the data folder");
        }
    }
}
