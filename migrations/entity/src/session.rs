//! A signed-in browser. The cookie holds a random key; the row holds its hash.

use crate::{ids::AccountId, time::UnixMillis};
use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "session")]
pub struct Model {
    /// SHA-256 of the key in the cookie.
    #[sea_orm(primary_key, auto_increment = false)]
    pub key_hash: String,
    /// None before sign-in.
    pub account_id: Option<AccountId>,
    /// The session's values, JSON.
    pub state: String,
    pub expires_at: UnixMillis,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
