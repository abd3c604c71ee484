//! There is always an administrator: whoever changes another's account is one themselves, and is
//! still one when the change happens.

use crate::web::error::AppError;
use entity::account;
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder,
    QuerySelect, sea_query::LockType,
};
use storage::database::WriteError;

/// Why an administrator's change was not made.
#[derive(Debug, thiserror::Error)]
pub enum AdministratorError {
    #[error("an administrator cannot lock themselves out")]
    OwnAccount,
    #[error("they are no administrator any more")]
    NoLonger,
    #[error("who this was is erased for the law")]
    Erased,
    #[error(transparent)]
    Database(#[from] DbErr),
}

impl WriteError for AdministratorError {
    fn of_database(&self) -> Option<&DbErr> {
        match self {
            Self::Database(error) => Some(error),
            Self::OwnAccount | Self::NoLonger | Self::Erased => None,
        }
    }
}

impl From<AdministratorError> for AppError {
    fn from(error: AdministratorError) -> Self {
        match error {
            AdministratorError::OwnAccount => Self::bad_request("account-is-yours"),
            AdministratorError::NoLonger => Self::Forbidden,
            AdministratorError::Erased => Self::conflict("account-is-erased"),
            AdministratorError::Database(error) => Self::Database(error),
        }
    }
}

/// Those who administer, whom nobody else changes until this transaction ends.
pub async fn locked(turn: &impl ConnectionTrait) -> Result<Vec<account::Model>, DbErr> {
    account::Entity::find()
        .filter(account::Column::IsAdmin.eq(true))
        .filter(account::Column::DisabledAt.is_null())
        .order_by_asc(account::Column::Id)
        .lock(LockType::NoKeyUpdate)
        .all(turn)
        .await
}

/// Whether there are accounts and none of them administers. (Without accounts the first start makes
/// one.)
pub async fn are_missing(db: &impl ConnectionTrait) -> Result<bool, DbErr> {
    let all = account::Entity::find();
    let active = all
        .clone()
        .filter(account::Column::IsAdmin.eq(true))
        .filter(account::Column::DisabledAt.is_null());
    Ok(active.count(db).await? == 0 && all.count(db).await? > 0)
}

/// Lets one administrator at a time change accounts, until this transaction ends, and refuses one
/// whose own account was locked or reset meanwhile: two who lock each other at once leave one.
/// (SQLite lets one writer in at a time.)
pub async fn hold(
    turn: &impl ConnectionTrait,
    by: &account::Model,
) -> Result<(), AdministratorError> {
    let administrators = locked(turn).await?;
    let is_one = administrators.iter().any(|one| one.id == by.id && one.stamp == by.stamp);
    if is_one { Ok(()) } else { Err(AdministratorError::NoLonger) }
}
