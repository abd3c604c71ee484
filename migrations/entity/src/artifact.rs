//! A folder in the artifact store (see the crate `storage`).

use crate::time::UnixMillis;
use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "artifact")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub hash: String,
    pub n_bytes: i64,
    pub created_at: UnixMillis,
    /// Since when its files are gone because of what stood in them ([`crate::erasure`]).
    pub erased_at: Option<UnixMillis>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
