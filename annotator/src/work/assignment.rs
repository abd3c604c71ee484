//! An assignment's whole life: [`claim`] gives a person the next task, [`LockedAssignment::renew`]
//! keeps it theirs, [`LockedAssignment::settle`] ends it with an answer or a skip, however late and
//! however often; [`expire_lapsed`] ends it where nobody did, and [`give_out_no_more`] with its task.
//!
//! The assignment row is the lease, and `task.open_slots` is the truth about how many people may
//! still be given the task: every change of an assignment's state moves that counter, in the same
//! transaction.
//!
//! **Invariant:** nothing outside this file and [`ending`] changes `open_slots` or an assignment's
//! state. While a task is there, `open_slots` is its overlap less the assignments that are leased or submitted.
//!
//! **Invariant:** a claim never counts assignments. On PostgreSQL such a count reads an old
//! snapshot and over-assigns; the counter's row lock does not.

mod ending;

pub use ending::{expire_lapsed, give_out_no_more, shows_erased};

use crate::work::tasks;
use ending::give_slot_back;
use entity::{
    account,
    assignment::{self, AssignmentState},
    draft,
    ids::{AccountId, AssignmentId, ProjectId, TaskId},
    task,
    time::UnixMillis,
};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr,
    DerivePartialModel, EntityTrait, FromQueryResult, JoinType, QueryFilter, QueryOrder,
    QuerySelect, QueryTrait, RelationDef, Select,
    sea_query::{Expr, ExprTrait, LockType, OnConflict, Query, SelectStatement},
};
use std::{ops::Deref, time::Duration};
use storage::{database::write, write_batch::WriteBatch};

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
    let of = (project, kind);
    let claimed = write(db, |turn| async move {
        one_at_a_time(&turn, account).await?;
        claim_in(&turn, account, of, None).await
    });
    if let Some(claimed) = claimed.await? {
        return Ok(Some(claimed));
    }
    // What ran out a moment ago is free, too.
    let n_expired = expire_lapsed(db).await?;
    if n_expired == 0 && db.get_database_backend() != DbBackend::Postgres {
        return Ok(None);
    }
    // What somebody takes at this moment may have a slot left, or be given back: nothing is left only
    // when nobody is at anything.
    write(db, |turn| async move {
        one_at_a_time(&turn, account).await?;
        let task = take_slot_of_any(&turn, account, of, None, true).await?;
        match task {
            Some(task) => lease(&turn, account, task).await.map(Some),
            None => Ok(None),
        }
    })
    .await
}

/// The same in a transaction in which this person takes turns with themself already. The search
/// begins behind the task that they have just left, so that it does not pass over all that they
/// have dealt with, and at the beginning when nothing is left there.
pub(super) async fn claim_in(
    turn: &DatabaseTransaction,
    account: AccountId,
    of: (ProjectId, task::TaskKind),
    after: Option<TaskPlace>,
) -> Result<Option<assignment::Model>, DbErr> {
    // Whoever has just left a task hardly ever holds another: one statement asks for both.
    if let Some(left) = after
        && let Some(task) = take_slot_of_any(turn, account, of, Some(left), false).await?
    {
        return lease(turn, account, task).await.map(Some);
    }
    if let Some(held) = held(turn, account, of).await?
        // Not if it ran out in between.
        && renew(turn, held.id).await?
    {
        return Ok(Some(held));
    }
    match take_slot_of_any(turn, account, of, None, false).await? {
        Some(task) => lease(turn, account, task).await.map(Some),
        None => Ok(None),
    }
}

/// Makes concurrent requests of one person (two tabs, a double click) take turns. On SQLite every
/// writing transaction already does.
async fn one_at_a_time(turn: &DatabaseTransaction, account: AccountId) -> Result<(), DbErr> {
    if turn.get_database_backend() == DbBackend::Postgres {
        account::Entity::find_by_id(account).lock(LockType::Update).one(turn).await?;
    }
    Ok(())
}

