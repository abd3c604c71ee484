//! What people said, stored. Append-only: a change of mind is a newer revision, the same submit
//! sent twice is one judgement, and a submit that comes too late is kept all the same.

use crate::{
    data::texts::{self, HashedText},
    web::error::AppError,
    work::{
        assignment::{LockedAssignment, TaskOutcome, claim, claim_in},
        form::TaskSubmission,
        kinds,
        overtaking::{self, Standing},
        shown_answers, tasks,
    },
};
use entity::{
    assignment,
    ids::{AccountId, AssignmentId, JudgementId, TaskId},
    judgement::{self, JudgementPayload, ShownOrder},
    task,
    time::UnixMillis,
};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbErr, EntityTrait,
    IntoActiveModel, JoinType, QueryFilter, QueryOrder, QuerySelect, QueryTrait,
    sea_query::{Expr, ExprTrait, Order, Query},
};
use storage::{
    database::{WriteError, row_chunks, write},
    write_batch::WriteBatch,
};

/// Why nothing was stored.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("no such assignment of this person")]
    NoSuchAssignment,
    #[error("the answer is of another kind than the task")]
    WrongKind,
    #[error("another window has stored something that this one has not seen")]
    Overtaken,
    #[error("what was said was erased for the law before, and is not kept again")]
    Erased,
    #[error(transparent)]
    Database(#[from] DbErr),
}

impl From<StoreError> for AppError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NoSuchAssignment => Self::NotFound,
            StoreError::WrongKind => Self::bad_request("answer-of-another-kind"),
            StoreError::Overtaken => Self::conflict("error-conflict-title"),
            StoreError::Erased => Self::conflict("answer-was-erased"),
            StoreError::Database(error) => Self::Database(error),
        }
    }
}

impl WriteError for StoreError {
    fn of_database(&self) -> Option<&DbErr> {
        match self {
            Self::Database(error) => Some(error),
            Self::NoSuchAssignment | Self::WrongKind | Self::Overtaken | Self::Erased => None,
        }
    }
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
    let submission = &submission;
    write(db, |turn| async move {
        let held = own(&turn, account, id).await?;
        store_in(&turn, held, submission.clone()).await
    })
    .await
}

/// The same, and gives the person their next task of that kind, in the same transaction: one commit
/// is half as much to wait for as two.
pub async fn store_and_claim(
    db: &DatabaseConnection,
    account: AccountId,
    id: AssignmentId,
    submission: TaskSubmission,
) -> Result<(judgement::Model, Option<assignment::Model>), StoreError> {
    let submission = &submission;
    let (stored, of, next) = write(db, |turn| async move {
        let held = own(&turn, account, id).await?;
        let of = (held.task.project_id, held.task.kind);
        let left = (held.task.created_at, held.task.id);
        let stored = store_in(&turn, held, submission.clone()).await?;
        Ok::<_, StoreError>((stored, of, claim_in(&turn, account, of, Some(left)).await?))
    })
    .await?;
    let next = match next {
        Some(next) => Some(next),
        None => claim(db, account, of.0, of.1).await?,
    };
    Ok((stored, next))
}

async fn own(
    turn: &DatabaseTransaction,
    account: AccountId,
    id: AssignmentId,
) -> Result<LockedAssignment, StoreError> {
    LockedAssignment::of(turn, account, id).await?.ok_or(StoreError::NoSuchAssignment)
}

