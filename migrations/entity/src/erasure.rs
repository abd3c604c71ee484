//! What was removed for the law. Its hash or id, the reason and everything that used it stay.

use crate::{
    ids::{AccountId, ErasureId},
    time::UnixMillis,
};
use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, Deserialize,
)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum ErasureKind {
    /// A text, by its hash.
    Text,
    /// Who somebody was, by the id of their account.
    Account,
}

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "erasure")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: ErasureId,
    pub kind: ErasureKind,
    /// Unique with the kind.
    pub subject: String,
    pub reason: String,
    /// None: somebody at a shell, or a restore.
    pub erased_by: Option<AccountId>,
    pub erased_at: UnixMillis,
    /// Since when nothing of it is on the disk either.
    pub finished_at: Option<UnixMillis>,
    /// Whether texts are still to go with the person who wrote them.
    pub texts_left: bool,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
