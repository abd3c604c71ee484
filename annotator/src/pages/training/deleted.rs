//! What the launch form says of a run's models that are there no more.

use crate::{
    training::kinds::RunDefinition,
    web::{form::FieldErrors, message::Message},
};
use entity::{
    ids::{ModelId, ProjectId},
    model,
};
use sea_orm::{ConnectionTrait, DbErr, EntityTrait};
use std::collections::HashMap;

/// Names the chosen models that were deleted, of those that the project can use, so that others are
/// chosen knowingly.
pub async fn explain(
    db: &impl ConnectionTrait,
    project: ProjectId,
    definition: &RunDefinition,
    typed: &HashMap<String, String>,
) -> Result<FieldErrors, DbErr> {
    let mut errors = FieldErrors::default();
    for field in definition.models.iter().map(|field| field.name) {
        let Some(id) = typed.get(field).and_then(|id| id.parse::<ModelId>().ok()) else {
            continue;
        };
        let model = model::Entity::find_by_id(id).one(db).await?;
        let is_named = |model: &model::Model| {
            model.deleted_at.is_some() && model.project_id.is_none_or(|owner| owner == project)
        };
        if let Some(model) = model.filter(is_named) {
            errors.add(field, Message::new("problem-model-deleted").with("name", model.name));
        }
    }
    Ok(errors)
}