async fn store_in(
    turn: &DatabaseTransaction,
    held: LockedAssignment,
    submission: TaskSubmission,
) -> Result<judgement::Model, StoreError> {
    let answered = kinds::stored_answer(&submission.payload).kind();
    if answered.is_some_and(|kind| kind != held.task.kind) {
        return Err(StoreError::WrongKind);
    }
    let payload = submission.payload;
    // The newest first.
    let said =
        if held.state.may_have_answers() { all_said(turn, held.id).await? } else { Vec::new() };
    if let Some(same) = sent_before(&said, &submission.idempotency_key, &payload) {
        return Ok(same.clone());
    }
    let last = said.first();
    // Whoever says nothing of what they have seen is no window of ours.
    let (window, typed) = (&submission.window, &submission.typed);
    if window.seen.is_some() && overtaking::standing(&held, window, typed) != Standing::Newer {
        return match last.filter(|last| last.payload == payload) {
            Some(same) => Ok(same.clone()),
            None => Err(StoreError::Overtaken),
        };
    }
    let revision = last.map_or(0, |last| last.revision) + 1;
    let shown_order = match kinds::definition(held.task.kind).shows_answers() {
        true => shown_answers::order_of(turn, held.task.id, held.order_seed).await?,
        false => Vec::new(),
    };
    let judgement = judgement::Model {
        id: JudgementId::new(),
        task_id: held.task.id,
        assignment_id: Some(held.id),
        account_id: Some(held.account_id),
        revision,
        payload,
        shown_order: ShownOrder(shown_order),
        idempotency_key: submission.idempotency_key,
        lead_time_ms: submission.lead_time_ms,
        created_at: UnixMillis::now(),
    };
    let outcome = if answered.is_some() { TaskOutcome::Answered } else { TaskOutcome::Skipped };
    let mut changes = WriteBatch::default();
    submission.texts.iter().map(texts::storing).for_each(|text| changes.push(text));
    let row = judgement.clone().into_active_model();
    changes.push(judgement::Entity::insert(row).into_query());
    held.settle(turn, outcome, &mut changes).await?;
    // Each changes a row, unless a text was there already.
    let n_statements = changes.len() as u64;
    if changes.execute(turn).await? < n_statements {
        let hashes = submission.texts.iter().map(HashedText::hash);
        // An answer that nobody keeps must not be acknowledged.
        if !texts::erased_among(turn, hashes).await?.is_empty() {
            return Err(StoreError::Erased);
        }
    }
    Ok(judgement)
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

/// Everything said on an assignment, the newest first.
async fn all_said(
    db: &impl ConnectionTrait,
    id: AssignmentId,
) -> Result<Vec<judgement::Model>, DbErr> {
    judgement::Entity::find()
        .filter(judgement::Column::AssignmentId.eq(id))
        .order_by_desc(judgement::Column::Revision)
        .all(db)
        .await
}

/// What was sent last with the same key, if it says the same.
fn sent_before<'a>(
    said: &'a [judgement::Model],
    key: &str,
    payload: &JudgementPayload,
) -> Option<&'a judgement::Model> {
    let last = said.iter().find(|said| said.idempotency_key == key)?;
    (!key.is_empty() && last.payload == *payload).then_some(last)
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

/// The other assignment that its person answered last, among those of the same kind in the same
/// project: for a query that has the assignment and its task.
pub fn newest_of_another() -> Expr {
    use judgement::Column;
    const TASK: &str = "task_of_another";
    let own = |column: assignment::Column| Expr::col((assignment::Entity, column));
    let of_another = |column: task::Column| Expr::col((TASK, column));
    let said = |column: Column| (judgement::Entity, column);
    let newest = Query::select()
        .column(said(Column::AssignmentId))
        .from(judgement::Entity)
        .join_as(
            JoinType::InnerJoin,
            task::Entity,
            TASK,
            of_another(task::Column::Id).equals(said(Column::TaskId)),
        )
        .and_where(Expr::col(said(Column::Revision)).eq(1))
        .and_where(Expr::col(said(Column::AccountId)).eq(own(assignment::Column::AccountId)))
        .and_where(Expr::col(said(Column::AssignmentId)).ne(own(assignment::Column::Id)))
        .and_where(
            of_another(task::Column::ProjectId).equals(tasks::of_task(task::Column::ProjectId)),
        )
        .and_where(of_another(task::Column::Kind).equals(tasks::of_task(task::Column::Kind)))
        .order_by(said(Column::CreatedAt), Order::Desc)
        .order_by(said(Column::Id), Order::Desc)
        .limit(1)
        .to_owned();
    Expr::SubQuery(None, Box::new(newest.into()))
}

/// The assignment that this person answered before this one, for another look: the newest when this
/// one has no answer yet.
pub async fn previous(
    db: &impl ConnectionTrait,
    held: &assignment::Model,
    task: &task::Model,
) -> Result<Option<AssignmentId>, DbErr> {
    use judgement::Column;
    let firsts = || judgement::Entity::find().filter(Column::Revision.eq(1));
    let mut query = firsts()
        .join(JoinType::InnerJoin, tasks::of_judgement())
        .filter(Column::AccountId.eq(held.account_id))
        .filter(task::Column::ProjectId.eq(task.project_id))
        .filter(task::Column::Kind.eq(task.kind))
        .filter(Column::AssignmentId.ne(held.id))
        // As the index has them, so that the search ends at the first.
        .order_by_desc(Column::CreatedAt)
        .order_by_desc(Column::Id);
    if held.state.may_have_answers()
        && let Some(first) = firsts().filter(Column::AssignmentId.eq(held.id)).one(db).await?
    {
        let earlier = Column::CreatedAt.lt(first.created_at);
        let same_moment = Column::CreatedAt.eq(first.created_at).and(Column::Id.lt(first.id));
        query =
            query.filter(Column::CreatedAt.lte(first.created_at)).filter(earlier.or(same_moment));
    }
    Ok(query.one(db).await?.and_then(|row| row.assignment_id))
}
