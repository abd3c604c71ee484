//! A person who can sign in. Not `user`: PostgreSQL reads that as the current role.

use crate::{ids::AccountId, time::UnixMillis};
use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "account")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: AccountId,
    /// What is typed at sign-in; unique, stored in lower case.
    pub login: String,
    pub display_name: String,
    /// PHC string, argon2id.
    pub password_hash: String,
    /// Given by another person, to be replaced at the first sign-in.
    pub password_is_one_time: bool,
    /// Administers the installation: projects, people, everything in every project.
    pub is_admin: bool,
    /// "en" or "ru"; none follows the browser.
    pub language: Option<String>,
    pub created_at: UnixMillis,
    pub disabled_at: Option<UnixMillis>,
    /// Raised by whatever ends every session: a session with another stamp is nobody's.
    pub stamp: i64,
    /// When a one-time password signs nobody in any more.
    pub password_expires_at: Option<UnixMillis>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
