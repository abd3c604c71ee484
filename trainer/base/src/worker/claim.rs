//! A worker's hold on a run: taken by one statement, kept by renewing, lost by silence.

use super::{metrics::metrics, store::held_here};
use crate::settings::{RunOutput, run_command};
use entity::{
    message,
    message::KeyedMessage,
    run::{self, RunStatus},
};
use sea_orm::{
    ColumnTrait, Condition, DatabaseConnection, DbErr, EntityTrait, ExprTrait, QueryFilter,
    QueryOrder, QuerySelect, QueryTrait,
    sea_query::{Expr, Func, LockBehavior, LockType, SimpleExpr},
};
use std::time::{Duration, Instant};
use storage::clock::database_now;
use tokio::sync::watch;

/// Attempts in a row that may end without getting further than any before them, for whatever reason:
/// more than machines are ever restarted in a row, and few enough that a run which takes its worker
/// down with it, as in a container that is ended when its memory runs out, does not do so for ever.
const MOST_FRUITLESS: i32 = 20;

/// How often a worker looks whether a person wants the run to stop.
const LOOK_EVERY: Duration = Duration::from_millis(400);

/// Takes the oldest run that waits, was interrupted, or whose worker fell silent.
///
/// One statement, so that two workers never take the same run: PostgreSQL skips rows that another
/// is taking, SQLite lets one writer in at a time.
pub(super) async fn next(
    db: &DatabaseConnection,
    worker: &str,
    lease: Duration,
) -> Result<Option<run::Model>, DbErr> {
    let now = database_now(db);
    let waits = run::Column::Status.is_in([RunStatus::Queued, RunStatus::Interrupted]);
    let is_silent = Condition::all()
        .add(run::Column::Status.is_in([RunStatus::Claimed, RunStatus::Running]))
        .add(Expr::col(run::Column::LeaseExpiresAt).lt(now.clone()));
    let oldest = run::Entity::find()
        .select_only()
        .column(run::Column::Id)
        .filter(Condition::any().add(waits).add(is_silent))
        .order_by_asc(run::Column::CreatedAt)
        .order_by_asc(run::Column::Id)
        .limit(1)
        .lock_with_behavior(LockType::Update, LockBehavior::SkipLocked)
        .into_query();
    let started_at = Func::coalesce([Expr::col(run::Column::StartedAt), now.clone()]);
    let got_further = Expr::col(run::Column::Step).gt(Expr::col(run::Column::FurthestStep));
    let fruitless = Expr::case(got_further.clone(), 1)
        .finally(Expr::col(run::Column::FruitlessAttempts).add(1));
    let furthest = Expr::case(got_further, Expr::col(run::Column::Step))
        .finally(Expr::col(run::Column::FurthestStep));
    let taken = run::Entity::update_many()
        .col_expr(run::Column::Status, Expr::val(RunStatus::Claimed))
        .col_expr(run::Column::Attempt, Expr::col(run::Column::Attempt).add(1))
        .col_expr(run::Column::FruitlessAttempts, fruitless.into())
        .col_expr(run::Column::FurthestStep, furthest.into())
        .col_expr(run::Column::Worker, Expr::val(worker))
        .col_expr(run::Column::LeaseExpiresAt, lease_end(now, lease))
        .col_expr(run::Column::StartedAt, started_at.into())
        .filter(run::Column::Id.in_subquery(oldest))
        .exec_with_returning(db)
        .await?;
    Ok(taken.into_iter().next())
}

fn lease_end(now: SimpleExpr, lease: Duration) -> SimpleExpr {
    now.add(lease.as_millis() as i64)
}

/// Why a run that dies again and again at the same place is given up, if it is.
pub(super) fn give_up_reason(run: &run::Model) -> Option<KeyedMessage> {
    let furthest = run.furthest_step;
    (run.fruitless_attempts > MOST_FRUITLESS).then(|| match run_command(run.kind).output {
        RunOutput::Base => message!(
            "run-fetch-leads-nowhere",
            "It, or its worker, was killed {times} times in a row without getting past {megabytes} MB; the log has its last words.",
            times = MOST_FRUITLESS,
            megabytes = furthest
        ),
        _ => message!(
            "run-leads-nowhere",
            "It, or its worker, was killed {times} times in a row without getting past step {step}. If the memory ran out, a smaller batch size or length needs less; the log has its last words.",
            times = MOST_FRUITLESS,
            step = furthest
        ),
    })
}

/// What a worker must know about its hold while it works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LeaseHold {
    Kept,
    /// A person asked to stop.
    CancelRequested,
    /// Another worker has the run, or may have it.
    Lost,
}

/// Renews the hold in the background for as long as it is alive.
pub(super) struct RunLease {
    hold: watch::Receiver<LeaseHold>,
    renewing: tokio::task::JoinHandle<()>,
}

impl RunLease {
    pub(super) fn keep(db: DatabaseConnection, run: &run::Model, lease: Duration) -> Self {
        let (sender, hold) = watch::channel(LeaseHold::Kept);
        let run = run.clone();
        let renewing = tokio::spawn(async move { keep(&db, &run, lease, &sender).await });
        Self { hold, renewing }
    }

    /// A view of the hold, for waiting on its changes.
    pub(super) fn watch(&self) -> watch::Receiver<LeaseHold> {
        self.hold.clone()
    }
}

impl Drop for RunLease {
    fn drop(&mut self) {
        self.renewing.abort();
    }
}

async fn keep(
    db: &DatabaseConnection,
    run: &run::Model,
    lease: Duration,
    hold: &watch::Sender<LeaseHold>,
) {
    let mut renewed = Instant::now();
    loop {
        tokio::time::sleep(LOOK_EVERY.min(lease / 6)).await;
        let begun = Instant::now();
        match renew(db, run, lease).await {
            Ok(found) => {
                renewed = begun;
                metrics().renewed(if found == LeaseHold::Lost { "lost" } else { "kept" });
                hold.send_if_modified(|hold| std::mem::replace(hold, found) != found);
            }
            Err(error) => {
                metrics().renewed("failed");
                tracing::warn!(run = %run.id, "cannot renew the lease: {error}");
            }
        }
        // Without an answer for so long, another worker may have taken the run.
        if renewed.elapsed() >= lease {
            hold.send_replace(LeaseHold::Lost);
        }
        if *hold.borrow() == LeaseHold::Lost {
            return;
        }
    }
}

/// Moves the lease's end, and tells what has become of the run.
pub(super) async fn renew(
    db: &DatabaseConnection,
    run: &run::Model,
    lease: Duration,
) -> Result<LeaseHold, DbErr> {
    let kept = run::Entity::update_many()
        .col_expr(run::Column::LeaseExpiresAt, lease_end(database_now(db), lease))
        .filter(held_here(run))
        .exec_with_returning(db)
        .await?;
    Ok(match kept.first() {
        Some(run) if run.cancel_requested => LeaseHold::CancelRequested,
        Some(_) => LeaseHold::Kept,
        None => LeaseHold::Lost,
    })
}
