//! `/projects/{project}/runs/{run}/resume`: going on with a run that was cancelled or has failed.

use super::find;
use crate::{access::Engineer, audit, database, error::AppError, page};
use actix_session::Session;
use actix_web::{HttpResponse, web};
use entity::{
    artifact_store::ArtifactStore,
    ids::{ProjectId, RunId},
    run::{self, Status},
    time::UnixMillis,
};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseConnection, DbErr, EntityTrait, QueryFilter,
    sea_query::Expr,
};
use serde_json::json;

/// Steps done by a run that can be continued; none for any other.
pub(super) fn checkpoint_of(store: &ArtifactStore, run: &run::Model) -> Option<u64> {
    let is_over = matches!(run.status, Status::Failed | Status::Cancelled);
    is_over.then(|| store.newest_checkpoint(run.id))?.map(|checkpoint| checkpoint.step)
}

pub async fn resume(
    Engineer(access): Engineer,
    path: web::Path<(ProjectId, String)>,
    session: Session,
    db: web::Data<DatabaseConnection>,
    store: web::Data<ArtifactStore>,
) -> Result<HttpResponse, AppError> {
    let run = find(db.get_ref(), &access, &path.1).await?;
    let changes = database::begin_write(db.get_ref()).await?;
    let Some(step) = checkpoint_of(&store, &run) else {
        page::notify(&session, "notice-run-has-no-checkpoint", "")?;
        return Ok(page::see_other(&access.url(&format!("/runs/{}", run.id))));
    };
    if put_back(&changes, run.id).await? {
        let details = json!({"step": step});
        audit::record(&changes, access.account.id, "run.resume", run.id, details).await?;
        changes.commit().await?;
        page::notify(&session, "notice-run-queued", "")?;
    }
    Ok(page::see_other(&access.url(&format!("/runs/{}", run.id))))
}

/// The next worker that is free takes it as it takes an interrupted run. False when it was not over,
/// or had succeeded.
async fn put_back(db: &impl ConnectionTrait, run: RunId) -> Result<bool, DbErr> {
    let put_back = run::Entity::update_many()
        .col_expr(run::Column::Status, Expr::value(Status::Interrupted))
        .col_expr(run::Column::CancelRequested, false.into())
        .col_expr(run::Column::FruitlessAttempts, 0.into())
        .col_expr(run::Column::Error, Expr::value(None::<String>))
        .col_expr(run::Column::FinishedAt, Expr::value(None::<UnixMillis>))
        .filter(run::Column::Id.eq(run))
        .filter(run::Column::Status.is_in([Status::Failed, Status::Cancelled]))
        .exec(db)
        .await?;
    Ok(put_back.rows_affected > 0)
}
