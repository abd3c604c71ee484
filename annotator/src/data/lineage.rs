//! From what people said to the models that learnt from it, and back.

use entity::{
    dataset_version,
    dataset_version_item::{self, DatasetSplit},
    ids::{DatasetVersionId, JudgementId, ModelId, ProjectId},
    model, run, run_input,
};
use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder};
use std::collections::HashSet;

/// A run that read a dataset version, and the model that it made.
pub struct DatasetUse {
    pub version: DatasetVersionId,
    pub run: run::Model,
    pub model: Option<model::Model>,
}

/// Every use of these versions, the newest first.
pub async fn uses(
    db: &impl ConnectionTrait,
    versions: impl IntoIterator<Item = DatasetVersionId>,
) -> Result<Vec<DatasetUse>, DbErr> {
    let inputs = run_input::Entity::find()
        .filter(run_input::Column::DatasetVersionId.is_in(versions))
        .all(db)
        .await?;
    let runs = run::Entity::find()
        .filter(run::Column::Id.is_in(inputs.iter().map(|input| input.run_id)))
        .order_by_desc(run::Column::CreatedAt)
        .all(db)
        .await?;
    let models = model::Entity::find()
        .filter(model::Column::RunId.is_in(runs.iter().map(|run| run.id)))
        .all(db)
        .await?;
    let use_of = |run: run::Model| {
        let version = inputs.iter().find(|input| input.run_id == run.id)?.dataset_version_id?;
        let model = models.iter().find(|model| model.run_id == Some(run.id)).cloned();
        Some(DatasetUse { version, run, model })
    };
    Ok(runs.into_iter().filter_map(use_of).collect())
}

/// The dataset versions that contain a judgement, the newest first, and the side of the split that
/// it is on.
pub async fn versions_with(
    db: &impl ConnectionTrait,
    judgement: JudgementId,
) -> Result<Vec<(dataset_version::Model, DatasetSplit)>, DbErr> {
    let items = dataset_version_item::Entity::find()
        .filter(dataset_version_item::Column::JudgementId.eq(judgement))
        .all(db)
        .await?;
    let versions = dataset_version::Entity::find()
        .filter(dataset_version::Column::Id.is_in(items.iter().map(|item| item.dataset_version_id)))
        .order_by_desc(dataset_version::Column::CreatedAt)
        .all(db)
        .await?;
    let with_split = |version: dataset_version::Model| {
        let item = items.iter().find(|item| item.dataset_version_id == version.id)?;
        Some((version, item.split))
    };
    Ok(versions.into_iter().filter_map(with_split).collect())
}

/// The project's models that were made from these or against them, and from those in turn, the
/// oldest first: a policy learnt from the judgements of its reward model, too.
pub async fn descendants(
    db: &impl ConnectionTrait,
    project: ProjectId,
    of: impl IntoIterator<Item = ModelId>,
) -> Result<Vec<model::Model>, DbErr> {
    let mut newest: Vec<ModelId> = of.into_iter().collect();
    let mut known: HashSet<ModelId> = newest.iter().copied().collect();
    let mut found = Vec::new();
    while !newest.is_empty() {
        let inputs = run_input::Entity::find()
            .filter(run_input::Column::ModelId.is_in(newest))
            .all(db)
            .await?;
        let made = model::Entity::find()
            .filter(model::Column::ProjectId.eq(project))
            .filter(model::Column::RunId.is_in(inputs.iter().map(|input| input.run_id)))
            .all(db)
            .await?;
        let made: Vec<_> = made.into_iter().filter(|model| known.insert(model.id)).collect();
        newest = made.iter().map(|model| model.id).collect();
        found.extend(made);
    }
    found.sort_by_key(|model| model.created_at);
    Ok(found)
}

/// The project's runs that read a model, the newest first; a base is read in other projects too.
pub async fn readers(
    db: &impl ConnectionTrait,
    project: ProjectId,
    model: ModelId,
) -> Result<Vec<run::Model>, DbErr> {
    let inputs =
        run_input::Entity::find().filter(run_input::Column::ModelId.eq(model)).all(db).await?;
    run::Entity::find()
        .filter(run::Column::ProjectId.eq(project))
        .filter(run::Column::Id.is_in(inputs.iter().map(|input| input.run_id)))
        .order_by_desc(run::Column::CreatedAt)
        .all(db)
        .await
}
