//! What people said, stored. Append-only: a change of mind is a newer revision, the same submit
//! sent twice is one judgement, and a submit that comes too late is kept all the same.

pub mod form;

pub use form::{
    Answer, Mistake, SKIP_REASONS, Submission, TaskForm, choice, skip_reason_key, verdict,
    verdict_key,
};

use crate::{
    data::texts,
    work::{assignment, tasks},
};
use entity::{
    assignment::AssignmentState,
    draft,
    ids::{AccountId, AssignmentId, JudgementId},
    judgement::{self, JudgementPayload, ShownOrder},
    task, task_completion,
    time::UnixMillis,
};
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, ConnectionTrait, DatabaseConnection,
    DatabaseTransaction, DbErr, EntityTrait, IntoActiveModel, PaginatorTrait, QueryFilter,
    QueryOrder, QuerySelect, sea_query::LockType,
};
use storage::database::begin_write;

/// Why nothing was stored.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("no such assignment of this person")]
    NoSuchAssignment,
    #[error("the answer is of another kind than the task")]
    WrongKind,
    #[error(transparent)]
    Database(#[from] DbErr),
}

/// Stores what a person says on an assignment of theirs, in one transaction with the slot it takes
/// or gives back. Sent twice, it is stored once.
pub async fn store(
    db: &DatabaseConnection,
    account: AccountId,
    id: AssignmentId,
    submission: Submission,
) -> Result<judgement::Model, StoreError> {
    let turn = begin_write(db).await?;
    assignment::one_at_a_time(&turn, account).await?;
    let mut query = entity::assignment::Entity::find_by_id(id);
    if turn.get_database_backend() == sea_orm::DbBackend::Postgres {
        query = query.lock(LockType::Update); // the sweep must not end this lease meanwhile
    }
    let held = query.one(&turn).await?.filter(|held| held.account_id == account);
    let held = held.ok_or(StoreError::NoSuchAssignment)?;
    let task = task::Entity::find_by_id(held.task_id)
        .one(&turn)
        .await?
        .ok_or(StoreError::NoSuchAssignment)?;
    if !fits(&submission.answer, task.kind) {
        return Err(StoreError::WrongKind);
    }
    let payload = store_texts(&turn, &submission.answer).await?;
    if let Some(same) = sent_before(&turn, id, &submission.idempotency_key, &payload).await? {
        turn.commit().await?;
        return Ok(same);
    }
    let is_skip = matches!(payload, JudgementPayload::Skip { .. });
    let state = settle(&turn, &held, is_skip).await?;
    let revision = last_revision(&turn, id).await? + 1;
    let row = judgement::ActiveModel {
        id: Set(JudgementId::new()),
        task_id: Set(task.id),
        assignment_id: Set(Some(id)),
        account_id: Set(Some(account)),
        revision: Set(revision),
        payload: Set(payload),
        shown_order: Set(ShownOrder(assignment::shown_order(
            held.order_seed,
            n_answers(&turn, &task).await?,
        ))),
        idempotency_key: Set(submission.idempotency_key),
        lead_time_ms: Set(submission.lead_time_ms),
        created_at: Set(UnixMillis::now()),
    };
    let stored = row.insert(&turn).await?;
    let mut held = held.into_active_model();
    held.state = Set(state);
    held.update(&turn).await?;
    draft::Entity::delete_by_id(id).exec(&turn).await?;
    turn.commit().await?;
    Ok(stored)
}

fn fits(answer: &Answer, kind: task::TaskKind) -> bool {
    match answer {
        Answer::Demonstration { .. } => kind == task::TaskKind::Demonstrate,
        Answer::Comparison { .. } => kind == task::TaskKind::Compare,
        Answer::Skip { .. } => true,
    }
}

async fn n_answers(db: &impl ConnectionTrait, task: &task::Model) -> Result<usize, DbErr> {
    let answers =
        task_completion::Entity::find().filter(task_completion::Column::TaskId.eq(task.id));
    Ok(answers.count(db).await? as usize)
}