/// That an assignment is a lease, in the words of the index `assignment_lease`: see
/// [`tasks::open_of_kind`] for why it is a literal.
fn is_leased() -> Expr {
    Expr::col((assignment::Entity, assignment::Column::State))
        .eq(Expr::Constant(AssignmentState::Leased.into()))
}

/// The live lease of that kind, oldest first.
pub(super) async fn held(
    db: &impl ConnectionTrait,
    account: AccountId,
    of: (ProjectId, task::TaskKind),
) -> Result<Option<assignment::Model>, DbErr> {
    live_leases(account, of).order_by_asc(assignment::Column::CreatedAt).one(db).await
}

fn live_leases(
    account: AccountId,
    (project, kind): (ProjectId, task::TaskKind),
) -> Select<assignment::Entity> {
    assignment::Entity::find()
        .join(JoinType::InnerJoin, tasks::of_assignment())
        .filter(assignment::Column::AccountId.eq(account))
        .filter(is_leased())
        // What ran out is free, whether that was noticed yet or not. The sum keeps SQLite from the
        // index of all leases: a person's own are fewer.
        .filter(
            Expr::col((assignment::Entity, assignment::Column::ExpiresAt))
                .add(Expr::Constant(0.into()))
                .gt(UnixMillis::now()),
        )
        .filter(task::Column::ProjectId.eq(project))
        .filter(task::Column::Kind.eq(kind))
}

/// Where a task is among those that are given out.
pub(super) type TaskPlace = (UnixMillis, TaskId);

#[derive(FromQueryResult)]
struct TaskRow {
    id: TaskId,
}

/// The ids of the tasks that a person could be given: open, and not dealt with by them. A task
/// whose lease they let run out may come back to them.
pub(super) fn candidates(
    account: AccountId,
    (project, kind): (ProjectId, task::TaskKind),
) -> SelectStatement {
    let dealt_with = Query::select()
        .from(assignment::Entity)
        .and_where(
            Expr::col((assignment::Entity, assignment::Column::TaskId))
                .equals(tasks::of_task(task::Column::Id)),
        )
        .and_where(assignment::Column::AccountId.eq(account))
        .and_where(assignment::Column::State.ne(AssignmentState::Expired))
        .to_owned();
    tasks::open_of_kind(project, kind).and_where(tasks::none(dealt_with)).to_owned()
}

