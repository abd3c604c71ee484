//! The ends of assignments that are not their holders' doing, and what becomes of their slots.

use super::is_leased;
use crate::work::tasks;
use entity::{
    assignment::{self, AssignmentState},
    completion,
    ids::TaskId,
    prompt, task, task_completion, text,
    time::UnixMillis,
};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseConnection, DbErr, EntityTrait, PaginatorTrait,
    QueryFilter, QueryOrder, QuerySelect,
    sea_query::{Expr, ExprTrait, Query, SelectStatement},
};
use storage::{database::write, lookup::portions};

/// Ends the leases whose time is over and gives their slots back; returns how many.
pub async fn expire_lapsed(db: &DatabaseConnection) -> Result<usize, DbErr> {
    let lapsed = assignment::Entity::find()
        .filter(is_leased())
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
    write(db, |turn| async move {
        let ended = assignment::Entity::update_many()
            .col_expr(assignment::Column::State, Expr::value(AssignmentState::Expired))
            .filter(assignment::Column::Id.eq(lapsed.id))
            .filter(assignment::Column::State.eq(AssignmentState::Leased))
            .filter(assignment::Column::ExpiresAt.lt(UnixMillis::now()))
            .exec(&*turn)
            .await?;
        if ended.rows_affected == 1 {
            give_slot_back(&*turn, lapsed.task_id).await?;
        }
        Ok(ended.rows_affected == 1)
    })
    .await
}

/// Gives a slot back. A task that shows an answer which was erased wants nobody any more: it needs one
/// person less.
pub(super) async fn give_slot_back(db: &impl ConnectionTrait, task: TaskId) -> Result<(), DbErr> {
    let given_back = task::Entity::update_many()
        .col_expr(task::Column::OpenSlots, Expr::col(task::Column::OpenSlots).add(1))
        .filter(task::Column::Id.eq(task))
        .filter(tasks::none(erased_answers()))
        .exec(db)
        .await?;
    if given_back.rows_affected == 0 {
        task::Entity::update_many()
            .col_expr(task::Column::Overlap, Expr::col(task::Column::Overlap).sub(1))
            .filter(task::Column::Id.eq(task))
            .exec(db)
            .await?;
    }
    Ok(())
}

/// The answers of a task that were erased.
fn erased_answers() -> SelectStatement {
    let column = |column: task_completion::Column| (task_completion::Entity, column);
    Query::select()
        .from(task_completion::Entity)
        .inner_join(
            completion::Entity,
            Expr::col((completion::Entity, completion::Column::Id))
                .equals(column(task_completion::Column::CompletionId)),
        )
        .inner_join(
            text::Entity,
            Expr::col((text::Entity, text::Column::Hash))
                .equals((completion::Entity, completion::Column::TextHash)),
        )
        .and_where(
            Expr::col(column(task_completion::Column::TaskId))
                .equals(tasks::of_task(task::Column::Id)),
        )
        .and_where(Expr::col((text::Entity, text::Column::Body)).is_null())
        .to_owned()
}

/// The prompt of a task, if it was erased.
fn erased_prompt() -> SelectStatement {
    let column = |column: prompt::Column| (prompt::Entity, column);
    Query::select()
        .from(prompt::Entity)
        .inner_join(
            text::Entity,
            Expr::col((text::Entity, text::Column::Hash)).equals(column(prompt::Column::TextHash)),
        )
        .and_where(
            Expr::col(column(prompt::Column::Id)).equals(tasks::of_task(task::Column::PromptId)),
        )
        .and_where(Expr::col((text::Entity, text::Column::Body)).is_null())
        .to_owned()
}

/// Whether something was erased of what a task shows.
pub async fn shows_erased(db: &impl ConnectionTrait, id: TaskId) -> Result<bool, DbErr> {
    let shows_all = tasks::none(erased_prompt()).and(tasks::none(erased_answers()));
    let showing = task::Entity::find_by_id(id).filter(shows_all.not());
    Ok(showing.count(db).await? > 0)
}

/// Closes tasks of which something was erased: nobody is given them any more, and whoever holds one
/// is given another. What was typed stays with them, and an answer that is sent all the same is kept.
pub async fn give_out_no_more(
    turn: &impl ConnectionTrait,
    which: impl IntoIterator<Item = TaskId>,
) -> Result<(), DbErr> {
    for some in portions(which) {
        // A second time: a claim that came between had its slot before, and comes to an end.
        for _ in 0..2 {
            end_leases(turn, &some).await?;
            task::Entity::update_many()
                .col_expr(
                    task::Column::Overlap,
                    Expr::col(task::Column::Overlap).sub(Expr::col(task::Column::OpenSlots)),
                )
                .col_expr(task::Column::OpenSlots, Expr::value(0))
                .filter(task::Column::Id.is_in(some.iter().copied()))
                .exec(turn)
                .await?;
        }
    }
    Ok(())
}

async fn end_leases(turn: &impl ConnectionTrait, of: &[TaskId]) -> Result<(), DbErr> {
    let ended = assignment::Entity::update_many()
        .col_expr(assignment::Column::State, Expr::value(AssignmentState::Expired))
        .filter(assignment::Column::TaskId.is_in(of.iter().copied()))
        .filter(is_leased())
        .exec_with_returning(turn)
        .await?;
    for lease in ended {
        give_slot_back(turn, lease.task_id).await?;
    }
    Ok(())
}
