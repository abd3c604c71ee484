//! What a run may start from and read: the models and dataset versions that its form offers, and the
//! ones that were chosen.

use super::{
    kinds::RunDefinition,
    reward_accuracy::{HeldOutAccuracy, accuracies, sort_by_soundness},
    row_counter::RowSource,
};
use crate::{
    data::{
        dataset,
        formats::{self, DatasetContents},
    },
    web::error::AppError,
};
use entity::{
    artifact, dataset_version,
    ids::{DatasetVersionId, ModelId, ProjectId},
    model,
    run_input::InputSlot,
};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DatabaseConnection, DbErr, EntityTrait, QueryFilter,
    QueryOrder,
};
use std::collections::HashMap;
use storage::artifact_store::ArtifactStore;

/// The value of the dataset field that freezes a version when the run is launched.
const FREEZE_NOW: &str = "new";

/// The project's models and the bases of these kinds: by kind as given, the newest first.
pub async fn offered(
    db: &impl ConnectionTrait,
    project: ProjectId,
    kinds: &[model::ModelKind],
) -> Result<Vec<model::Model>, DbErr> {
    let usable = Condition::any()
        .add(model::Column::ProjectId.eq(project))
        .add(model::Column::ProjectId.is_null());
    let mut models = model::Entity::find()
        .filter(usable)
        .filter(model::Column::DeletedAt.is_null())
        .filter(model::Column::Kind.is_in(kinds.iter().copied()))
        .order_by_desc(model::Column::CreatedAt)
        .all(db)
        .await?;
    models.sort_by_key(|model| kinds.iter().position(|kind| *kind == model.kind));
    Ok(models)
}

/// What the fields for models of a kind's form offer.
pub struct OfferedModels {
    /// In the order of the fields.
    pub by_field: Vec<Vec<model::Model>>,
    /// Of the reward models among them.
    pub accuracies: HashMap<ModelId, HeldOutAccuracy>,
}

/// The models that the fields of a kind's form offer. Reward models that may be coins come last.
pub async fn offered_models(
    db: &impl ConnectionTrait,
    project: ProjectId,
    definition: &RunDefinition,
) -> Result<OfferedModels, DbErr> {
    let mut all = OfferedModels { by_field: Vec::new(), accuracies: HashMap::new() };
    for field in definition.models {
        let mut models = offered(db, project, field.kinds).await?;
        if field.slot == InputSlot::Reward {
            all.accuracies = accuracies(db, &models).await?;
            sort_by_soundness(&mut models, &all.accuracies);
        }
        all.by_field.push(models);
    }
    Ok(all)
}

/// What the run reads: a version that is there, or one that is about to be.
pub enum ChosenRows {
    Version(DatasetVersionId),
    Frozen(Box<dataset::FrozenDataset>),
}

/// The outer error is ours, the inner one the person's: a Fluent key.
pub async fn chosen_rows(
    db: &DatabaseConnection,
    store: &ArtifactStore,
    project: ProjectId,
    contents: DatasetContents,
    typed: &HashMap<String, String>,
) -> Result<Result<ChosenRows, &'static str>, AppError> {
    let chosen = typed.get("dataset").map_or(FREEZE_NOW, String::as_str);
    if chosen == FREEZE_NOW {
        let frozen = dataset::freeze(db, store, project, contents).await?;
        return Ok(match frozen.counts.train {
            0 if frozen.counts.eval > 0 => Err("problem-only-held-out"),
            0 => Err(formats::of(contents.kind()).words().nothing_to_read),
            _ => Ok(ChosenRows::Frozen(Box::new(frozen))),
        });
    }
    let Ok(id) = chosen.parse::<DatasetVersionId>() else {
        return Ok(Err("problem-choose-dataset"));
    };
    let version = dataset_version::Entity::find_by_id(id).one(db).await?;
    let fits = |version: &dataset_version::Model| {
        version.project_id == project
            && version.kind == contents.kind()
            && version.filling_since.is_none()
    };
    let Some(version) = version.filter(fits) else { return Ok(Err("problem-choose-dataset")) };
    let content = artifact::Entity::find_by_id(&version.hash).one(db).await?;
    Ok(match content.is_some_and(|content| content.erased_at.is_some()) {
        false => Ok(ChosenRows::Version(version.id)),
        true => Err("problem-dataset-erased"),
    })
}

/// The rows that a form has chosen, to be counted; none where that is no version of theirs.
pub async fn row_source(
    db: &impl ConnectionTrait,
    project: ProjectId,
    contents: DatasetContents,
    typed: &HashMap<String, String>,
) -> Result<Option<RowSource>, DbErr> {
    let chosen = typed.get("dataset").map_or(FREEZE_NOW, String::as_str);
    if chosen == FREEZE_NOW {
        return Ok(Some(RowSource::Now(project, contents)));
    }
    let Ok(id) = chosen.parse::<DatasetVersionId>() else { return Ok(None) };
    let version = dataset::versions_of(project)
        .filter(dataset_version::Column::Id.eq(id))
        .filter(dataset_version::Column::Kind.eq(contents.kind()))
        .one(db)
        .await?;
    Ok(version.map(|version| RowSource::Version {
        train: version.counts.train,
        eval: version.counts.eval,
        hash: version.hash,
    }))
}

pub async fn chosen_model(
    db: &impl ConnectionTrait,
    project: ProjectId,
    kinds: &[model::ModelKind],
    chosen: Option<&String>,
) -> Result<Option<ModelId>, DbErr> {
    let Some(id) = chosen.and_then(|id| id.parse::<ModelId>().ok()) else { return Ok(None) };
    let model = model::Entity::find_by_id(id).one(db).await?;
    let fits = |model: &model::Model| {
        model.deleted_at.is_none()
            && kinds.contains(&model.kind)
            && model.project_id.is_none_or(|owner| owner == project)
    };
    Ok(model.filter(fits).map(|model| model.id))
}
