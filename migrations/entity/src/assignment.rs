//! One person's hold on one task: the row is the lease.

use crate::{
    ids::{AccountId, AssignmentId, TaskId},
    time::UnixMillis,
};
use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, Deserialize,
)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum AssignmentState {
    /// Holds a slot until `expires_at`.
    Leased,
    /// Counts towards the overlap.
    Submitted,
    /// Submitted after the slot was given away: kept, not counted.
    Extra,
    /// Skipped with a reason; the slot went back.
    Skipped,
    /// Ran out or was let go; the slot went back.
    Expired,
}

impl AssignmentState {
    /// Whether anything can have been said: what is leased, or ran out, has no answer.
    pub fn may_have_answers(self) -> bool {
        !matches!(self, Self::Leased | Self::Expired)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "assignment")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: AssignmentId,
    /// Unique together with `account_id`.
    pub task_id: TaskId,
    pub account_id: AccountId,
    pub state: AssignmentState,
    pub expires_at: UnixMillis,
    /// Decides the order in which answers are shown: random per assignment, stable on reload.
    pub order_seed: i64,
    pub created_at: UnixMillis,
    /// How often something was kept or sent on it: what a window must have seen to store more.
    pub draft_version: i64,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
