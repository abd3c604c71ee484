//! `/projects/{project}/runs/{run}/cancel`: asking a run to stop.

use super::find;
use crate::{access::Engineer, audit, database, error::AppError, notices, page};
use actix_session::Session;
use actix_web::{HttpResponse, web};
use entity::{
    ids::{ProjectId, RunId},
    run::{self, Status},
    time::UnixMillis,
};
use sea_orm::{ColumnTrait, ConnectionTrait, DatabaseConnection, DbErr, EntityTrait, QueryFilter};
use serde_json::json;

pub async fn cancel(
    Engineer(access): Engineer,
    path: web::Path<(ProjectId, String)>,
    session: Session,
    db: web::Data<DatabaseConnection>,
) -> Result<HttpResponse, AppError> {
    let run = find(db.get_ref(), &access, &path.1).await?;
    let changes = database::begin_write(db.get_ref()).await?;
    if ask_to_stop(&changes, run.id).await? {
        // Whoever stops their own run need not be told that it ended.
        notices::see(&changes, &run, access.account.id).await?;
        audit::record(&changes, access.account.id, "run.cancel", run.id, json!({})).await?;
        changes.commit().await?;
        page::notify(&session, "notice-run-cancelled", "")?;
    }
    Ok(page::see_other(&access.url(&format!("/runs/{}", run.id))))
}

/// A run that no worker holds is over at once; one that works is asked, and stops with a
/// checkpoint. False when it was over already.
pub async fn ask_to_stop(db: &impl ConnectionTrait, run: RunId) -> Result<bool, DbErr> {
    let unclaimed = run::Entity::update_many()
        .col_expr(run::Column::Status, sea_orm::sea_query::Expr::value(Status::Cancelled))
        .col_expr(run::Column::CancelRequested, true.into())
        .col_expr(run::Column::FinishedAt, UnixMillis::now().0.into())
        .filter(run::Column::Id.eq(run))
        .filter(run::Column::Status.is_in([Status::Queued, Status::Interrupted]))
        .exec(db)
        .await?;
    if unclaimed.rows_affected > 0 {
        return Ok(true);
    }
    let asked = run::Entity::update_many()
        .col_expr(run::Column::CancelRequested, true.into())
        .filter(run::Column::Id.eq(run))
        .filter(run::Column::Status.is_in([Status::Claimed, Status::Running]))
        .exec(db)
        .await?;
    Ok(asked.rows_affected > 0)
}
