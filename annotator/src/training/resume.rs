//! Going on with a run that was cancelled or has failed.

use super::kinds::{ProgressUnit, definition};
use crate::{
    keeping::deletion::{
        hold::{HoldError, hold, hold_rows},
        needs,
    },
    people::audit::{self, AuditAction, AuditSubject},
};
use entity::{
    dataset_version,
    ids::{AccountId, DatasetVersionId, ModelId, RunId},
    model,
    run::{self, RunStatus},
    run_input,
    time::UnixMillis,
};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseConnection, DbErr, EntityTrait, PaginatorTrait,
    QueryFilter, prelude::Json, sea_query::Expr,
};
use serde_json::json;
use storage::{artifact_store::ArtifactStore, database::write};

/// What became of the wish to go on with a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResumeOutcome {
    Queued,
    /// There is nothing to go on from.
    NoCheckpoint,
    /// It was not over, or had succeeded: nothing was changed.
    NotOver,
}

/// Queues the run again with these settings, which may differ where that changes no weight; the next
/// worker that is free goes on from its newest checkpoint.
pub async fn resume(
    db: &DatabaseConnection,
    store: &ArtifactStore,
    run: &run::Model,
    config: &Json,
    by: AccountId,
) -> Result<ResumeOutcome, HoldError> {
    write(db, |changes| async move {
        // It may have been put back since it was read: twice is once.
        let run = run::Entity::find_by_id(run.id).one(&*changes).await?;
        let Some(run) = &run.filter(is_over) else { return Ok(ResumeOutcome::NotOver) };
        // First: where its rows are gone there is no checkpoint either.
        hold_rows(&*changes, rows_of(&*changes, run).await?).await?;
        let Some(step) = checkpoint_of(&*changes, store, run).await? else {
            return Ok(ResumeOutcome::NoCheckpoint);
        };
        hold(&*changes, run.project_id, models_of(&*changes, run).await?).await?;
        if !put_back(&*changes, run.id, config).await? {
            return Ok(ResumeOutcome::NotOver);
        }
        let subject = AuditSubject::in_project(run.project_id, run.id);
        let mut details = json!({"step": step});
        if run.config != *config {
            details["config"] = config.clone();
        }
        audit::record(&*changes, by, AuditAction::RunResume, subject, details).await?;
        Ok(ResumeOutcome::Queued)
    })
    .await
}

/// Whether it ended without success.
fn is_over(run: &run::Model) -> bool {
    matches!(run.status, RunStatus::Failed | RunStatus::Cancelled)
}

/// Steps done by a run that can be continued; none for any other.
pub async fn checkpoint_of(
    db: &impl ConnectionTrait,
    store: &ArtifactStore,
    run: &run::Model,
) -> Result<Option<u64>, DbErr> {
    if !is_over(run) {
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
    Ok((!lacks_a_model && !has_lost_rows(db, run).await?).then_some(step))
}

/// Whether something was erased of the rows that a run reads: it never goes on.
pub async fn has_lost_rows(db: &impl ConnectionTrait, run: &run::Model) -> Result<bool, DbErr> {
    let lost = dataset_version::Entity::find()
        .filter(dataset_version::Column::Id.is_in(rows_of(db, run).await?))
        .filter(dataset_version::Column::Hash.in_subquery(needs::erased()));
    Ok(lost.count(db).await? > 0)
}

/// The models that a run reads.
async fn models_of(db: &impl ConnectionTrait, run: &run::Model) -> Result<Vec<ModelId>, DbErr> {
    let inputs =
        run_input::Entity::find().filter(run_input::Column::RunId.eq(run.id)).all(db).await?;
    Ok(inputs.into_iter().filter_map(|input| input.model_id).collect())
}

/// The dataset versions that a run reads.
async fn rows_of(
    db: &impl ConnectionTrait,
    run: &run::Model,
) -> Result<Vec<DatasetVersionId>, DbErr> {
    let inputs =
        run_input::Entity::find().filter(run_input::Column::RunId.eq(run.id)).all(db).await?;
    Ok(inputs.into_iter().filter_map(|input| input.dataset_version_id).collect())
}

/// The next worker that is free takes it as it takes an interrupted run. False when it was not over,
/// or had succeeded.
async fn put_back(db: &impl ConnectionTrait, run: RunId, config: &Json) -> Result<bool, DbErr> {
    let put_back = run::Entity::update_many()
        .col_expr(run::Column::Status, Expr::value(RunStatus::Interrupted))
        .col_expr(run::Column::Config, Expr::value(config.clone()))
        .col_expr(run::Column::CancelRequested, false.into())
        .col_expr(run::Column::FruitlessAttempts, 0.into())
        .col_expr(run::Column::Error, Expr::value(None::<String>))
        .col_expr(run::Column::ErrorMessage, Expr::value(None::<Json>))
        .col_expr(run::Column::FinishedAt, Expr::value(None::<UnixMillis>))
        .col_expr(run::Column::SeenAt, Expr::value(None::<UnixMillis>))
        .filter(run::Column::Id.eq(run))
        .filter(run::Column::Status.is_in([RunStatus::Failed, RunStatus::Cancelled]))
        .exec(db)
        .await?;
    Ok(put_back.rows_affected > 0)
}
