//! A body of prompts and the people who work on them.

use crate::{ids::ProjectId, time::UnixMillis};
use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "project")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: ProjectId,
    /// Unique.
    pub name: String,
    /// Markdown, shown beside every task.
    pub guidelines: String,
    /// How many people judge each comparison.
    pub comparison_overlap: i32,
    pub created_at: UnixMillis,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