/// Moves the counter of the oldest of a person's [`candidates`]; with `after`, of those behind that
/// task, and of none if they hold one. A task that another transaction is at is passed over, or waited
/// for (`waits`) by one that holds nothing which the other may want.
async fn take_slot_of_any(
    turn: &DatabaseTransaction,
    account: AccountId,
    of: (ProjectId, task::TaskKind),
    after: Option<TaskPlace>,
    waits: bool,
) -> Result<Option<TaskId>, DbErr> {
    let mut candidate = candidates(account, of);
    if let Some((created_at, id)) = after {
        let order = [task::Column::CreatedAt, task::Column::Id].map(tasks::of_task).map(Expr::col);
        let left = [Expr::value(created_at), Expr::value(id)];
        candidate.and_where(Expr::tuple(order).gt(Expr::tuple(left)));
        let held = live_leases(account, of).select_only();
        candidate.and_where(tasks::none(held.into_query()));
    }
    let backend = turn.get_database_backend();
    // Whoever stores an answer to a task holds its key, which a claim does not change.
    let lock = match (backend, waits) {
        (DbBackend::Postgres, false) => " FOR NO KEY UPDATE SKIP LOCKED",
        (DbBackend::Postgres, true) => " FOR NO KEY UPDATE",
        _ => "",
    };
    // Not `IN`, for which PostgreSQL may ask the subquery again and lock a second task. The limit is
    // written out, because with a bound one PostgreSQL plans for a tenth of all tasks.
    let mut claim = backend.build(&candidate);
    claim.sql = format!(
        "UPDATE task SET open_slots = open_slots - 1 \
         WHERE id = ({} LIMIT 1{lock}) AND open_slots > 0 RETURNING id",
        claim.sql
    );
    Ok(TaskRow::find_by_statement(claim).one(turn).await?.map(|row| row.id))
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
    let slots = || Expr::col(task::Column::OpenSlots);
    let taken = task::Entity::update_many()
        .col_expr(task::Column::OpenSlots, slots().sub(1))
        .filter(task::Column::Id.eq(task))
        .filter(slots().gt(0))
        .exec(db)
        .await?;
    Ok(taken.rows_affected == 1)
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

/// An assignment, to be read with its task and with what is typed so far.
pub(super) fn with_task_and_draft(id: AssignmentId) -> Select<assignment::Entity> {
    let draft: RelationDef = assignment::Entity::belongs_to(draft::Entity)
        .from(assignment::Column::Id)
        .to(draft::Column::AssignmentId)
        .into();
    assignment::Entity::find_by_id(id)
        .join(JoinType::InnerJoin, tasks::of_assignment())
        .join(JoinType::LeftJoin, draft)
}

/// A person's own assignment, which nobody else changes before the transaction ends.
#[derive(DerivePartialModel)]
#[sea_orm(entity = "assignment::Entity", from_query_result)]
pub struct LockedAssignment {
    #[sea_orm(nested)]
    assignment: assignment::Model,
    #[sea_orm(nested)]
    pub task: task::Model,
    /// What is typed and not sent.
    #[sea_orm(nested)]
    pub draft: Option<draft::Model>,
}

impl LockedAssignment {
    /// None when there is none of that id, or it is somebody else's.
    pub async fn of(
        turn: &DatabaseTransaction,
        account: AccountId,
        id: AssignmentId,
    ) -> Result<Option<Self>, DbErr> {
        // By a statement of its own: what the next one reads is then what those before have written.
        one_at_a_time(turn, account).await?;
        let mut query = with_task_and_draft(id);
        if turn.get_database_backend() == DbBackend::Postgres {
            // The sweep must not end this lease meanwhile.
            QueryTrait::query(&mut query).lock_with_tables(LockType::Update, [assignment::Entity]);
        }
        let found = query.into_partial_model::<Self>().one(turn).await?;
        Ok(found.filter(|held| held.account_id == account))
    }

    /// A sign of life of its page, which has stored something newer or not; whether the lease goes on.
    pub fn renew(&self, is_newer: bool, changes: &mut WriteBatch) -> bool {
        use assignment::Column::{DraftVersion, ExpiresAt, Id};
        let is_leased = self.state == AssignmentState::Leased;
        let mut update = assignment::Entity::update_many().filter(Id.eq(self.id));
        if is_newer {
            update = update.col_expr(DraftVersion, Expr::col(DraftVersion).add(1));
        }
        if is_leased {
            update = update.col_expr(ExpiresAt, Expr::value(UnixMillis::now().plus(LEASE)));
        }
        if is_newer || is_leased {
            changes.push(update.into_query());
        }
        is_leased
    }

    /// Ends it, or changes how it ended. An answer wants a slot: the one it holds, or a free one, and
    /// without either it is kept as extra. A skip wants none. The draft has done its work.
    pub async fn settle(
        &self,
        turn: &DatabaseTransaction,
        outcome: TaskOutcome,
        changes: &mut WriteBatch,
    ) -> Result<(), DbErr> {
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
        if self.draft.is_some() {
            changes.push(draft::Entity::delete_by_id(self.id).into_query());
        }
        let ended = assignment::Entity::update_many()
            .col_expr(assignment::Column::State, Expr::value(state))
            .col_expr(assignment::Column::DraftVersion, Expr::value(self.draft_version + 1))
            .filter(assignment::Column::Id.eq(self.id));
        changes.push(ended.into_query());
        Ok(())
    }
}

impl Deref for LockedAssignment {
    type Target = assignment::Model;

    fn deref(&self) -> &assignment::Model {
        &self.assignment
    }
}
