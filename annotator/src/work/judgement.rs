//! What people said, stored. Append-only: a change of mind is a newer revision, the same submit
//! sent twice is one judgement, and a submit that comes too late is kept all the same.

use crate::{
    data::texts,
    work::{
        assignment::{LockedAssignment, TaskOutcome},
        form::TaskSubmission,
        kinds,
        overtaking::{self, Standing},
        shown_answers, tasks,
    },
};
use entity::{
    ids::{AccountId, AssignmentId, JudgementId, TaskId},
    judgement::{self, JudgementPayload, ShownOrder},
    task,
    time::UnixMillis,
};
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, ConnectionTrait, DatabaseConnection, DbErr,
    EntityTrait, QueryFilter, QueryOrder,
};
use storage::database::{begin_write, row_chunks};

/// Why nothing was stored.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("no such assignment of this person")]
    NoSuchAssignment,
    #[error("the answer is of another kind than the task")]
    WrongKind,
    #[error("another window has stored something that this one has not seen")]
    Overtaken,
    #[error(transparent)]
    Database(#[from] DbErr),
}

/// Stores what a person says on an assignment of theirs, in one transaction with the slot it takes
/// or gives back. Sent twice, also at the same moment, it is stored once: the assignment is locked
/// before anybody looks for the first. What another window has stored meanwhile is not replaced by
/// one that does not know of it.
pub async fn store(
    db: &DatabaseConnection,
    account: AccountId,
    id: AssignmentId,
    submission: TaskSubmission,
) -> Result<judgement::Model, StoreError> {
    let turn = begin_write(db).await?;
    let held = LockedAssignment::of(&turn, account, id).await?;
    let held = held.ok_or(StoreError::NoSuchAssignment)?;
    let task = task::Entity::find_by_id(held.task_id)
        .one(&turn)
        .await?
        .ok_or(StoreError::NoSuchAssignment)?;
    let answered = kinds::stored_answer(&submission.payload).kind();
    if answered.is_some_and(|kind| kind != task.kind) {
        return Err(StoreError::WrongKind);
    }
    texts::store_all(&turn, submission.texts).await?;
    let payload = submission.payload;
    if let Some(same) = sent_before(&turn, id, &submission.idempotency_key, &payload).await? {
        turn.commit().await?;
        return Ok(same);
    }
    let last = latest(&turn, id).await?;
    // Whoever says nothing of what they have seen is no window of ours.
    let (window, typed) = (&submission.window, &submission.typed);
    if window.seen.is_some()
        && overtaking::standing(&turn, &held, window, typed).await? != Standing::Newer
    {
        return match last.filter(|last| last.payload == payload) {
            Some(same) => Ok(same),
            None => Err(StoreError::Overtaken),
        };
    }
    let revision = last.map_or(0, |last| last.revision) + 1;
    let row = judgement::ActiveModel {
        id: Set(JudgementId::new()),
        task_id: Set(task.id),
        assignment_id: Set(Some(id)),
        account_id: Set(Some(account)),
        revision: Set(revision),
        payload: Set(payload),
        shown_order: Set(ShownOrder(
            shown_answers::order_of(&turn, task.id, held.order_seed).await?,
        )),
        idempotency_key: Set(submission.idempotency_key),
        lead_time_ms: Set(submission.lead_time_ms),
        created_at: Set(UnixMillis::now()),
    };
    let stored = row.insert(&turn).await?;
    let outcome = if answered.is_some() { TaskOutcome::Answered } else { TaskOutcome::Skipped };
    held.settle(&turn, outcome).await?;
    turn.commit().await?;
    Ok(stored)
}

/// Stores judgements that came from elsewhere: of no assignment and no account.
pub async fn store_imported(
    db: &impl ConnectionTrait,
    said: Vec<(TaskId, JudgementPayload, ShownOrder)>,
) -> Result<(), DbErr> {
    let now = UnixMillis::now();
    let rows = said.into_iter().map(|(task, payload, shown_order)| judgement::ActiveModel {
        id: Set(JudgementId::new()),
        task_id: Set(task),
        assignment_id: Set(None),
        account_id: Set(None),
        revision: Set(1),
        payload: Set(payload),
        shown_order: Set(shown_order),
        idempotency_key: Set("import".to_owned()),
        lead_time_ms: Set(None),
        created_at: Set(now),
    });
    for chunk in row_chunks(rows) {
        judgement::Entity::insert_many(chunk).exec_without_returning(db).await?;
    }
    Ok(())
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
