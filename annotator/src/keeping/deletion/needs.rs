//! Who needs which artifact. Content is stored once, whoever needs it: a model, a dataset version
//! and a sample run's answers keep it on the disk, each on its own.

use entity::{artifact, dataset_version, ids::ProjectId, model, project, run};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QuerySelect, QueryTrait,
    sea_query::{Query, SelectStatement},
};
use std::collections::HashMap;

/// What an artifact is to whom it belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ArtifactUse {
    Model,
    Dataset,
    /// What a sample run wrote.
    Answers,
}

/// A reason to keep an artifact.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ArtifactNeed {
    /// None for a base, which belongs to the whole installation.
    pub project: Option<ProjectId>,
    pub what: ArtifactUse,
    pub hash: String,
}

/// Every reason to keep artifacts.
pub async fn all(db: &impl ConnectionTrait) -> Result<Vec<ArtifactNeed>, DbErr> {
    find(db, None).await
}

/// Every reason to keep one artifact.
pub async fn of(db: &impl ConnectionTrait, hash: &str) -> Result<Vec<ArtifactNeed>, DbErr> {
    find(db, Some(hash)).await
}

async fn find(db: &impl ConnectionTrait, hash: Option<&str>) -> Result<Vec<ArtifactNeed>, DbErr> {
    let models: Vec<(Option<ProjectId>, String)> = model::Entity::find()
        .select_only()
        .columns([model::Column::ProjectId, model::Column::ArtifactHash])
        .filter(model::Column::DeletedAt.is_null())
        .apply_if(hash, |query, hash| query.filter(model::Column::ArtifactHash.eq(hash)))
        .into_tuple()
        .all(db)
        .await?;
    let versions: Vec<(Option<ProjectId>, String)> = dataset_version::Entity::find()
        .select_only()
        .columns([dataset_version::Column::ProjectId, dataset_version::Column::Hash])
        .filter(dataset_version::Column::ProjectId.in_subquery(not_purged()))
        .filter(dataset_version::Column::Hash.not_in_subquery(erased()))
        .apply_if(hash, |query, hash| query.filter(dataset_version::Column::Hash.eq(hash)))
        .into_tuple()
        .all(db)
        .await?;
    // What a training run made is a model, and needed as that.
    let answers: Vec<(Option<ProjectId>, String)> = run::Entity::find()
        .select_only()
        .columns([run::Column::ProjectId, run::Column::OutputHash])
        .filter(run::Column::OutputHash.is_not_null())
        .filter(run::Column::OutputHash.not_in_subquery(erased()))
        .filter(run::Column::OutputModelId.is_null())
        .filter(run::Column::ProjectId.in_subquery(not_purged()))
        .apply_if(hash, |query, hash| query.filter(run::Column::OutputHash.eq(hash)))
        .into_tuple()
        .all(db)
        .await?;
    let found = [
        (ArtifactUse::Model, models),
        (ArtifactUse::Dataset, versions),
        (ArtifactUse::Answers, answers),
    ];
    let needs = found.into_iter().flat_map(|(what, rows)| {
        rows.into_iter().map(move |(project, hash)| ArtifactNeed { project, what, hash })
    });
    Ok(needs.collect())
}

/// The artifacts whose files are gone because of what stood in them.
pub fn erased() -> SelectStatement {
    Query::select()
        .column(artifact::Column::Hash)
        .from(artifact::Entity)
        .and_where(artifact::Column::ErasedAt.is_not_null())
        .to_owned()
}

fn not_purged() -> SelectStatement {
    Query::select()
        .column(project::Column::Id)
        .from(project::Entity)
        .and_where(project::Column::PurgedAt.is_null())
        .to_owned()
}

/// The size in bytes of every artifact that was ever recorded.
pub async fn sizes(db: &impl ConnectionTrait) -> Result<HashMap<String, i64>, DbErr> {
    let rows = artifact::Entity::find().all(db).await?;
    Ok(rows.into_iter().map(|row| (row.hash, row.n_bytes)).collect())
}
