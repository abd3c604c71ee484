//! `/projects/{project}/runs/{run}/resume`: going on with a run that was cancelled or has failed.

use crate::{
    keeping::deletion::hold::hold,
    people::audit,
    training::kinds::{ProgressUnit, definition},
    web::{
        access::{Access, Engineer},
        error::AppError,
        of::Of,
        page,
    },
};
use actix_session::Session;
use actix_web::{HttpResponse, web};
use entity::{
    ids::{ModelId, RunId},
    model,
    run::{self, RunKind, RunStatus},
    run_config::{FetchConfig, FetchSource},
    run_input,
    time::UnixMillis,
};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseConnection, DbErr, EntityTrait, PaginatorTrait,
    QueryFilter, sea_query::Expr,
};
use serde_json::json;
use storage::artifact_store::ArtifactStore;
use storage::database::begin_write;

/// Steps done by a run that can be continued; none for any other.
pub async fn checkpoint_of(
    db: &impl ConnectionTrait,
    store: &ArtifactStore,
    run: &run::Model,
) -> Result<Option<u64>, DbErr> {
    if !matches!(run.status, RunStatus::Failed | RunStatus::Cancelled) {
        return Ok(None);
    }
    let step = match definition(run.kind).unit {
        ProgressUnit::Megabytes => store.has_fetched(run.id).then_some(run.step as u64),
        ProgressUnit::Steps => store.newest_checkpoint(run.id).map(|checkpoint| checkpoint.step),
    };
    let Some(step) = step else { return Ok(None) };
    let lacks_a_model = model::Entity::find()
        .filter(model::Column::Id.is_in(models_of(db, run).await?))
        .filter(model::Column::DeletedAt.is_not_null())
        .count(db)
        .await?
        > 0;
    Ok((!lacks_a_model).then_some(step))
}

/// A folder of the worker's machine is an administrator's to name, and to read anew.
pub fn may_resume(run: &run::Model, access: &Access) -> bool {
    let config = serde_json::from_value::<FetchConfig>(run.config.clone());
    let reads_a_folder = run.kind == RunKind::Fetch
        && config.is_ok_and(|config| matches!(config.source(), Some(FetchSource::Folder(_))));
    !reads_a_folder || access.account.is_admin
}

/// The models that a run reads.
async fn models_of(db: &impl ConnectionTrait, run: &run::Model) -> Result<Vec<ModelId>, DbErr> {
    let inputs =
        run_input::Entity::find().filter(run_input::Column::RunId.eq(run.id)).all(db).await?;
    Ok(inputs.into_iter().filter_map(|input| input.model_id).collect())
}

pub async fn resume(
    Of(Engineer(access), run): Of<Engineer, run::Model>,
    session: Session,
    db: web::Data<DatabaseConnection>,
    store: web::Data<ArtifactStore>,
) -> Result<HttpResponse, AppError> {
    if !may_resume(&run, &access) {
        return Err(AppError::Forbidden);
    }
    let changes = begin_write(db.get_ref()).await?;
    let Some(step) = checkpoint_of(&changes, &store, &run).await? else {
        page::notify(&session, "notice-run-has-no-checkpoint", "")?;
        return Ok(page::see_other(&access.url(&format!("/runs/{}", run.id))));
    };
    hold(&changes, access.project.id, models_of(&changes, &run).await?).await?;
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
        .col_expr(run::Column::Status, Expr::value(RunStatus::Interrupted))
        .col_expr(run::Column::CancelRequested, false.into())
        .col_expr(run::Column::FruitlessAttempts, 0.into())
        .col_expr(run::Column::Error, Expr::value(None::<String>))
        .col_expr(run::Column::FinishedAt, Expr::value(None::<UnixMillis>))
        .filter(run::Column::Id.eq(run))
        .filter(run::Column::Status.is_in([RunStatus::Failed, RunStatus::Cancelled]))
        .exec(db)
        .await?;
    Ok(put_back.rows_affected > 0)
}
