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
    run_seen,
    time::UnixMillis,
};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder,
    QuerySelect, Select,
    sea_query::{OnConflict, Query},
};

/// What the header of every page says of a person's runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UnreadRuns {
    /// Ended runs that they have not seen.
    pub n_unseen: u64,
    /// Whether a run of theirs is still to end.
    pub waits: bool,
    /// Whether they ever launched one; who did not is told nothing.
    pub launches: bool,
}

impl UnreadRuns {
    pub async fn of(db: &impl ConnectionTrait, account: &account::Model) -> Result<Self, DbErr> {
        let statuses: Vec<RunStatus> = launched_by(account)
            .select_only()
            .column(run::Column::Status)
            .distinct()
            .into_tuple()
            .all(db)
            .await?;
        let has_ended = statuses.iter().any(|status| status.is_final());
        let n_unseen = if has_ended { unseen_by(account).count(db).await? } else { 0 };
        let waits = statuses.iter().any(|status| !status.is_final());
        Ok(Self { n_unseen, waits, launches: !statuses.is_empty() })
    }
}

/// The person's runs that have ended, the newest first.
pub fn ended_for(account: &account::Model) -> Select<run::Entity> {
    launched_by(account)
        .filter(run::Column::Status.is_in(RunStatus::FINAL))
        .order_by_desc(run::Column::FinishedAt)
}

/// Those that they have not seen.
pub fn unseen_by(account: &account::Model) -> Select<run::Entity> {
    let seen = Query::select().column(run_seen::Column::RunId).from(run_seen::Entity).to_owned();
    ended_for(account).filter(run::Column::Id.not_in_subquery(seen))
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
pub async fn see(db: &impl ConnectionTrait, run: &run::Model, by: AccountId) -> Result<(), DbErr> {
    let is_news =
        run.created_by == Some(by) && run_seen::Entity::find_by_id(run.id).one(db).await?.is_none();
    if is_news { note(db, [run.id]).await } else { Ok(()) }
}

/// Notes that these runs were seen.
pub async fn note(
    db: &impl ConnectionTrait,
    runs: impl IntoIterator<Item = RunId>,
) -> Result<(), DbErr> {
    let seen_at = UnixMillis::now();
    let rows: Vec<_> = runs
        .into_iter()
        .map(|run_id| run_seen::ActiveModel { run_id: Set(run_id), seen_at: Set(seen_at) })
        .collect();
    if rows.is_empty() {
        return Ok(());
    }
    let known = OnConflict::column(run_seen::Column::RunId).do_nothing().to_owned();
    run_seen::Entity::insert_many(rows).on_conflict(known).exec_without_returning(db).await?;
    Ok(())
}
