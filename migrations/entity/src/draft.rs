//! What a person has typed and not yet submitted.

use crate::{ids::AssignmentId, time::UnixMillis};
use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "draft")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub assignment_id: AssignmentId,
    /// The form's fields, JSON.
    pub body: String,
    pub updated_at: UnixMillis,
    /// The window that wrote it, by a name that it gave itself; empty without a script.
    pub written_by: String,
    /// The how many-eth save of that window it was.
    pub n_writes: i64,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
