//! What a person may do in a project. A person may have several roles.

use crate::{
    ids::{AccountId, MembershipId, ProjectId},
    time::UnixMillis,
};
use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, Deserialize,
)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum ProjectRole {
    /// Writes answers and judges.
    Annotator,
    /// Accepts, fixes or returns others' work.
    Reviewer,
    /// Prompts, people, quality.
    Manager,
    /// Datasets, runs, models.
    Engineer,
}

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "membership")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: MembershipId,
    pub account_id: AccountId,
    pub project_id: ProjectId,
    pub role: ProjectRole,
    pub created_at: UnixMillis,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
