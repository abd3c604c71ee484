//! An assignment's whole life: [`claim`] gives a person the next task, [`LockedAssignment::renew`]
//! keeps it theirs, [`LockedAssignment::settle`] ends it with an answer or a skip, however late and
//! however often, and [`expire_lapsed`] ends it where nobody did.
//!
//! The assignment row is the lease, and `task.open_slots` is the truth about how many people may
//! still be given the task: every change of an assignment's state moves that counter, in the same
//! transaction.
//!
//! **Invariant:** nothing outside this file changes `open_slots` or an assignment's state. While a
//! task is there, `open_slots` is its overlap less the assignments that are leased or submitted.
//!
//! **Invariant:** a claim never counts assignments. On PostgreSQL such a count reads an old
//! snapshot and over-assigns; the counter's row lock does not.

use crate::{data::prompts, work::tasks};
use entity::{
    account,
    assignment::{self, AssignmentState},
    draft,
    ids::{AccountId, AssignmentId, ProjectId, TaskId},
    task,
    time::UnixMillis,
};
use sea_orm::{
    ActiveModelTrait,
    ActiveValue::Set,
    ColumnTrait, ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr,
    EntityTrait, FromQueryResult, IntoActiveModel, QueryFilter, QueryOrder, QuerySelect, Statement,
    sea_query::{Expr, ExprTrait, LockBehavior, LockType, OnConflict, Query},
};
use std::{ops::Deref, time::Duration};
use storage::database::begin_write;

/// How long a lease lasts without a sign of life. A draft that is saved renews it.
pub const LEASE: Duration = Duration::from_secs(15 * 60);

/// Gives this person a task of that kind: the one they already hold, else one with a free slot that
/// they have not answered or skipped. None when nothing is left for them.
pub async fn claim(
    db: &DatabaseConnection,
    account: AccountId,
    project: ProjectId,
    kind: task::TaskKind,
) -> Result<Option<assignment::Model>, DbErr> {
    expire_lapsed(db).await?;
    let turn = begin_write(db).await?;
    one_at_a_time(&turn, account).await?;
    if let Some(held) = held(&turn, account, project, kind).await?
        // Not if it ran out in between.
        && renew(&turn, held.id).await?
    {
        turn.commit().await?;
        return Ok(Some(held));
    }
    let Some(task) = take_slot_of_any(&turn, account, project, kind).await? else {
        turn.rollback().await?;
        return Ok(None);
    };
    let claimed = lease(&turn, account, task).await?;
    turn.commit().await?;
    Ok(Some(claimed))
}

/// Makes concurrent requests of one person (two tabs, a double click) take turns. On SQLite every
/// writing transaction already does.
async fn one_at_a_time(turn: &DatabaseTransaction, account: AccountId) -> Result<(), DbErr> {
    if turn.get_database_backend() == DbBackend::Postgres {
        account::Entity::find_by_id(account).lock(LockType::Update).one(turn).await?;
    }
    Ok(())
}

/// The live lease of that kind, oldest first.
async fn held(
    db: &impl ConnectionTrait,
    account: AccountId,
    project: ProjectId,
    kind: task::TaskKind,
) -> Result<Option<assignment::Model>, DbErr> {
    assignment::Entity::find()
        .filter(assignment::Column::AccountId.eq(account))
        .filter(assignment::Column::State.eq(AssignmentState::Leased))
        .filter(assignment::Column::TaskId.in_subquery(tasks::of_kind(project, kind)))
        .order_by_asc(assignment::Column::CreatedAt)
        .one(db)
        .await
}

#[derive(FromQueryResult)]
struct TaskRow {
    id: TaskId,
}

