//! What the launch form says of a run's models that are there no more.

use crate::{
    training::kinds::RunDefinition,
    web::{form::FieldErrors, message::Message},
};
use entity::{ids::ModelId, model};
use sea_orm::{ConnectionTrait, DbErr, EntityTrait};
use std::collections::HashMap;

/// Names the chosen models that were deleted, so that others are chosen knowingly.
pub async fn explain(
    db: &impl ConnectionTrait,
    definition: &RunDefinition,
    typed: &HashMap<String, String>,
) -> Result<FieldErrors, DbErr> {
    let mut errors = FieldErrors::default();
    for field in definition.models.iter().map(|field| field.name) {
        let Some(id) = typed.get(field).and_then(|id| id.parse::<ModelId>().ok()) else {
            continue;
        };
        let model = model::Entity::find_by_id(id).one(db).await?;
        if let Some(model) = model.filter(|model| model.deleted_at.is_some()) {
            errors.add(field, Message::new("problem-model-deleted").with("name", model.name));
        }
    }
    Ok(errors)
}
