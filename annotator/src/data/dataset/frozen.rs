//! A dataset version on its way from the artifact store into the database: its rows in short
//! transactions, and then, at once, that it is there.

use crate::keeping::deletion::hold::HoldError;
use entity::{
    dataset_version::{self, DatasetCounts, DatasetKind},
    dataset_version_item::{self, DatasetSplit},
    erasure::{self, ErasureKind},
    ids::{AccountId, DatasetVersionId, JudgementId, ProjectId, PromptId},
    time::UnixMillis,
};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, ConnectionTrait, DatabaseConnection, DbErr, EntityTrait, QueryFilter, QueryOrder,
    QuerySelect, UpdateMany,
    sea_query::{Expr, OnConflict},
};
use std::time::{Duration, Instant};
use storage::{
    artifact_store::StoredFolder,
    database::{let_others_through, write},
};

/// Rows that go into one transaction.
const AT_ONCE: usize = 500;

/// After this long nobody is at a version whose rows are not all there.
const ABANDONED: Duration = Duration::from_secs(24 * 60 * 60);

/// A dataset version that is in the store and not yet in the database.
#[derive(Clone, Debug)]
pub struct FrozenDataset {
    pub(super) project: ProjectId,
    pub(super) kind: DatasetKind,
    pub(super) stored: StoredFolder,
    /// When it was begun to look what the project holds.
    pub(super) begun_at: UnixMillis,
    pub counts: DatasetCounts,
    pub(super) items: Vec<Item>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Item {
    pub(super) split: DatasetSplit,
    pub(super) position: i32,
    pub(super) prompt: PromptId,
    pub(super) judgement: Option<JudgementId>,
}

impl FrozenDataset {
    /// The artifact that it is.
    pub fn hash(&self) -> &str {
        &self.stored.hash
    }

    /// Registers the version, or finds the one that has the same content.
    pub async fn record(
        &self,
        db: &DatabaseConnection,
        by: Option<AccountId>,
    ) -> Result<DatasetVersionId, HoldError> {
        let version = self.fill(db, by).await?;
        write(db, |turn| async move { self.publish(&*turn, version).await }).await?;
        Ok(version)
    }

    /// Writes the rows of the version in short transactions, unless they are there. Nobody sees it
    /// before it is published; what was cut short goes on when the same content is frozen again, or
    /// is swept away.
    pub async fn fill(
        &self,
        db: &DatabaseConnection,
        by: Option<AccountId>,
    ) -> Result<DatasetVersionId, DbErr> {
        let begun = write(db, |turn| async move { self.place(&*turn, by).await });
        let version = begun.await?;
        if version.filling_since.is_none() {
            return Ok(version.id);
        }
        for items in self.items.chunks(AT_ONCE) {
            let began = Instant::now();
            write(db, |turn| async move {
                insert(&*turn, items.iter().map(|item| item.row(version.id))).await
            })
            .await?;
            let_others_through(began).await;
        }
        Ok(version.id)
    }

    async fn place(
        &self,
        turn: &impl ConnectionTrait,
        by: Option<AccountId>,
    ) -> Result<dataset_version::Model, DbErr> {
        let now = UnixMillis::now();
        let version = dataset_version::ActiveModel {
            id: Set(DatasetVersionId::new()),
            project_id: Set(self.project),
            kind: Set(self.kind),
            hash: Set(self.stored.hash.clone()),
            counts: Set(self.counts.clone()),
            created_by: Set(by),
            created_at: Set(now),
            filling_since: Set(Some(now)),
        };
        let unique = [
            dataset_version::Column::ProjectId,
            dataset_version::Column::Kind,
            dataset_version::Column::Hash,
        ];
        let first_wins = OnConflict::columns(unique).do_nothing().to_owned();
        dataset_version::Entity::insert(version)
            .on_conflict(first_wins)
            .exec_without_returning(turn)
            .await?;
        // One that was begun before is not swept away now.
        self.same()
            .filter(dataset_version::Column::FillingSince.is_not_null())
            .col_expr(dataset_version::Column::FillingSince, Expr::value(now))
            .exec(turn)
            .await?;
        let known = dataset_version::Entity::find()
            .filter(dataset_version::Column::ProjectId.eq(self.project))
            .filter(dataset_version::Column::Kind.eq(self.kind))
            .filter(dataset_version::Column::Hash.eq(&self.stored.hash))
            .one(turn)
            .await?;
        known.ok_or(DbErr::RecordNotInserted)
    }

