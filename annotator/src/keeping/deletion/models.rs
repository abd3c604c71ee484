//! Deleting a model: its weights go, its row stays.

use crate::{
    keeping::deletion::{needs, sweep},
    models::live::LiveModels,
    people::{
        audit::{self, AuditAction, AuditSubject},
        projects,
    },
};
use entity::{
    account, artifact, assignment, completion,
    ids::{AccountId, ModelId},
    judgement, model,
    run::{self, RunStatus},
    run_input, task, task_completion,
    time::UnixMillis,
};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DatabaseConnection, DbErr, EntityTrait,
    PaginatorTrait, QueryFilter, QueryOrder, QuerySelect, Select,
    sea_query::{Expr, ExprTrait, Query, SelectStatement},
};
use serde_json::json;
use storage::{artifact_store::ArtifactStore, database::write};

/// What hangs on a model. Of projects that are deleted nothing is told.
pub struct ModelDeletionImpact {
    /// Runs that wait or work and need it: as long as there are any, it cannot be deleted.
    pub needed_by: Vec<run::Model>,
    /// Runs that have read it and are over.
    pub readers: Vec<run::Model>,
    /// Models that were made from it and are there.
    pub children: Vec<model::Model>,
    /// Models that are there and have the same weights: bases, and those of its project.
    pub alike: Vec<model::Model>,
    pub n_answers: u64,
    /// Comparisons with its answers that people have judged, and that wait for people.
    pub n_judged: u64,
    pub n_waiting: u64,
    /// What leaves the disk with it, in bytes; none when somebody else needs the same weights.
    pub frees: Option<i64>,
}

impl ModelDeletionImpact {
    pub async fn of(db: &impl ConnectionTrait, model: &model::Model) -> Result<Self, DbErr> {
        let readers = readers(model.id)
            .filter(run::Column::ProjectId.not_in_subquery(projects::deleted()))
            .order_by_desc(run::Column::CreatedAt);
        let is_base = model::Column::ProjectId.is_null();
        let is_of_project = model::Column::ProjectId.eq(model.project_id);
        let is_seen = Condition::any()
            .add(is_base.clone())
            .add(model::Column::ProjectId.not_in_subquery(projects::deleted()));
        let live = model::Entity::find()
            .filter(model::Column::DeletedAt.is_null())
            .filter(is_seen)
            .filter(model::Column::Id.ne(model.id))
            .order_by_desc(model::Column::CreatedAt);
        let asked = || task::Entity::find().filter(task::Column::Id.in_subquery(asking(model.id)));
        Ok(Self {
            needed_by: needing(model.id).order_by_asc(run::Column::CreatedAt).all(db).await?,
            readers: readers.filter(run::Column::Status.is_in(RunStatus::FINAL)).all(db).await?,
            children: live.clone().filter(model::Column::ParentId.eq(model.id)).all(db).await?,
            alike: live
                .filter(model::Column::ArtifactHash.eq(&model.artifact_hash))
                .filter(Condition::any().add(is_base).add(is_of_project))
                .all(db)
                .await?,
            n_answers: completion::Entity::find()
                .filter(completion::Column::ModelId.eq(model.id))
                .count(db)
                .await?,
            n_judged: asked().filter(Expr::exists(judgements_of_task())).count(db).await?,
            n_waiting: asked().filter(waits_or_is_in_hand()).count(db).await?,
            frees: frees(db, model).await?,
        })
    }
}

async fn frees(db: &impl ConnectionTrait, model: &model::Model) -> Result<Option<i64>, DbErr> {
    if needs::of(db, &model.artifact_hash).await?.len() > 1 {
        return Ok(None);
    }
    let artifact = artifact::Entity::find_by_id(&model.artifact_hash).one(db).await?;
    Ok(Some(artifact.map_or(0, |artifact| artifact.n_bytes)))
}

/// The runs that read a model, or will.
fn readers(model: ModelId) -> Select<run::Entity> {
    let reading = Query::select()
        .column(run_input::Column::RunId)
        .from(run_input::Entity)
        .and_where(run_input::Column::ModelId.eq(model))
        .to_owned();
    run::Entity::find().filter(run::Column::Id.in_subquery(reading))
}

