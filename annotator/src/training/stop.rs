//! Asking runs to stop.

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
    ColumnTrait, Condition, ConnectionTrait, DatabaseConnection, DbErr, EntityTrait, QueryFilter,
    sea_query::Expr,
};
use serde_json::json;
use storage::database::write;

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

/// Asks runs to stop; how many were asked. One that no worker holds is over at once; one that works
/// stops with a checkpoint.
pub async fn ask_to_stop(db: &impl ConnectionTrait, which: Condition) -> Result<u64, DbErr> {
    let unclaimed = run::Entity::update_many()
        .col_expr(run::Column::Status, Expr::value(RunStatus::Cancelled))
        .col_expr(run::Column::CancelRequested, true.into())
        .col_expr(run::Column::FinishedAt, UnixMillis::now().0.into())
        .filter(which.clone())
        .filter(run::Column::Status.is_in([RunStatus::Queued, RunStatus::Interrupted]))
        .exec(db)
        .await?;
    let held = run::Entity::update_many()
        .col_expr(run::Column::CancelRequested, true.into())
        .filter(which)
        .filter(run::Column::Status.is_in([RunStatus::Claimed, RunStatus::Running]))
        .exec(db)
        .await?;
    Ok(unclaimed.rows_affected + held.rows_affected)
}
