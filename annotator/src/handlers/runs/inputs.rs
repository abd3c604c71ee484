//! What a run may start from and read: the models and dataset versions that its form offers, and the
//! ones that were chosen.

use super::words;
use crate::{
    dataset::{self, Contents, Prompts},
    error::AppError,
};
use entity::{
    artifact_store::ArtifactStore,
    dataset_version,
    ids::{DatasetVersionId, ModelId, ProjectId},
    model,
    run::Kind,
};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DatabaseConnection, DbErr, EntityTrait, QueryFilter,
    QueryOrder,
};
use std::collections::HashMap;

/// The value of the dataset field that freezes a version when the run is launched.
const FREEZE_NOW: &str = "new";

/// The models that a kind of run starts from, those that fit best first.
pub(super) fn trainable(kind: Kind) -> &'static [model::Kind] {
    match kind {
        Kind::Sft => &[model::Kind::Base, model::Kind::Sft, model::Kind::Policy],
        Kind::Reward | Kind::Dpo | Kind::Ppo => {
            &[model::Kind::Sft, model::Kind::Policy, model::Kind::Base]
        }
        Kind::Sample => &[model::Kind::Policy, model::Kind::Sft, model::Kind::Base],
        Kind::Fetch => &[],
    }
}

/// The models that score answers in a kind of run.
pub(super) fn scoring(kind: Kind) -> &'static [model::Kind] {
    if kind == Kind::Ppo { &[model::Kind::Reward] } else { &[] }
}

/// The project's models and the bases of these kinds: by kind as given, the newest first.
pub(super) async fn offered(
    db: &impl ConnectionTrait,
    project: ProjectId,
    kinds: &[model::Kind],
) -> Result<Vec<model::Model>, DbErr> {
    if kinds.is_empty() {
        return Ok(Vec::new());
    }
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

/// What a kind of run reads. `prompts` is the form's choice, for sampling only: PPO never sees the
/// prompts that are held out.
pub(super) fn contents(kind: Kind, prompts: Option<&str>) -> Contents {
    match (kind, prompts) {
        (Kind::Sft, _) => Contents::Demonstrations,
        (Kind::Reward | Kind::Dpo, _) => Contents::Preferences,
        (Kind::Sample, Some("held_out")) => Contents::Prompts(Prompts::HeldOut),
        (Kind::Sample, Some("all")) => Contents::Prompts(Prompts::All),
        (Kind::Sample | Kind::Ppo, _) => Contents::Prompts(Prompts::Train),
        (Kind::Fetch, _) => unreachable!("`kind_of` names no fetch, which reads nothing"),
    }
}

/// What the run reads: a version that is there, or one that is about to be.
pub(super) enum Rows {
    Version(DatasetVersionId),
    Frozen(Box<dataset::Frozen>),
}

/// The outer error is ours, the inner one the person's: a Fluent key.
pub(super) async fn chosen_rows(
    db: &DatabaseConnection,
    store: &ArtifactStore,
    project: ProjectId,
    kind: Kind,
    typed: &HashMap<String, String>,
) -> Result<Result<Rows, &'static str>, AppError> {
    let contents = contents(kind, typed.get("prompts").map(String::as_str));
    let chosen = typed.get("dataset").map_or(FREEZE_NOW, String::as_str);
    if chosen == FREEZE_NOW {
        let frozen = dataset::freeze(db, store, project, contents).await?;
        return Ok(match frozen.counts.train {
            0 if frozen.counts.eval > 0 => Err("problem-only-held-out"),
            0 => Err(words::nothing_to_read(contents.kind())),
            _ => Ok(Rows::Frozen(Box::new(frozen))),
        });
    }
    let Ok(id) = chosen.parse::<DatasetVersionId>() else {
        return Ok(Err("problem-choose-dataset"));
    };
    let version = dataset_version::Entity::find_by_id(id).one(db).await?;
    let fits = |version: &dataset_version::Model| {
        version.project_id == project && version.kind == contents.kind()
    };
    Ok(match version.filter(fits) {
        Some(version) => Ok(Rows::Version(version.id)),
        None => Err("problem-choose-dataset"),
    })
}

pub(super) async fn chosen_model(
    db: &impl ConnectionTrait,
    project: ProjectId,
    kinds: &[model::Kind],
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
