//! How much there is, by the database and the disk: looked up when somebody asks, and no further than
//! a bound. A database that does not answer in time leaves its numbers out, and is told to be down.

use entity::{
    import,
    run::{self, RunStatus},
    task,
    time::UnixMillis,
};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::gauge::ConstGauge,
};
use rustix::fs::statvfs;
use sea_orm::{
    ActiveEnum, ColumnTrait, DatabaseConnection, DbErr, EntityTrait, FromQueryResult,
    PaginatorTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait,
    sea_query::{Alias, Asterisk, Expr, ExprTrait, Func, Query},
};
use std::{
    fmt,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use tokio::runtime::Handle;
use trainer_base::metrics::{BeforeScrape, encode};

/// How long the database may take.
const PATIENCE: Duration = Duration::from_secs(1);

/// For so long an answer is good enough: whoever asks all the time costs no more.
const KEPT: Duration = Duration::from_secs(2);

/// How many tasks are counted.
const MANY: u64 = 10_000;

/// Runs that have not ended.
const LIVE: [RunStatus; 4] =
    [RunStatus::Queued, RunStatus::Claimed, RunStatus::Running, RunStatus::Interrupted];

/// What was found the last time that somebody asked.
#[derive(Debug)]
pub(super) struct Figures {
    db: DatabaseConnection,
    /// Names and paths of what may fill up.
    folders: [(&'static str, PathBuf); 2],
    /// Where the database is asked: its connections belong there.
    asks_on: Handle,
    last: Mutex<Option<(Instant, Option<DatabaseFigures>)>>,
}

#[derive(Clone, Debug)]
struct DatabaseFigures {
    n_open_tasks: u64,
    n_imports: u64,
    n_runs: Vec<(RunStatus, u64)>,
    oldest_waiting: Option<UnixMillis>,
}

#[derive(FromQueryResult)]
struct RowCount {
    n: i64,
}

#[derive(FromQueryResult)]
struct StatusCount {
    status: RunStatus,
    n: i64,
}

impl DatabaseFigures {
    /// Each question is answered by an index, in the size of what is counted.
    async fn of(db: &DatabaseConnection) -> Result<Self, DbErr> {
        // In the order of the index of open tasks, so that no other way is taken; the zero is written
        // out, or SQLite would not see that the index serves.
        let open = task::Entity::find()
            .select_only()
            .column(task::Column::Id)
            .filter(Expr::col(task::Column::OpenSlots).gt(Expr::Constant(0.into())))
            .order_by_asc(task::Column::ProjectId)
            .order_by_asc(task::Column::Kind)
            .order_by_asc(task::Column::CreatedAt)
            .order_by_asc(task::Column::Id)
            .limit(MANY)
            .into_query();
        let open = Query::select()
            .expr_as(Func::count(Expr::col(Asterisk)), Alias::new("n"))
            .from_subquery(open, Alias::new("open"))
            .to_owned();
        let open =
            RowCount::find_by_statement(db.get_database_backend().build(&open)).one(db).await?;
        let imports = import::Entity::find().filter(import::Column::FinishedAt.is_null());
        let counted = run::Entity::find()
            .select_only()
            .column(run::Column::Status)
            .column_as(run::Column::Id.count(), "n")
            .filter(run::Column::Status.is_in(LIVE))
            .group_by(run::Column::Status)
            .into_model::<StatusCount>()
            .all(db)
            .await?;
        let waiting = run::Entity::find()
            .select_only()
            .column(run::Column::CreatedAt)
            .filter(run::Column::Status.is_in([RunStatus::Queued, RunStatus::Interrupted]))
            .order_by_asc(run::Column::CreatedAt);
        let n_of = |status| {
            let found = counted.iter().find(|counted| counted.status == status);
            found.map_or(0, |counted| counted.n as u64)
        };
        Ok(Self {
            n_open_tasks: open.map_or(0, |open| open.n.unsigned_abs()),
            n_imports: imports.count(db).await?,
            n_runs: LIVE.into_iter().map(|status| (status, n_of(status))).collect(),
            oldest_waiting: waiting.into_tuple::<UnixMillis>().one(db).await?,
        })
    }
}

impl Figures {
    pub(super) fn new(db: DatabaseConnection, folders: [(&'static str, PathBuf); 2]) -> Self {
        Self { db, folders, asks_on: Handle::current(), last: Mutex::default() }
    }

    /// Looks again, unless that was done a moment ago.
    pub(super) fn before_scrape(self: &Arc<Self>) -> BeforeScrape {
        let figures = self.clone();
        Arc::new(move || {
            let figures = figures.clone();
            Box::pin(async move { figures.look().await })
        })
    }

    async fn look(&self) {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if last.is_some_and(|(at, _)| at.elapsed() < KEPT) {
            return;
        }
        let db = self.db.clone();
        let asking = self.asks_on.spawn(async move { DatabaseFigures::of(&db).await });
        let found = match tokio::time::timeout(PATIENCE, asking).await {
            Ok(Ok(Ok(found))) => Some(found),
            Ok(Ok(Err(error))) => {
                tracing::warn!(%error, "the database does not tell its numbers");
                None
            }
            Ok(Err(_)) | Err(_) => None,
        };
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        *last = Some((Instant::now(), found));
    }

    fn encode_disks(&self, encoder: &mut DescriptorEncoder) -> fmt::Result {
        let help = "Bytes that are free on the disk of a folder.";
        let gauge = ConstGauge::new(0);
        let mut free =
            encoder.encode_descriptor("attune_disk_free_bytes", help, None, gauge.metric_type())?;
        for (name, path) in &self.folders {
            if let Ok(disk) = statvfs(path) {
                let bytes = ConstGauge::new((disk.f_bavail * disk.f_frsize) as f64);
                bytes.encode(free.encode_family(&[("folder", *name)])?)?;
            }
        }
        Ok(())
    }
}

impl Collector for Figures {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        self.encode_disks(&mut encoder)?;
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let found = last.and_then(|(_, found)| found);
        let up = ConstGauge::new(i64::from(found.is_some()));
        encode(
            &mut encoder,
            "attune_database_up",
            "Whether the database answered in a second",
            &up,
        )?;
        let Some(found) = found else { return Ok(()) };
        let help = "Tasks that wait for somebody, counted up to 10,000";
        encode(&mut encoder, "attune_open_tasks", help, &ConstGauge::new(found.n_open_tasks))?;
        let help = "Imports that have not ended";
        encode(&mut encoder, "attune_imports_under_way", help, &ConstGauge::new(found.n_imports))?;
        let waited = found.oldest_waiting.map_or(0, |since| UnixMillis::now().0 - since.0);
        let waited = ConstGauge::new(waited as f64 / 1000.0);
        let help = "For how long the oldest run that waits for a worker has been there";
        encode(&mut encoder, "attune_oldest_waiting_run_seconds", help, &waited)?;
        let help = "Runs that have not ended.";
        let gauge = ConstGauge::new(0);
        let mut runs = encoder.encode_descriptor("attune_runs", help, None, gauge.metric_type())?;
        for (status, n) in &found.n_runs {
            let labels = [("status", status.to_value())];
            ConstGauge::new(*n).encode(runs.encode_family(&labels)?)?;
        }
        Ok(())
    }
}
