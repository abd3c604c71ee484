//! One row of a dataset version and where it came from.

use crate::ids::{DatasetVersionId, JudgementId, PromptId};
use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, Deserialize,
)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum DatasetSplit {
    Train,
    Eval,
}

impl DatasetSplit {
    /// The file of a version that has its rows.
    pub fn file(self) -> &'static str {
        match self {
            Self::Train => "train.jsonl",
            Self::Eval => "eval.jsonl",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "dataset_version_item")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub dataset_version_id: DatasetVersionId,
    #[sea_orm(primary_key, auto_increment = false)]
    pub split: DatasetSplit,
    /// The 0-based line in that split's file.
    #[sea_orm(primary_key, auto_increment = false)]
    pub position: i32,
    pub prompt_id: PromptId,
    /// None in a version of prompts alone.
    pub judgement_id: Option<JudgementId>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