/// Those that wait or work and were not asked to stop.
fn needing(model: ModelId) -> Select<run::Entity> {
    readers(model)
        .filter(run::Column::Status.is_not_in(RunStatus::FINAL))
        .filter(run::Column::CancelRequested.eq(false))
}

/// The tasks that show an answer of the model.
fn asking(model: ModelId) -> SelectStatement {
    let answers = Query::select()
        .column(completion::Column::Id)
        .from(completion::Entity)
        .and_where(completion::Column::ModelId.eq(model))
        .to_owned();
    Query::select()
        .column(task_completion::Column::TaskId)
        .from(task_completion::Entity)
        .and_where(task_completion::Column::CompletionId.in_subquery(answers))
        .to_owned()
}

fn judgements_of_task() -> SelectStatement {
    Query::select()
        .expr(Expr::val(1))
        .from(judgement::Entity)
        .and_where(
            Expr::col((judgement::Entity, judgement::Column::TaskId))
                .equals((task::Entity, task::Column::Id)),
        )
        .to_owned()
}

fn waits_or_is_in_hand() -> Condition {
    let in_hand = Query::select()
        .column(assignment::Column::TaskId)
        .from(assignment::Entity)
        .and_where(assignment::Column::State.eq(assignment::AssignmentState::Leased))
        .to_owned();
    Condition::any().add(task::Column::OpenSlots.gt(0)).add(task::Column::Id.in_subquery(in_hand))
}

/// What became of the wish to delete a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeletionOutcome {
    /// Its weights can go.
    Deleted,
    DeletedBefore,
    /// A run that waits or works needs it: nothing was changed.
    Needed,
}

/// Whether a person who may use the model may also delete it: a base is everybody's, so an
/// administrator's alone.
pub fn may_delete(account: &account::Model, model: &model::Model) -> bool {
    model.project_id.is_some() || account.is_admin
}

/// Deletes a model: it answers nobody any more, and its files leave the disk, now or with the next
/// sweep.
pub async fn give_up(
    db: &DatabaseConnection,
    store: &ArtifactStore,
    live: &LiveModels,
    model: &model::Model,
    by: AccountId,
) -> Result<DeletionOutcome, DbErr> {
    let outcome = delete(db, model, by).await?;
    if outcome == DeletionOutcome::Needed {
        return Ok(outcome);
    }
    live.put_away(model.id);
    if let Err(error) = sweep::remove_unneeded(db, store, &model.artifact_hash).await {
        tracing::warn!(model = %model.id, error = format!("{error:#}"), "its weights stay for now");
    }
    Ok(outcome)
}

/// Marks a model as deleted. Its files go afterwards: [`sweep::remove_unneeded`].
pub async fn delete(
    db: &DatabaseConnection,
    model: &model::Model,
    by: AccountId,
) -> Result<DeletionOutcome, DbErr> {
    write(db, |turn| async move {
        // The lock comes first: it waits for launches that hold the model, and whoever launches
        // after it finds the mark.
        let there = model::Entity::find_by_id(model.id)
            .filter(model::Column::DeletedAt.is_null())
            .lock_exclusive()
            .one(&*turn)
            .await?;
        if there.is_none() {
            return Ok(DeletionOutcome::DeletedBefore);
        }
        if needing(model.id).count(&*turn).await? > 0 {
            return Ok(DeletionOutcome::Needed);
        }
        model::Entity::update_many()
            .col_expr(model::Column::DeletedAt, Expr::value(UnixMillis::now()))
            .col_expr(model::Column::DeletedBy, Expr::value(by))
            .filter(model::Column::Id.eq(model.id))
            .exec(&*turn)
            .await?;
        let details = json!({"name": model.name, "artifact": model.artifact_hash});
        let subject = AuditSubject::in_project(model.project_id, model.id);
        audit::record(&*turn, by, AuditAction::ModelDelete, subject, details).await?;
        Ok(DeletionOutcome::Deleted)
    })
    .await
}
