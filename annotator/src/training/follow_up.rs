//! What follows a finished run: the answers of a sample run become comparison tasks, and a DPO,
//! PPO, GRPO or RLOO run queues the sample run of its policy, whose answers then go back to the people.
//!
//! **Invariant:** a run is followed up once, whoever looks and however often: what is written of it
//! moves `run.followed_up_at` from null in the same transaction, or, portion by portion, the count of
//! lines that have become tasks.

mod answers;

use crate::{
    data::dataset::{self, DatasetContents, PromptSelection},
    keeping::deletion::hold::HoldError,
    people::projects,
    training::{
        follow_up::answers::{AnswerPortions, PortionOutcome},
        kinds::{self, FollowUp, RunDefinition, SamplePrompts, definition},
        launch::{self, LaunchInput, LaunchRequest},
    },
};
use anyhow::Context;
use entity::{
    ids::{DatasetVersionId, ModelId, ProjectId, RunId},
    run::{self, RunKind, RunStatus},
    run_config::SampleConfig,
    run_input::{self, InputSlot},
    time::UnixMillis,
};
use sea_orm::{ColumnTrait, ConnectionTrait, DatabaseConnection, DbErr, EntityTrait, QueryFilter};
use std::{
    collections::HashMap,
    time::{Duration, Instant},
};
use storage::artifact_store::ArtifactStore;
use storage::database::{let_others_through, write};

/// How often finished runs are looked for.
const POLL: Duration = Duration::from_secs(1);

/// After how long a run that could not be followed up is tried again.
const RETRY: Duration = Duration::from_secs(60);

