//! Telling people that a run they launched has ended.
//!
//! A notice is not written by anybody: it follows from the rows. A run that has ended and that the
//! person who launched it has not seen is news to them, whichever process ended it.

use crate::people::projects;
use entity::{
    account,
    ids::{AccountId, RunId},
    membership,
    run::{self, RunStatus},
    time::UnixMillis,
};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseConnection, DbErr, EntityTrait, QueryFilter, QueryOrder,
    QuerySelect, Select,
    sea_query::{Expr, Query},
};
use storage::{database::write, lookup::portions};

/// What the header of every page says of a person's runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UnreadRuns {
    /// Ended runs that they have not seen, counted no further than [`COUNTED`].
    pub n_unseen: u64,
    /// Whether a run of theirs is still to end.
    pub waits: bool,
    /// Whether they ever launched one; who did not is told nothing.
    pub launches: bool,
}

/// Runs that the header looks at, the newest first: more are not counted.
const COUNTED: u64 = 100;

impl UnreadRuns {
    pub async fn of(db: &impl ConnectionTrait, account: &account::Model) -> Result<Self, DbErr> {
        let launched = launched_by(account).select_only().column(run::Column::Id).limit(1);
        if launched.into_tuple::<RunId>().one(db).await?.is_none() {
            return Ok(Self::default());
        }
        let statuses: Vec<RunStatus> = launched_by(account)
            .filter(run::Column::SeenAt.is_null())
            .select_only()
            .column(run::Column::Status)
            .order_by_desc(run::Column::Id)
            .limit(COUNTED)
            .into_tuple()
            .all(db)
            .await?;
        let n_unseen = statuses.iter().filter(|status| status.is_final()).count() as u64;
        let waits = statuses.iter().any(|status| !status.is_final());
        Ok(Self { n_unseen, waits, launches: true })
    }
}

/// The person's runs that have ended, the newest first.
pub fn ended_for(account: &account::Model) -> Select<run::Entity> {
    launched_by(account)
        .filter(run::Column::Status.is_in(RunStatus::FINAL))
        .order_by_desc(run::Column::FinishedAt)
}

/// Those that they have not seen, the last launched first.
pub fn unseen_by(account: &account::Model) -> Select<run::Entity> {
    launched_by(account)
        .filter(run::Column::Status.is_in(RunStatus::FINAL))
        .filter(run::Column::SeenAt.is_null())
        .order_by_desc(run::Column::Id)
}

/// In projects that are there and that they are still in.
fn launched_by(account: &account::Model) -> Select<run::Entity> {
    let launched = run::Entity::find()
        .filter(run::Column::CreatedBy.eq(account.id))
        .filter(run::Column::ProjectId.not_in_subquery(projects::deleted()));
    if account.is_admin {
        return launched;
    }
    let mine = Query::select()
        .column(membership::Column::ProjectId)
        .from(membership::Entity)
        .and_where(membership::Column::AccountId.eq(account.id))
        .to_owned();
    launched.filter(run::Column::ProjectId.in_subquery(mine))
}

/// Notes that the person who launched a run knows how it ended; others do not count.
pub async fn see(
    turn: &impl ConnectionTrait,
    run: &run::Model,
    by: AccountId,
) -> Result<(), DbErr> {
    if is_news(run, by) { note(turn, &[run.id]).await } else { Ok(()) }
}

/// The same in a transaction of its own, if there is anything to note.
pub async fn see_alone(
    db: &DatabaseConnection,
    run: &run::Model,
    by: AccountId,
) -> Result<(), DbErr> {
    if is_news(run, by) { see_all(db, &[run.id]).await } else { Ok(()) }
}

fn is_news(run: &run::Model, by: AccountId) -> bool {
    run.created_by == Some(by) && run.seen_at.is_none()
}

/// Notes that these runs were seen.
pub async fn see_all(db: &DatabaseConnection, runs: &[RunId]) -> Result<(), DbErr> {
    write(db, |turn| async move { note(&*turn, runs).await }).await
}

async fn note(turn: &impl ConnectionTrait, runs: &[RunId]) -> Result<(), DbErr> {
    for runs in portions(runs.iter().copied()) {
        run::Entity::update_many()
            .col_expr(run::Column::SeenAt, Expr::value(UnixMillis::now()))
            .filter(run::Column::Id.is_in(runs))
            .filter(run::Column::SeenAt.is_null())
            .exec(turn)
            .await?;
    }
    Ok(())
}
