//! From what people said to the models that learnt from it, and back.

use entity::{
    dataset_version,
    dataset_version_item::{self, DatasetSplit},
    ids::{DatasetVersionId, JudgementId, ModelId, ProjectId},
    model,
    row_use::{RowUse, UseOfRow},
    run, run_input,
};
use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder};
use std::collections::HashSet;

/// A run that read a dataset version, and the model that it made.
pub struct DatasetUse {
    pub version: DatasetVersionId,
    pub run: run::Model,
    pub model: Option<model::Model>,
}

impl DatasetUse {
    /// What the run made of one row of the version; an older run does not say, and used it.
    pub fn of_row(&self, row: &ContainedRow) -> UseOfRow {
        let files = used_rows(&self.run);
        let file = files.iter().find(|file| file.file == row.split.file());
        file.map_or(UseOfRow::Used, |file| file.of_row(row.position.unsigned_abs().into()))
    }
}

/// What a run that has succeeded made of its files of rows.
pub fn used_rows(run: &run::Model) -> Vec<RowUse> {
    let rows = run.summary.as_ref().and_then(|summary| summary.get("rows"));
    rows.and_then(|rows| serde_json::from_value(rows.clone()).ok()).unwrap_or_default()
}

/// A row of a version.
pub struct ContainedRow {
    pub version: dataset_version::Model,
    pub split: DatasetSplit,
    /// The line of that side's file, counted from 0.
    pub position: i32,
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

/// The rows of dataset versions that a judgement became, the newest first.
pub async fn versions_with(
    db: &impl ConnectionTrait,
    judgement: JudgementId,
) -> Result<Vec<ContainedRow>, DbErr> {
    let items = dataset_version_item::Entity::find()
        .filter(dataset_version_item::Column::JudgementId.eq(judgement))
        .all(db)
        .await?;
    let versions = dataset_version::Entity::find()
        .filter(dataset_version::Column::Id.is_in(items.iter().map(|item| item.dataset_version_id)))
        .filter(dataset_version::Column::FillingSince.is_null())
        .order_by_desc(dataset_version::Column::CreatedAt)
        .all(db)
        .await?;
    let row = |version: dataset_version::Model| {
        let item = items.iter().find(|item| item.dataset_version_id == version.id)?;
        Some(ContainedRow { version, split: item.split, position: item.position })
    };
    Ok(versions.into_iter().filter_map(row).collect())
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
