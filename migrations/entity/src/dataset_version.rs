//! An immutable set of rows to train on, named by the hash of its content.

use crate::{
    ids::{AccountId, DatasetVersionId, ProjectId},
    time::UnixMillis,
};
use sea_orm::{FromJsonQueryResult, entity::prelude::*};
use serde::{Deserialize, Serialize};

#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    EnumIter,
    DeriveActiveEnum,
    Serialize,
    Deserialize,
)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum DatasetKind {
    /// `prompt` + `completion`, from demonstrations.
    Demonstrations,
    /// `prompt` + `chosen` + `rejected`, from comparisons.
    Preferences,
    /// `prompt` alone.
    Prompts,
}

/// How many rows there are, and how many were left out and why.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, FromJsonQueryResult)]
#[serde(default)]
pub struct DatasetCounts {
    pub train: u64,
    pub eval: u64,
    pub skipped: u64,
    pub ties: u64,
    pub both_bad: u64,
    /// A text was removed for the law.
    pub redacted: u64,
    /// Rows that say by how much their answers are to part.
    pub margins: u64,
}

impl DatasetCounts {
    /// Rows of both files.
    pub fn rows(&self) -> u64 {
        self.train + self.eval
    }
}

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "dataset_version")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: DatasetVersionId,
    pub project_id: ProjectId,
    pub kind: DatasetKind,
    /// The artifact: a folder of `train.jsonl`, `eval.jsonl` and `ids.jsonl`. Unique with project
    /// and kind.
    pub hash: String,
    #[sea_orm(column_type = "JsonBinary")]
    pub counts: DatasetCounts,
    pub created_by: Option<AccountId>,
    pub created_at: UnixMillis,
    /// Since when its rows are being written; none once all are there. Until then nothing reads it.
    pub filling_since: Option<UnixMillis>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
