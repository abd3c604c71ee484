//! What a run may start from and read: the models and dataset versions that its form offers, and the
//! ones that were chosen.

use super::kinds::RunDefinition;
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

/// The models that the fields of a kind's form offer.
pub async fn offered_models(
    db: &impl ConnectionTrait,
    project: ProjectId,
    definition: &RunDefinition,
) -> Result<Vec<Vec<model::Model>>, DbErr> {
    let mut offered_models = Vec::new();
    for field in definition.models {
        offered_models.push(offered(db, project, field.kinds).await?);
    }
    Ok(offered_models)
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
        version.project_id == project && version.kind == contents.kind()
    };
    let Some(version) = version.filter(fits) else { return Ok(Err("problem-choose-dataset")) };
    let content = artifact::Entity::find_by_id(&version.hash).one(db).await?;
    Ok(match content.is_some_and(|content| content.erased_at.is_some()) {
        false => Ok(ChosenRows::Version(version.id)),
        true => Err("problem-dataset-erased"),
    })
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
