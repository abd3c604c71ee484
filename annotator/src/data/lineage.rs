//! From what people said to the models that learnt from it, and back.

use entity::{
    dataset_version,
    dataset_version_item::{self, DatasetSplit},
    ids::{DatasetVersionId, JudgementId, ModelId, ProjectId},
    model,
    row_use::{RowUse, UseOfRow},
    run, run_input,
};
use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, Select};
use std::{
    cmp::Reverse,
    collections::{HashMap, HashSet},
};
use storage::lookup::find_among;

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
    let reading = run_input::Column::DatasetVersionId;
    let inputs = find_among(db, run_input::Entity::find(), reading, versions).await?;
    let mut runs = runs_of(db, run::Entity::find(), &inputs).await?;
    runs.sort_by_key(|run| Reverse(run.created_at));
    let made = runs.iter().map(|run| run.id);
    let models = find_among(db, model::Entity::find(), model::Column::RunId, made).await?;
    let models: HashMap<_, _> = models.into_iter().map(|model| (model.run_id, model)).collect();
    // Of several that a run read, the first.
    let read: HashMap<_, _> =
        inputs.iter().rev().map(|input| (input.run_id, input.dataset_version_id)).collect();
    let use_of = |run: run::Model| {
        let version = (*read.get(&run.id)?)?;
        let model = models.get(&Some(run.id)).cloned();
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
    let whole =
        dataset_version::Entity::find().filter(dataset_version::Column::FillingSince.is_null());
    let ids = items.iter().map(|item| item.dataset_version_id);
    let mut versions = find_among(db, whole, dataset_version::Column::Id, ids).await?;
    versions.sort_by_key(|version| Reverse(version.created_at));
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
        let of_models = run_input::Column::ModelId;
        let inputs = find_among(db, run_input::Entity::find(), of_models, newest).await?;
        let own = model::Entity::find().filter(model::Column::ProjectId.eq(project));
        let runs = inputs.iter().map(|input| input.run_id);
        let made = find_among(db, own, model::Column::RunId, runs).await?;
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
    let own = run::Entity::find().filter(run::Column::ProjectId.eq(project));
    let mut runs = runs_of(db, own, &inputs).await?;
    runs.sort_by_key(|run| Reverse(run.created_at));
    Ok(runs)
}

async fn runs_of(
    db: &impl ConnectionTrait,
    runs: Select<run::Entity>,
    inputs: &[run_input::Model],
) -> Result<Vec<run::Model>, DbErr> {
    find_among(db, runs, run::Column::Id, inputs.iter().map(|input| input.run_id)).await
}
