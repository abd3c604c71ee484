//! Queueing a run: the row that a worker claims, what it reads, and who asked for it. And asking it
//! to stop.

use crate::{
    keeping::deletion::hold::{Deleted, hold},
    people::audit,
};
use entity::{
    ids::{AccountId, DatasetVersionId, ModelId, ProjectId, RunId},
    run::{self, RunKind, RunStatus},
    run_config::FetchConfig,
    run_input::{self, InputSlot},
    time::UnixMillis,
};
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, Condition, ConnectionTrait, DbErr,
    EntityTrait, QueryFilter, sea_query::Expr,
};
use serde_json::{Value, json};

/// A run on a model that is about to be queued; its settings have been checked.
#[derive(Clone, Debug)]
pub struct Launch {
    pub project: ProjectId,
    pub kind: RunKind,
    /// The kind's struct in [`entity::run_config`].
    pub config: Value,
    /// What is trained or sampled from (PPO: the policy).
    pub model: ModelId,
    /// PPO's reward model.
    pub reward: Option<ModelId>,
    pub dataset: DatasetVersionId,
    /// None when the service itself queues it.
    pub by: Option<AccountId>,
}

/// Writes the run, its inputs and the audit line, unless something that it needs was deleted. Call
/// it in a transaction.
pub async fn queue(db: &impl ConnectionTrait, launch: &Launch) -> Result<RunId, Deleted> {
    hold(db, launch.project, [launch.model].into_iter().chain(launch.reward)).await?;
    let Launch { project, kind, by, .. } = *launch;
    let id = add_row(db, project, kind, &launch.config, by).await?;
    let model = |slot, model| input(id, slot, Some(model), None);
    let mut inputs = vec![
        model(InputSlot::Model, launch.model),
        input(id, InputSlot::Dataset, None, Some(launch.dataset)),
    ];
    inputs.extend(launch.reward.map(|reward| model(InputSlot::Reward, reward)));
    run_input::Entity::insert_many(inputs).exec_without_returning(db).await?;
    Ok(id)
}

/// The same for a base that is to be fetched: such a run reads nothing of ours.
pub async fn queue_fetch(
    db: &impl ConnectionTrait,
    project: ProjectId,
    config: &FetchConfig,
    by: AccountId,
) -> Result<RunId, Deleted> {
    hold(db, project, []).await?;
    Ok(add_row(db, project, RunKind::Fetch, &json!(config), Some(by)).await?)
}

async fn add_row(
    db: &impl ConnectionTrait,
    project: ProjectId,
    kind: RunKind,
    config: &Value,
    by: Option<AccountId>,
) -> Result<RunId, DbErr> {
    let id = RunId::new();
    run::ActiveModel {
        id: Set(id),
        project_id: Set(project),
        kind: Set(kind),
        config: Set(config.clone()),
        status: Set(RunStatus::Queued),
        attempt: Set(0),
        fruitless_attempts: Set(0),
        furthest_step: Set(0),
        cancel_requested: Set(false),
        progress: Set(0.0),
        step: Set(0),
        n_steps: Set(0),
        created_by: Set(by),
        created_at: Set(UnixMillis::now()),
        ..<run::ActiveModel as Default>::default()
    }
    .insert(db)
    .await?;
    if let Some(by) = by {
        let details = json!({ "kind": kind, "config": config });
        audit::record(db, by, "run.launch", id, details).await?;
    }
    Ok(id)
}

fn input(
    run: RunId,
    slot: InputSlot,
    model: Option<ModelId>,
    dataset: Option<DatasetVersionId>,
) -> run_input::ActiveModel {
    run_input::ActiveModel {
        run_id: Set(run),
        slot: Set(slot),
        model_id: Set(model),
        dataset_version_id: Set(dataset),
    }
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