async fn store_texts(
    db: &impl ConnectionTrait,
    answer: &Answer,
) -> Result<JudgementPayload, DbErr> {
    Ok(match answer {
        Answer::Demonstration { text } => {
            JudgementPayload::Demonstration { text_hash: texts::store(db, text).await? }
        }
        Answer::Comparison { verdict, rationale } => JudgementPayload::Comparison {
            verdict: *verdict,
            rationale_hash: store_optional(db, rationale).await?,
        },
        Answer::Skip { reason, note } => {
            JudgementPayload::Skip { reason: *reason, note_hash: store_optional(db, note).await? }
        }
    })
}

async fn store_optional(
    db: &impl ConnectionTrait,
    text: &Option<String>,
) -> Result<Option<String>, DbErr> {
    match text {
        Some(text) => Ok(Some(texts::store(db, text).await?)),
        None => Ok(None),
    }
}

async fn sent_before(
    db: &impl ConnectionTrait,
    id: AssignmentId,
    key: &str,
    payload: &JudgementPayload,
) -> Result<Option<judgement::Model>, DbErr> {
    let same_key = judgement::Entity::find()
        .filter(judgement::Column::AssignmentId.eq(id))
        .filter(judgement::Column::IdempotencyKey.eq(key))
        .order_by_desc(judgement::Column::Revision)
        .all(db)
        .await?;
    Ok(same_key.into_iter().next().filter(|last| !key.is_empty() && last.payload == *payload))
}

async fn last_revision(db: &impl ConnectionTrait, id: AssignmentId) -> Result<i32, DbErr> {
    Ok(latest(db, id).await?.map_or(0, |last| last.revision))
}

/// The newest thing said on an assignment.
pub async fn latest(
    db: &impl ConnectionTrait,
    id: AssignmentId,
) -> Result<Option<judgement::Model>, DbErr> {
    judgement::Entity::find()
        .filter(judgement::Column::AssignmentId.eq(id))
        .order_by_desc(judgement::Column::Revision)
        .one(db)
        .await
}

/// Moves the task's counter and says the assignment's next state. An answer wants a slot: the one
/// it holds, or a free one, and without either it is kept as extra. A skip wants none.
async fn settle(
    turn: &DatabaseTransaction,
    held: &entity::assignment::Model,
    is_skip: bool,
) -> Result<AssignmentState, DbErr> {
    let has_slot = matches!(held.state, AssignmentState::Leased | AssignmentState::Submitted);
    if is_skip {
        if has_slot {
            assignment::give_slot_back(turn, held.task_id).await?;
        }
        return Ok(AssignmentState::Skipped);
    }
    if has_slot || assignment::take_slot(turn, held.task_id).await? {
        return Ok(AssignmentState::Submitted);
    }
    Ok(AssignmentState::Extra)
}

/// The assignment that this person answered before this one, for another look: the newest when this
/// one has no answer yet.
pub async fn previous(
    db: &impl ConnectionTrait,
    held: &entity::assignment::Model,
    task: &task::Model,
) -> Result<Option<AssignmentId>, DbErr> {
    let tasks = tasks::of_kind(task.project_id, task.kind);
    let mut query = judgement::Entity::find()
        .filter(judgement::Column::AccountId.eq(held.account_id))
        .filter(judgement::Column::TaskId.in_subquery(tasks))
        .filter(judgement::Column::Revision.eq(1))
        .filter(judgement::Column::AssignmentId.ne(held.id))
        .order_by_desc(judgement::Column::Id);
    let first = judgement::Entity::find()
        .filter(judgement::Column::AssignmentId.eq(held.id))
        .filter(judgement::Column::Revision.eq(1));
    if let Some(first) = first.one(db).await? {
        query = query.filter(judgement::Column::Id.lt(first.id));
    }
    Ok(query.one(db).await?.and_then(|row| row.assignment_id))
}