/// Moves the counter of the oldest task with a free slot that this person has not dealt with and
/// whose prompt is not withdrawn. A task whose lease they let run out may come back to them.
async fn take_slot_of_any(
    turn: &DatabaseTransaction,
    account: AccountId,
    project: ProjectId,
    kind: task::TaskKind,
) -> Result<Option<TaskId>, DbErr> {
    let mut dealt_with = Query::select();
    dealt_with
        .column(assignment::Column::TaskId)
        .from(assignment::Entity)
        .and_where(assignment::Column::AccountId.eq(account))
        .and_where(assignment::Column::State.ne(AssignmentState::Expired));
    let mut candidate = tasks::of_kind(project, kind);
    candidate
        .and_where(task::Column::OpenSlots.gt(0))
        .and_where(task::Column::Id.not_in_subquery(dealt_with))
        .and_where(task::Column::PromptId.not_in_subquery(prompts::withdrawn(project)))
        .order_by(task::Column::Id, sea_orm::Order::Asc)
        .limit(1);
    if turn.get_database_backend() == DbBackend::Postgres {
        candidate.lock_with_behavior(LockType::Update, LockBehavior::SkipLocked);
    }
    let mut update = Query::update();
    update
        .table(task::Entity)
        .value(task::Column::OpenSlots, Expr::col(task::Column::OpenSlots).sub(1))
        // Not `IN`, for which PostgreSQL may ask the subquery again and lock a second task.
        .and_where(Expr::col(task::Column::Id).eq(Expr::SubQuery(None, Box::new(candidate.into()))))
        .and_where(task::Column::OpenSlots.gt(0))
        .returning_col(task::Column::Id);
    let statement: Statement = turn.get_database_backend().build(&update);
    Ok(TaskRow::find_by_statement(statement).one(turn).await?.map(|row| row.id))
}

/// The assignment for a slot that was just taken: a new row, or the person's own that ran out,
/// which keeps its order of answers and its draft.
async fn lease(
    turn: &DatabaseTransaction,
    account: AccountId,
    task: TaskId,
) -> Result<assignment::Model, DbErr> {
    let now = UnixMillis::now();
    let row = assignment::ActiveModel {
        id: Set(AssignmentId::new()),
        task_id: Set(task),
        account_id: Set(account),
        state: Set(AssignmentState::Leased),
        expires_at: Set(now.plus(LEASE)),
        order_seed: Set(rand::random()),
        created_at: Set(now),
        draft_version: Set(0),
    };
    let once = OnConflict::columns([assignment::Column::TaskId, assignment::Column::AccountId])
        .update_columns([assignment::Column::State, assignment::Column::ExpiresAt])
        .to_owned();
    assignment::Entity::insert(row).on_conflict(once).exec_with_returning(turn).await
}

/// Takes a free slot of one task, if there is one.
async fn take_slot(db: &impl ConnectionTrait, task: TaskId) -> Result<bool, DbErr> {
    move_slots(db, task, -1).await
}

/// Gives a slot back.
async fn give_slot_back(db: &impl ConnectionTrait, task: TaskId) -> Result<(), DbErr> {
    move_slots(db, task, 1).await.map(drop)
}

async fn move_slots(db: &impl ConnectionTrait, task: TaskId, by: i32) -> Result<bool, DbErr> {
    let slots = || Expr::col(task::Column::OpenSlots);
    let moved = task::Entity::update_many()
        .col_expr(task::Column::OpenSlots, slots().add(by))
        .filter(task::Column::Id.eq(task))
        .filter(slots().add(by).gte(0))
        .exec(db)
        .await?;
    Ok(moved.rows_affected == 1)
}

/// A sign of life: the lease lasts another [`LEASE`] from now, unless it is already over.
async fn renew(db: &impl ConnectionTrait, assignment: AssignmentId) -> Result<bool, DbErr> {
    let renewed = assignment::Entity::update_many()
        .col_expr(assignment::Column::ExpiresAt, Expr::value(UnixMillis::now().plus(LEASE)))
        .filter(assignment::Column::Id.eq(assignment))
        .filter(assignment::Column::State.eq(AssignmentState::Leased))
        .exec(db)
        .await?;
    Ok(renewed.rows_affected == 1)
}

/// What somebody did with a task of theirs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskOutcome {
    Answered,
    Skipped,
}

