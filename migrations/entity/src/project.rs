//! A body of prompts and the people who work on them.

use crate::{
    ids::{AccountId, ProjectId},
    time::UnixMillis,
};
use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "project")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: ProjectId,
    /// Unique, over the deleted ones too: they make way for a new project of their name.
    pub name: String,
    /// Markdown, shown beside every task.
    pub guidelines: String,
    /// How many people judge each comparison.
    pub comparison_overlap: i32,
    pub created_at: UnixMillis,
    /// Since when nobody sees it; it can be restored until it is purged.
    pub deleted_at: Option<UnixMillis>,
    pub deleted_by: Option<AccountId>,
    /// Since when its models and datasets are given up; what people wrote stays.
    pub purged_at: Option<UnixMillis>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
