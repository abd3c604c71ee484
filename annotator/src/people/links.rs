//! Links with which people set their own password: an invitation, or a reset. The token is in the
//! link alone, the database knows its hash; it lapses, and is used once.

use crate::{
    people::{
        audit::{self, AuditAction, AuditSubject},
        passwords::{self, NewPassword},
    },
    web::form::FormError,
};
use entity::{
    account,
    account_link::{self, LinkPurpose},
    hash::sha256_hex,
    ids::AccountId,
    time::UnixMillis,
};
use rand::distr::{Alphanumeric, SampleString};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, DatabaseConnection, DbErr, EntityTrait,
    QueryFilter, QuerySelect, sea_query::OnConflict,
};
use serde_json::json;
use std::time::Duration;
use storage::database::write;

/// Of 62 letters each: 190 random bits.
const TOKEN_LENGTH: usize = 32;

/// How long a link opens.
pub fn lifetime(purpose: LinkPurpose) -> Duration {
    const HOUR: Duration = Duration::from_secs(3600);
    match purpose {
        LinkPurpose::Invitation => 7 * 24 * HOUR,
        LinkPurpose::Reset => 24 * HOUR,
    }
}

/// A link that was just made: shown once, and then known to nobody.
pub struct FreshLink {
    pub login: String,
    pub display_name: String,
    pub purpose: LinkPurpose,
    pub token: String,
    pub expires_at: UnixMillis,
}

/// Makes the account's link; an older one opens nothing any more.
pub async fn make(
    turn: &impl ConnectionTrait,
    account: &account::Model,
    purpose: LinkPurpose,
) -> Result<FreshLink, DbErr> {
    let token = Alphanumeric.sample_string(&mut rand::rng(), TOKEN_LENGTH);
    let expires_at = UnixMillis::now().plus(lifetime(purpose));
    let row = account_link::ActiveModel {
        account_id: Set(account.id),
        token_hash: Set(sha256_hex(&token)),
        purpose: Set(purpose),
        expires_at: Set(expires_at),
    };
    let replaced = [
        account_link::Column::TokenHash,
        account_link::Column::Purpose,
        account_link::Column::ExpiresAt,
    ];
    account_link::Entity::insert(row)
        .on_conflict(
            OnConflict::column(account_link::Column::AccountId).update_columns(replaced).to_owned(),
        )
        .exec_without_returning(turn)
        .await?;
    let (login, display_name) = (account.login.clone(), account.display_name.clone());
    Ok(FreshLink { login, display_name, purpose, token, expires_at })
}

/// Takes an account's link away.
pub async fn withdraw(turn: &impl ConnectionTrait, account: AccountId) -> Result<(), DbErr> {
    account_link::Entity::delete_by_id(account).exec(turn).await.map(drop)
}

/// What a link is for and whose it is; None when it was used, has lapsed, or never was.
pub async fn find(
    db: &impl ConnectionTrait,
    token: &str,
) -> Result<Option<(LinkPurpose, account::Model)>, DbErr> {
    let link = account_link::Entity::find()
        .filter(account_link::Column::TokenHash.eq(sha256_hex(token)))
        .filter(account_link::Column::ExpiresAt.gt(UnixMillis::now()))
        .one(db)
        .await?;
    let Some(link) = link else { return Ok(None) };
    let account = account::Entity::find_by_id(link.account_id).one(db).await?;
    Ok(account.filter(|account| account.disabled_at.is_none()).map(|who| (link.purpose, who)))
}

/// Uses a link up: the account has the password that its person typed. None when the link is worth
/// nothing any more.
pub async fn accept(
    db: &DatabaseConnection,
    token: &str,
    typed: NewPassword,
) -> Result<Option<account::Model>, FormError> {
    let Some((purpose, account)) = find(db, token).await? else { return Ok(None) };
    let (account, hash) = (&account, &typed.hashed().await?);
    write(db, |turn| async move {
        let held = account_link::Entity::find_by_id(account.id)
            .filter(account_link::Column::TokenHash.eq(sha256_hex(token)))
            .lock_exclusive()
            .one(&*turn)
            .await?;
        if held.is_none() {
            return Ok(None); // somebody was faster
        }
        let Some(account) = passwords::set(&*turn, account, hash.clone()).await? else {
            return Ok(None);
        };
        withdraw(&*turn, account.id).await?;
        let is_invitation = purpose == LinkPurpose::Invitation;
        let (subject, details) =
            (AuditSubject::of_all(account.id), json!({"first": is_invitation}));
        audit::record(&*turn, account.id, AuditAction::AccountAccept, subject, details).await?;
        Ok(Some(account))
    })
    .await
}

/// Removes the links whose time is over.
pub async fn sweep(db: &DatabaseConnection) -> Result<(), DbErr> {
    let over = account_link::Column::ExpiresAt.lt(UnixMillis::now());
    let over = &account_link::Entity::delete_many().filter(over);
    write(db, |turn| async move { over.clone().exec(&*turn).await }).await.map(drop)
}
