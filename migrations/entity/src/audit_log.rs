//! Who did what that others will ask about: sign-ins, people, roles, runs.

use crate::{
    ids::{AccountId, AuditLogId, ProjectId},
    time::UnixMillis,
};
use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "audit_log")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: AuditLogId,
    pub account_id: Option<AccountId>,
    /// `session.create`, `membership.add`, `run.launch`, …
    pub action: String,
    /// The id of what it was done to.
    pub subject: String,
    #[sea_orm(column_type = "JsonBinary")]
    pub details: Json,
    pub created_at: UnixMillis,
    /// Where it was done; none: it concerns the whole installation.
    pub project_id: Option<ProjectId>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