    fn same(&self) -> UpdateMany<dataset_version::Entity> {
        dataset_version::Entity::update_many()
            .filter(dataset_version::Column::ProjectId.eq(self.project))
            .filter(dataset_version::Column::Kind.eq(self.kind))
            .filter(dataset_version::Column::Hash.eq(&self.stored.hash))
    }

    /// Lets the version be seen, whose rows are all there. One that was being written while texts
    /// were erased may have their words: it stays unseen, and is to be frozen again.
    pub async fn publish(
        &self,
        turn: &impl ConnectionTrait,
        version: DatasetVersionId,
    ) -> Result<(), HoldError> {
        let erased = erasure::Entity::find()
            .filter(erasure::Column::Kind.eq(ErasureKind::Text))
            .filter(erasure::Column::ErasedAt.gte(self.begun_at));
        if erased.one(turn).await?.is_some() {
            return Err(HoldError::Rows);
        }
        let published = dataset_version::Entity::update_many()
            .col_expr(dataset_version::Column::FillingSince, Expr::value(None::<UnixMillis>))
            .filter(dataset_version::Column::Id.eq(version))
            .exec(turn)
            .await?;
        match published.rows_affected {
            0 => Err(DbErr::RecordNotUpdated.into()),
            _ => Ok(()),
        }
    }
}

/// Rows that were written before stay as they are.
async fn insert(
    turn: &impl ConnectionTrait,
    rows: impl Iterator<Item = dataset_version_item::ActiveModel>,
) -> Result<(), DbErr> {
    let key = [
        dataset_version_item::Column::DatasetVersionId,
        dataset_version_item::Column::Split,
        dataset_version_item::Column::Position,
    ];
    dataset_version_item::Entity::insert_many(rows)
        .on_conflict(OnConflict::columns(key).do_nothing().to_owned())
        .exec_without_returning(turn)
        .await?;
    Ok(())
}

impl Item {
    fn row(self, version: DatasetVersionId) -> dataset_version_item::ActiveModel {
        dataset_version_item::ActiveModel {
            dataset_version_id: Set(version),
            split: Set(self.split),
            position: Set(self.position),
            prompt_id: Set(self.prompt),
            judgement_id: Set(self.judgement),
        }
    }
}

/// Takes away what is left of versions that were being written when their program ended.
pub async fn sweep_abandoned(db: &DatabaseConnection, now: UnixMillis) -> Result<(), DbErr> {
    let abandoned = dataset_version::Entity::find()
        .filter(dataset_version::Column::FillingSince.lt(now.minus(ABANDONED)))
        .all(db)
        .await?;
    for version in abandoned {
        while write(db, |turn| async move { take_some(&*turn, version.id, now).await }).await? {}
    }
    Ok(())
}

/// Takes some rows of an abandoned version away, or itself when none is left; whether there is more
/// to take.
async fn take_some(
    turn: &impl ConnectionTrait,
    id: DatasetVersionId,
    now: UnixMillis,
) -> Result<bool, DbErr> {
    let abandoned = dataset_version::Entity::find_by_id(id)
        .filter(dataset_version::Column::FillingSince.lt(now.minus(ABANDONED)))
        .lock_exclusive();
    if abandoned.one(turn).await?.is_none() {
        return Ok(false); // somebody went on with it
    }
    let rows = dataset_version_item::Entity::find()
        .filter(dataset_version_item::Column::DatasetVersionId.eq(id))
        .order_by_asc(dataset_version_item::Column::Split)
        .order_by_asc(dataset_version_item::Column::Position)
        .limit(AT_ONCE as u64)
        .all(turn)
        .await?;
    let Some(first) = rows.first() else {
        dataset_version::Entity::delete_by_id(id).exec(turn).await?;
        return Ok(false);
    };
    let of_split = rows.iter().filter(|row| row.split == first.split);
    let positions = of_split.map(|row| row.position);
    dataset_version_item::Entity::delete_many()
        .filter(dataset_version_item::Column::DatasetVersionId.eq(id))
        .filter(dataset_version_item::Column::Split.eq(first.split))
        .filter(dataset_version_item::Column::Position.is_in(positions))
        .exec(turn)
        .await?;
    Ok(true)
}
