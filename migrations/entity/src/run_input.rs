//! What a run reads: models and dataset versions, each in a named place.

use crate::ids::{DatasetVersionId, ModelId, RunId};
use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, Deserialize,
)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum InputSlot {
    /// The model that is trained or sampled from (PPO, GRPO, RLOO: the policy, which is also the reference).
    Model,
    /// The reward model of PPO, GRPO and RLOO.
    Reward,
    /// The rows: demonstrations, preferences or prompts.
    Dataset,
}

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "run_input")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub run_id: RunId,
    #[sea_orm(primary_key, auto_increment = false)]
    pub slot: InputSlot,
    /// 0, 1, …: several models may fit one slot.
    #[sea_orm(primary_key, auto_increment = false)]
    pub place: i32,
    pub model_id: Option<ModelId>,
    pub dataset_version_id: Option<DatasetVersionId>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
