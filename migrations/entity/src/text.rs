//! Texts live apart from the rows that refer to them by hash, so that a text can be removed for
//! the law while its hash and everything that used it stay.

use crate::time::UnixMillis;
use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "text")]
pub struct Model {
    /// SHA-256 of the body.
    #[sea_orm(primary_key, auto_increment = false)]
    pub hash: String,
    /// None once redacted.
    pub body: Option<String>,
    pub created_at: UnixMillis,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
