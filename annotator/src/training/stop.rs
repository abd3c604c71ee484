//! Asking runs to stop. One whose worker has fallen silent will never hear of it, and is ended here.

use crate::people::{
    audit::{self, AuditAction, AuditSubject},
    notices,
};
use entity::{
    ids::AccountId,
    run::{self, RunStatus},
    time::UnixMillis,
};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DatabaseConnection, DbErr, EntityTrait, ExprTrait,
    PaginatorTrait, QueryFilter, sea_query::Expr,
};
use serde_json::json;
use storage::{clock::database_now, database::write};

/// A person stops a run; false when it was over, or had been asked before. Whoever stops their own
/// run need not be told that it ended.
pub async fn cancel(
    db: &DatabaseConnection,
    run: &run::Model,
    by: AccountId,
) -> Result<bool, DbErr> {
    write(db, |changes| async move {
        let this = Condition::all().add(run::Column::Id.eq(run.id));
        if ask_to_stop(&*changes, this).await? == 0 {
            return Ok(false);
        }
        notices::see(&*changes, run, by).await?;
        let subject = AuditSubject::in_project(run.project_id, run.id);
        audit::record(&*changes, by, AuditAction::RunCancel, subject, json!({})).await?;
        Ok(true)
    })
    .await
}

/// Asks runs to stop; how many were asked. One that no worker holds is over at once, and so is one
/// whose worker fell silent; one that works stops with a checkpoint.
pub async fn ask_to_stop(db: &impl ConnectionTrait, which: Condition) -> Result<u64, DbErr> {
    let waits = run::Column::Status.is_in([RunStatus::Queued, RunStatus::Interrupted]);
    let unheld = Condition::any().add(waits).add(is_silent(db));
    let n_ended = end(db, which.clone().add(unheld)).await?;
    let held = run::Entity::update_many()
        .col_expr(run::Column::CancelRequested, true.into())
        .filter(which)
        .filter(run::Column::Status.is_in([RunStatus::Claimed, RunStatus::Running]))
        .exec(db)
        .await?;
    Ok(n_ended + held.rows_affected)
}

/// Ends the runs that were asked to stop and whose worker fell silent before it did; how many.
pub async fn end_silent(db: &DatabaseConnection) -> Result<u64, DbErr> {
    let asked = Condition::all().add(run::Column::CancelRequested.eq(true)).add(is_silent(db));
    // Asked first: whoever writes takes SQLite's lock, and there is hardly ever one.
    if run::Entity::find().filter(asked.clone()).count(db).await? == 0 {
        return Ok(0);
    }
    write(db, |turn| {
        let asked = asked.clone();
        async move { end(&*turn, asked).await }
    })
    .await
}

/// The rule by which another worker would take it: its lease is over.
fn is_silent(db: &impl ConnectionTrait) -> Condition {
    Condition::all()
        .add(run::Column::Status.is_in([RunStatus::Claimed, RunStatus::Running]))
        .add(Expr::col(run::Column::LeaseExpiresAt).lt(database_now(db)))
}

async fn end(db: &impl ConnectionTrait, which: Condition) -> Result<u64, DbErr> {
    let ended = run::Entity::update_many()
        .col_expr(run::Column::Status, Expr::value(RunStatus::Cancelled))
        .col_expr(run::Column::CancelRequested, true.into())
        .col_expr(run::Column::FinishedAt, UnixMillis::now().0.into())
        .filter(which)
        .exec(db)
        .await?;
    Ok(ended.rows_affected)
}
