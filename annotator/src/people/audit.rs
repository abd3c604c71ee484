//! Who did what that others will ask about.

use entity::{
    audit_log,
    ids::{AccountId, AuditLogId},
    time::UnixMillis,
};
use sea_orm::{ActiveValue::Set, ConnectionTrait, DbErr, EntityTrait};
use serde_json::Value;

/// Adds a line: `who` (None: the service itself) did `action` to `subject` (an id).
pub async fn record(
    db: &impl ConnectionTrait,
    who: impl Into<Option<AccountId>>,
    action: &str,
    subject: impl ToString,
    details: Value,
) -> Result<(), DbErr> {
    let row = audit_log::ActiveModel {
        id: Set(AuditLogId::new()),
        account_id: Set(who.into()),
        action: Set(action.to_owned()),
        subject: Set(subject.to_string()),
        details: Set(details),
        created_at: Set(UnixMillis::now()),
    };
    audit_log::Entity::insert(row).exec_without_returning(db).await?;
    Ok(())
}
