//! The link with which a person sets their password: that of an invitation, or of a reset.

use crate::{ids::AccountId, time::UnixMillis};
use sea_orm::entity::prelude::*;

#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
pub enum LinkPurpose {
    /// Of an account that has no password yet.
    Invitation,
    /// Of one whose password was taken away.
    Reset,
}

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "account_link")]
pub struct Model {
    /// An account has one link at most.
    #[sea_orm(primary_key, auto_increment = false)]
    pub account_id: AccountId,
    /// SHA-256 of the token in the link.
    pub token_hash: String,
    pub purpose: LinkPurpose,
    pub expires_at: UnixMillis,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
