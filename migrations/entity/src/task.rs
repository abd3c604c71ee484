//! Something asked of people: an answer to a prompt, or a judgement of two answers.

use crate::{
    ids::{ProjectId, PromptId, RunId, TaskId},
    time::UnixMillis,
};
use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, Deserialize,
)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum TaskKind {
    Demonstrate,
    Compare,
}

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "task")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: TaskId,
    pub project_id: ProjectId,
    pub prompt_id: PromptId,
    pub kind: TaskKind,
    /// How many people must answer.
    pub overlap: i32,
    /// `overlap` less the live leases and the submitted answers; a CHECK keeps 0 ≤ it ≤ overlap.
    pub open_slots: i32,
    /// The sample run whose answers are compared.
    pub run_id: Option<RunId>,
    /// What the task was made from; unique within the project, so that making tasks is idempotent.
    pub origin: String,
    pub created_at: UnixMillis,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
