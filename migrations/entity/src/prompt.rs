//! A conversation that waits for an answer.

use crate::{
    ids::{ProjectId, PromptId},
    time::UnixMillis,
};
use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "prompt")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: PromptId,
    pub project_id: ProjectId,
    /// Of the canonical JSON of [`crate::conversation::PromptBody`]; unique within the project.
    pub text_hash: String,
    pub created_at: UnixMillis,
    /// Since when it is asked of nobody and in no new dataset version; None: it is at work.
    pub withdrawn_at: Option<UnixMillis>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
