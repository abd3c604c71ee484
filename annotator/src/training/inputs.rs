//! What a run may start from and read: the models and dataset versions that its form offers, and the
//! ones that were chosen.

use crate::{
    data::{
        dataset,
        formats::{self, Contents, Prompts},
    },
    web::error::AppError,
};
use entity::{
    dataset_version,
    ids::{DatasetVersionId, ModelId, ProjectId},
    model,
    run::RunKind,
};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DatabaseConnection, DbErr, EntityTrait, QueryFilter,
    QueryOrder,
};
use std::collections::HashMap;
use storage::artifact_store::ArtifactStore;

/// The value of the dataset field that freezes a version when the run is launched.
const FREEZE_NOW: &str = "new";

/// The models that a kind of run starts from, those that fit best first.
pub fn trainable(kind: RunKind) -> &'static [model::ModelKind] {
    match kind {
        RunKind::Sft => &[model::ModelKind::Base, model::ModelKind::Sft, model::ModelKind::Policy],
        RunKind::Reward | RunKind::Dpo | RunKind::Ppo => {
            &[model::ModelKind::Sft, model::ModelKind::Policy, model::ModelKind::Base]
        }
        RunKind::Sample => {
            &[model::ModelKind::Policy, model::ModelKind::Sft, model::ModelKind::Base]
        }
        RunKind::Fetch => &[],
    }
}

/// The models that score answers in a kind of run.
pub fn scoring(kind: RunKind) -> &'static [model::ModelKind] {
    if kind == RunKind::Ppo { &[model::ModelKind::Reward] } else { &[] }
}

/// The project's models and the bases of these kinds: by kind as given, the newest first.
pub async fn offered(
    db: &impl ConnectionTrait,
    project: ProjectId,
    kinds: &[model::ModelKind],
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
pub fn contents(kind: RunKind, prompts: Option<&str>) -> Contents {
    match (kind, prompts) {
        (RunKind::Sft, _) => Contents::Demonstrations,
        (RunKind::Reward | RunKind::Dpo, _) => Contents::Preferences,
        (RunKind::Sample, Some("held_out")) => Contents::Prompts(Prompts::HeldOut),
        (RunKind::Sample, Some("all")) => Contents::Prompts(Prompts::All),
        (RunKind::Sample | RunKind::Ppo, _) => Contents::Prompts(Prompts::Train),
        (RunKind::Fetch, _) => unreachable!("`kind_of` names no fetch, which reads nothing"),
    }
}

/// What the run reads: a version that is there, or one that is about to be.
pub enum Rows {
    Version(DatasetVersionId),
    Frozen(Box<dataset::Frozen>),
}

/// The outer error is ours, the inner one the person's: a Fluent key.
pub async fn chosen_rows(
    db: &DatabaseConnection,
    store: &ArtifactStore,
    project: ProjectId,
    kind: RunKind,
    typed: &HashMap<String, String>,
) -> Result<Result<Rows, &'static str>, AppError> {
    let contents = contents(kind, typed.get("prompts").map(String::as_str));
    let chosen = typed.get("dataset").map_or(FREEZE_NOW, String::as_str);
    if chosen == FREEZE_NOW {
        let frozen = dataset::freeze(db, store, project, contents).await?;
        return Ok(match frozen.counts.train {
            0 if frozen.counts.eval > 0 => Err("problem-only-held-out"),
            0 => Err(formats::of(contents.kind()).words().nothing_to_read),
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