/// Follows up every run that ends, for as long as the service runs. A run that cannot be followed
/// up is logged and tried again a minute later.
pub async fn watch(db: DatabaseConnection, store: ArtifactStore) {
    let mut failed = HashMap::new();
    loop {
        if let Err(error) = follow_up_all(&db, &store, &mut failed).await {
            tracing::warn!(error = format!("{error:#}"), "cannot look for finished runs");
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Follows up every run that has succeeded and was not followed up yet, but for those of deleted
/// projects and those that `failed` a moment ago, to which new failures are added.
pub async fn follow_up_all(
    db: &DatabaseConnection,
    store: &ArtifactStore,
    failed: &mut HashMap<RunId, Instant>,
) -> anyhow::Result<()> {
    let finished = run::Entity::find()
        .filter(run::Column::Status.eq(RunStatus::Succeeded))
        .filter(run::Column::Kind.is_in(followed_up_kinds()))
        .filter(run::Column::FollowedUpAt.is_null())
        .filter(run::Column::ProjectId.not_in_subquery(projects::deleted()))
        .all(db)
        .await?;
    for run in finished {
        if failed.get(&run.id).is_some_and(|at| at.elapsed() < RETRY) {
            continue;
        }
        if let Err(error) = follow_up(db, store, &run).await {
            tracing::error!(run = %run.id, error = format!("{error:#}"), "cannot follow up a finished run");
            failed.insert(run.id, Instant::now());
        }
    }
    Ok(())
}

/// How long after its end a run is said to be followed up soon; one that failed at it is no news.
const SOON: Duration = Duration::from_secs(120);

/// Whether a run of the project has just ended, and what follows it is still to come.
pub async fn is_due(db: &impl ConnectionTrait, project: ProjectId) -> Result<bool, DbErr> {
    let due = run::Entity::find()
        .filter(run::Column::ProjectId.eq(project))
        .filter(run::Column::Status.eq(RunStatus::Succeeded))
        .filter(run::Column::Kind.is_in(followed_up_kinds()))
        .filter(run::Column::FollowedUpAt.is_null())
        .filter(run::Column::FinishedAt.gt(UnixMillis::now().minus(SOON)))
        .one(db)
        .await?;
    Ok(due.is_some())
}

/// The kinds of run that something follows.
fn followed_up_kinds() -> impl Iterator<Item = RunKind> {
    let is_followed =
        |definition: &&RunDefinition| !matches!(definition.follow_up, FollowUp::Nothing);
    kinds::all().filter(is_followed).map(|definition| definition.kind)
}

async fn follow_up(
    db: &DatabaseConnection,
    store: &ArtifactStore,
    run: &run::Model,
) -> anyhow::Result<()> {
    match definition(run.kind).follow_up {
        FollowUp::Nothing => Ok(()),
        FollowUp::MakeTasks => follow_up_with_tasks(db, store, run).await,
        FollowUp::SamplePolicy { prompts, config } => {
            follow_up_with_sampling(db, store, run, prompts, config(&run.config)?).await
        }
    }
}

async fn follow_up_with_tasks(
    db: &DatabaseConnection,
    store: &ArtifactStore,
    run: &run::Model,
) -> anyhow::Result<()> {
    let mut portions = AnswerPortions::open(db, store, run).await?;
    let mut n_made = 0;
    loop {
        let (portion, began) = (&portions.next_portion()?, Instant::now());
        let stored = write(db, |turn| async move { portion.store(&turn).await }).await?;
        match stored {
            PortionOutcome::Stored(n_tasks) => n_made += n_tasks,
            PortionOutcome::Last => break,
            PortionOutcome::NotOurs => return Ok(()),
        }
        let_others_through(began).await;
    }
    tracing::info!(run = %run.id, tasks = n_made, "made comparison tasks");
    Ok(())
}

async fn follow_up_with_sampling(
    db: &DatabaseConnection,
    store: &ArtifactStore,
    run: &run::Model,
    prompts: SamplePrompts,
    config: SampleConfig,
) -> anyhow::Result<()> {
    // Files first, so that the write lock is held for rows alone.
    let frozen = match prompts {
        SamplePrompts::OfTheRun => None,
        SamplePrompts::OfTheProject => {
            let contents = DatasetContents::Prompts(PromptSelection::Train);
            Some(dataset::freeze(db, store, run.project_id, contents).await?)
        }
    };
    let version = match &frozen {
        Some(frozen) => frozen.fill(db, run.created_by).await?,
        None => inputs_of(db, run.id).await?.1,
    };
    let (frozen, config) = (frozen.as_ref(), &serde_json::to_value(config)?);
    let policy = run.output_model_id.context("the run made no model")?;
    write(db, |changes| async move {
        if !is_mine_to_follow_up(&*changes, run.id).await? {
            return Ok(());
        }
        if let Some(frozen) = frozen {
            frozen.publish(&*changes, version).await?;
        }
        let sample = LaunchRequest {
            project: run.project_id,
            kind: RunKind::Sample,
            config: config.clone(),
            inputs: vec![LaunchInput::Model(InputSlot::Model, policy), LaunchInput::Rows(version)],
            by: run.created_by,
        };
        match launch::queue(&*changes, &sample).await {
            Ok(sample) => {
                tracing::info!(run = %run.id, %sample, "queued the sample run of a new policy");
            }
            Err(HoldError::Model(name)) => {
                tracing::info!(run = %run.id, name, "the new policy was deleted already");
            }
            Err(error) => return Err(error.into()),
        }
        Ok(())
    })
    .await
}

/// Marks the run as followed up; false when another process was first.
async fn is_mine_to_follow_up(db: &impl ConnectionTrait, run: RunId) -> Result<bool, DbErr> {
    let marked = run::Entity::update_many()
        .col_expr(run::Column::FollowedUpAt, UnixMillis::now().0.into())
        .filter(run::Column::Id.eq(run))
        .filter(run::Column::FollowedUpAt.is_null())
        .exec(db)
        .await?;
    Ok(marked.rows_affected == 1)
}

/// The model and the dataset version that a run reads.
async fn inputs_of(
    db: &impl ConnectionTrait,
    run: RunId,
) -> anyhow::Result<(ModelId, DatasetVersionId)> {
    let inputs = run_input::Entity::find().filter(run_input::Column::RunId.eq(run)).all(db).await?;
    let model =
        inputs.iter().find(|input| input.slot == InputSlot::Model).and_then(|input| input.model_id);
    let dataset = inputs.iter().find_map(|input| input.dataset_version_id);
    Ok((model.context("the run has no model")?, dataset.context("the run has no dataset version")?))
}
