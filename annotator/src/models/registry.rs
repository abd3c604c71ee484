//! The models that a project can use, each with where it came from.

use crate::web::{format, i18n::Language};
use entity::{
    artifact, dataset_version,
    ids::{ModelId, ProjectId, RunId},
    model, run,
    run_input::{self, InputSlot},
};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder,
};
use std::collections::HashMap;
use storage::lookup::find_among;

/// A model with everything that is said of it.
pub struct RegistryEntry {
    pub model: model::Model,
    pub parent: Option<model::Model>,
    /// The run that made it, and what that read.
    pub run: Option<run::Model>,
    pub dataset: Option<dataset_version::Model>,
    /// What scored its answers while it learnt.
    pub reward: Option<model::Model>,
    pub n_bytes: i64,
}

impl RegistryEntry {
    pub fn kind(&self) -> &'static str {
        format::model_kind(self.model.kind)
    }

    pub fn parameters(&self, language: Language) -> String {
        format::parameters(language, self.model.n_parameters)
    }

    pub fn size(&self, language: Language) -> String {
        format::bytes(language, self.n_bytes)
    }

    pub fn is_deleted(&self) -> bool {
        self.model.deleted_at.is_some()
    }

    pub fn is_reward(&self) -> bool {
        self.model.kind == model::ModelKind::Reward
    }
}

/// The project's own models and the bases.
fn of_project(project: ProjectId) -> Condition {
    Condition::any()
        .add(model::Column::ProjectId.eq(project))
        .add(model::Column::ProjectId.is_null())
}

/// Adds to models what is said of them, with one question per table. A run of another project,
/// which fetched a base, is not this project's to know.
async fn described(
    db: &impl ConnectionTrait,
    project: ProjectId,
    models: Vec<model::Model>,
) -> Result<Vec<RegistryEntry>, DbErr> {
    let run_ids: Vec<RunId> = models.iter().filter_map(|model| model.run_id).collect();
    let own = run::Entity::find().filter(run::Column::ProjectId.eq(project));
    let runs = find_among(db, own, run::Column::Id, run_ids.clone()).await?;
    let runs: HashMap<RunId, _> = runs.into_iter().map(|run| (run.id, run)).collect();
    let inputs = run_input::Entity::find()
        .filter(run_input::Column::Slot.is_in([InputSlot::Dataset, InputSlot::Reward]));
    let inputs = find_among(db, inputs, run_input::Column::RunId, run_ids).await?;
    let rewards = inputs.iter().filter_map(|input| input.model_id);
    let named = models.iter().filter_map(|model| model.parent_id).chain(rewards);
    let named = find_among(db, model::Entity::find(), model::Column::Id, named).await?;
    let named: HashMap<ModelId, _> = named.into_iter().map(|model| (model.id, model)).collect();
    let read = inputs.iter().filter_map(|input| input.dataset_version_id);
    let versions = dataset_version::Entity::find();
    let versions = find_among(db, versions, dataset_version::Column::Id, read).await?;
    let input_of =
        |run, slot| inputs.iter().find(|input| input.run_id == run && input.slot == slot);
    let read_by = |run: RunId| {
        let input = input_of(run, InputSlot::Dataset)?;
        versions.iter().find(|version| Some(version.id) == input.dataset_version_id).cloned()
    };
    let scored_by = |run: RunId| named.get(&input_of(run, InputSlot::Reward)?.model_id?).cloned();
    let hashes = models.iter().map(|model| &model.artifact_hash);
    let artifacts =
        find_among(db, artifact::Entity::find(), artifact::Column::Hash, hashes).await?;
    let sizes: HashMap<String, i64> =
        artifacts.into_iter().map(|artifact| (artifact.hash, artifact.n_bytes)).collect();
    let describe = |model: model::Model| RegistryEntry {
        parent: model.parent_id.and_then(|id| named.get(&id).cloned()),
        run: model.run_id.and_then(|id| runs.get(&id).cloned()),
        dataset: model.run_id.and_then(read_by),
        reward: model.run_id.and_then(scored_by),
        n_bytes: sizes.get(&model.artifact_hash).copied().unwrap_or(0),
        model,
    };
    Ok(models.into_iter().map(describe).collect())
}

/// Every model that a project can use, the newest first.
pub async fn all(
    db: &impl ConnectionTrait,
    project: ProjectId,
) -> Result<Vec<RegistryEntry>, DbErr> {
    let models = model::Entity::find()
        .filter(of_project(project))
        .order_by_desc(model::Column::CreatedAt)
        .all(db)
        .await?;
    described(db, project, models).await
}

/// What is said of one model, which the project can use.
pub async fn entry(
    db: &impl ConnectionTrait,
    project: ProjectId,
    model: model::Model,
) -> Result<Option<RegistryEntry>, DbErr> {
    Ok(described(db, project, vec![model]).await?.pop())
}

/// The models that were made from one, the newest first.
pub async fn children(
    db: &impl ConnectionTrait,
    project: ProjectId,
    model: ModelId,
) -> Result<Vec<model::Model>, DbErr> {
    model::Entity::find()
        .filter(of_project(project))
        .filter(model::Column::ParentId.eq(model))
        .order_by_desc(model::Column::CreatedAt)
        .all(db)
        .await
}
