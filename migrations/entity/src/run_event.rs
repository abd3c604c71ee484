//! What a run said, in order, append-only: the page follows it by sequence number.

use crate::{ids::RunId, time::UnixMillis};
use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "run_event")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub run_id: RunId,
    /// 1, 2, … within the run, over all attempts.
    #[sea_orm(primary_key, auto_increment = false)]
    pub sequence: i64,
    pub attempt: i32,
    /// A [`crate::report::RunReport`].
    #[sea_orm(column_type = "JsonBinary")]
    pub event: Json,
    pub created_at: UnixMillis,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
