//! Passwords of accounts: taken away, or replaced by one that its person typed. Either ends every
//! session and stream of the account.

use crate::{
    people::accounts,
    web::{
        form::{FieldErrors, FormError},
        message::Message,
        session,
        typed::MAX_PASSWORD,
    },
};
use entity::{account, ids::AccountId};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter,
    sea_query::{Expr, ExprTrait},
};

/// What no password matches: the account waits for its person to follow a link.
pub const NO_PASSWORD: &str = "";

/// A password that somebody chose, as typed.
pub struct NewPassword {
    pub new: String,
    pub again: String,
}

impl NewPassword {
    /// What is wrong with it.
    pub fn check(&self, errors: &mut FieldErrors) {
        if self.new.chars().count() < accounts::MIN_PASSWORD_LENGTH {
            let too_short = Message::new("settings-new-short");
            errors.add("new", too_short.with("n", accounts::MIN_PASSWORD_LENGTH));
        } else if self.new.chars().count() > MAX_PASSWORD {
            errors.within("new", &self.new, MAX_PASSWORD);
        } else if self.new != self.again {
            errors.add("again", "settings-again-differs");
        }
    }

    /// Its hash, if it will do.
    pub async fn hashed(self) -> Result<String, FormError> {
        let mut errors = FieldErrors::default();
        self.check(&mut errors);
        errors.or_invalid()?;
        Ok(accounts::hash_password(self.new).await?)
    }
}

/// Changes an account and ends whatever began before.
pub async fn change(
    turn: &impl ConnectionTrait,
    id: AccountId,
    changes: account::ActiveModel,
) -> Result<(), DbErr> {
    account::Entity::update_many()
        .set(changes)
        .col_expr(account::Column::Stamp, Expr::col(account::Column::Stamp).add(1))
        .filter(account::Column::Id.eq(id))
        .exec(turn)
        .await?;
    session::end_all(turn, id).await
}

/// Gives an account its own password and ends everything that began before. None when the account
/// has changed since it was read, or is locked.
pub async fn set(
    turn: &impl ConnectionTrait,
    account: &account::Model,
    hash: String,
) -> Result<Option<account::Model>, DbErr> {
    let changed = account::Entity::update_many()
        .set(account::ActiveModel {
            password_hash: Set(hash),
            password_is_one_time: Set(false),
            password_expires_at: Set(None),
            stamp: Set(account.stamp + 1),
            ..Default::default()
        })
        .filter(account::Column::Id.eq(account.id))
        .filter(account::Column::Stamp.eq(account.stamp))
        .filter(account::Column::DisabledAt.is_null())
        .exec(turn)
        .await?;
    if changed.rows_affected == 0 {
        return Ok(None);
    }
    session::end_all(turn, account.id).await?;
    account::Entity::find_by_id(account.id).one(turn).await
}
