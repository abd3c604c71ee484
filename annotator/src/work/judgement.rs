//! What people said, stored. Append-only: a change of mind is a newer revision, the same submit
//! sent twice is one judgement, and a submit that comes too late is kept all the same.

pub mod form;

pub use form::{
    Answer, Mistake, SKIP_REASONS, Submission, TaskForm, choice, skip_reason_key, verdict,
    verdict_key,
};

use crate::{
    data::texts,
    work::{
        assignment::{LockedAssignment, TaskOutcome},
        shown_answers::shown_order,
        tasks,
    },
};
use entity::{
    ids::{AccountId, AssignmentId, JudgementId},
    judgement::{self, JudgementPayload, ShownOrder},
    task, task_completion,
    time::UnixMillis,
};
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, ConnectionTrait, DatabaseConnection, DbErr,
    EntityTrait, PaginatorTrait, QueryFilter, QueryOrder,
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
/// or gives back. Sent twice, also at the same moment, it is stored once: the assignment is locked
/// before anybody looks for the first.
pub async fn store(
    db: &DatabaseConnection,
    account: AccountId,
    id: AssignmentId,
    submission: Submission,
) -> Result<judgement::Model, StoreError> {
    let turn = begin_write(db).await?;
    let held = LockedAssignment::of(&turn, account, id).await?;
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
    let revision = last_revision(&turn, id).await? + 1;
    let row = judgement::ActiveModel {
        id: Set(JudgementId::new()),
        task_id: Set(task.id),
        assignment_id: Set(Some(id)),
        account_id: Set(Some(account)),
        revision: Set(revision),
        payload: Set(payload),
        shown_order: Set(ShownOrder(shown_order(held.order_seed, n_answers(&turn, &task).await?))),
        idempotency_key: Set(submission.idempotency_key),
        lead_time_ms: Set(submission.lead_time_ms),
        created_at: Set(UnixMillis::now()),
    };
    let stored = row.insert(&turn).await?;
    let outcome = if matches!(stored.payload, JudgementPayload::Skip { .. }) {
        TaskOutcome::Skipped
    } else {
        TaskOutcome::Answered
    };
    held.settle(&turn, outcome).await?;
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
