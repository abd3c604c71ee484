//! The answers of a comparison, by position. Pages name positions as shown, never ids.

use crate::ids::{CompletionId, TaskId};
use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "task_completion")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub task_id: TaskId,
    /// 0, 1, …
    #[sea_orm(primary_key, auto_increment = false)]
    pub position: i32,
    pub completion_id: CompletionId,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