/// A person's own assignment, which nobody else changes before the transaction ends.
pub struct LockedAssignment(assignment::Model);

impl LockedAssignment {
    /// None when there is none of that id, or it is somebody else's.
    pub async fn of(
        turn: &DatabaseTransaction,
        account: AccountId,
        id: AssignmentId,
    ) -> Result<Option<Self>, DbErr> {
        one_at_a_time(turn, account).await?;
        let mut query = assignment::Entity::find_by_id(id);
        if turn.get_database_backend() == DbBackend::Postgres {
            query = query.lock(LockType::Update); // the sweep must not end this lease meanwhile
        }
        let own = query.one(turn).await?.filter(|row| row.account_id == account);
        Ok(own.map(Self))
    }

    /// A sign of life of its page, which has stored something newer or not; whether the lease goes on.
    pub async fn renew(&self, turn: &DatabaseTransaction, is_newer: bool) -> Result<bool, DbErr> {
        if is_newer {
            assignment::Entity::update_many()
                .col_expr(
                    assignment::Column::DraftVersion,
                    Expr::col(assignment::Column::DraftVersion).add(1),
                )
                .filter(assignment::Column::Id.eq(self.id))
                .exec(turn)
                .await?;
        }
        renew(turn, self.id).await
    }

    /// Ends it, or changes how it ended. An answer wants a slot: the one it holds, or a free one, and
    /// without either it is kept as extra. A skip wants none. The draft has done its work.
    pub async fn settle(
        self,
        turn: &DatabaseTransaction,
        outcome: TaskOutcome,
    ) -> Result<AssignmentState, DbErr> {
        let has_slot = matches!(self.state, AssignmentState::Leased | AssignmentState::Submitted);
        let state = match outcome {
            TaskOutcome::Skipped => {
                if has_slot {
                    give_slot_back(turn, self.task_id).await?;
                }
                AssignmentState::Skipped
            }
            TaskOutcome::Answered if has_slot || take_slot(turn, self.task_id).await? => {
                AssignmentState::Submitted
            }
            TaskOutcome::Answered => AssignmentState::Extra,
        };
        draft::Entity::delete_by_id(self.id).exec(turn).await?;
        let version = self.draft_version + 1;
        let mut row = self.0.into_active_model();
        row.state = Set(state);
        row.draft_version = Set(version);
        row.update(turn).await?;
        Ok(state)
    }
}

impl Deref for LockedAssignment {
    type Target = assignment::Model;

    fn deref(&self) -> &assignment::Model {
        &self.0
    }
}

/// Ends the leases whose time is over and gives their slots back; returns how many.
pub async fn expire_lapsed(db: &DatabaseConnection) -> Result<usize, DbErr> {
    let lapsed = assignment::Entity::find()
        .filter(assignment::Column::State.eq(AssignmentState::Leased))
        .filter(assignment::Column::ExpiresAt.lt(UnixMillis::now()))
        .order_by_asc(assignment::Column::ExpiresAt)
        .limit(100)
        .all(db)
        .await?;
    let mut n_expired = 0;
    for assignment in lapsed {
        n_expired += usize::from(expire(db, &assignment).await?);
    }
    Ok(n_expired)
}

/// Ends one lease, unless it was renewed or submitted meanwhile.
async fn expire(db: &DatabaseConnection, lapsed: &assignment::Model) -> Result<bool, DbErr> {
    let turn = begin_write(db).await?;
    let ended = assignment::Entity::update_many()
        .col_expr(assignment::Column::State, Expr::value(AssignmentState::Expired))
        .filter(assignment::Column::Id.eq(lapsed.id))
        .filter(assignment::Column::State.eq(AssignmentState::Leased))
        .filter(assignment::Column::ExpiresAt.lt(UnixMillis::now()))
        .exec(&turn)
        .await?;
    if ended.rows_affected == 1 {
        give_slot_back(&turn, lapsed.task_id).await?;
    }
    turn.commit().await?;
    Ok(ended.rows_affected == 1)
}
