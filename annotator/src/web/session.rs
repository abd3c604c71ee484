//! Sessions live in the database: the cookie holds a random key, the row its SHA-256, so that
//! neither a copy of the database nor a guess signs anybody in.

use crate::web::{address, csrf, error::AppError};
use actix_session::{
    Session, SessionMiddleware,
    config::{CookieContentSecurity, PersistentSession},
    storage::{LoadError, SaveError, SessionKey, SessionStore, UpdateError, generate_session_key},
};
use actix_web::cookie::{Key, SameSite, time::Duration};
use entity::{hash::sha256_hex, ids::AccountId, session, time::UnixMillis};
use sea_orm::{ActiveValue::Set, ColumnTrait, DatabaseConnection, EntityTrait, QueryFilter};
use std::collections::HashMap;

/// How long a sign-in lasts.
const LIFETIME: Duration = Duration::days(30);

/// How long a browser nobody signed in on is remembered.
const ANONYMOUS_LIFETIME: Duration = Duration::days(1);

/// The session value that holds the account's id.
pub const ACCOUNT: &str = "account";

type State = HashMap<String, String>;

#[derive(Clone)]
pub struct DatabaseSessions(pub DatabaseConnection);

/// The middleware. actix-session signs its cookie; this cookie is an unguessable key that is looked
/// up by hash, so the signature protects nothing and its key need not be a secret: it is the same
/// in every process, and sessions survive restarts.
pub fn middleware(db: DatabaseConnection, secure: bool) -> SessionMiddleware<DatabaseSessions> {
    let signing_key = Key::derive_from(b"attune: the session key in the cookie is the secret");
    SessionMiddleware::builder(DatabaseSessions(db), signing_key)
        .cookie_name("attune_session".to_owned())
        .cookie_http_only(true)
        .cookie_same_site(SameSite::Lax)
        .cookie_path(address::address("/"))
        .cookie_secure(secure)
        .cookie_content_security(CookieContentSecurity::Signed)
        .session_lifecycle(PersistentSession::default().session_ttl(LIFETIME))
        .build()
}

/// Makes the session that of an account.
pub fn sign_in(session: &Session, account: AccountId) -> Result<(), AppError> {
    session.insert(ACCOUNT, account).map_err(|error| anyhow::anyhow!("{error}"))?;
    renew(session)
}

/// A fresh key and a fresh form token: what was known before is worth nothing after it.
pub fn renew(session: &Session) -> Result<(), AppError> {
    session.renew();
    csrf::renew(session).map(drop)
}

/// Ends every session of an account: after its password changed, or when it is disabled.
pub async fn end_all(db: &DatabaseConnection, account: AccountId) -> Result<(), sea_orm::DbErr> {
    session::Entity::delete_many().filter(session::Column::AccountId.eq(account)).exec(db).await?;
    Ok(())
}

/// Removes rows whose time is over.
pub async fn sweep(db: &DatabaseConnection) -> Result<(), sea_orm::DbErr> {
    session::Entity::delete_many()
        .filter(session::Column::ExpiresAt.lt(UnixMillis::now()))
        .exec(db)
        .await?;
    Ok(())
}

fn key_hash(key: &SessionKey) -> String {
    sha256_hex(key.as_ref())
}

fn expiry(ttl: &Duration) -> UnixMillis {
    UnixMillis(UnixMillis::now().0 + ttl.whole_milliseconds() as i64)
}

fn account_of(state: &State) -> anyhow::Result<Option<AccountId>> {
    Ok(state.get(ACCOUNT).map(|json| serde_json::from_str(json)).transpose()?)
}

impl DatabaseSessions {
    async fn insert(&self, key: &SessionKey, state: &State, ttl: &Duration) -> anyhow::Result<()> {
        let account_id = account_of(state)?;
        let ttl = if account_id.is_some() { ttl } else { &ANONYMOUS_LIFETIME };
        let row = session::ActiveModel {
            key_hash: Set(key_hash(key)),
            account_id: Set(account_id),
            state: Set(serde_json::to_string(state)?),
            expires_at: Set(expiry(ttl)),
        };
        session::Entity::insert(row).exec_without_returning(&self.0).await?;
        Ok(())
    }

    /// Changes the row if it is still there: a request in flight must not revive a session that
    /// was ended meanwhile.
    async fn change(&self, key: &SessionKey, state: &State, ttl: &Duration) -> anyhow::Result<()> {
        session::Entity::update_many()
            .set(session::ActiveModel {
                account_id: Set(account_of(state)?),
                state: Set(serde_json::to_string(state)?),
                expires_at: Set(expiry(ttl)),
                ..Default::default()
            })
            .filter(session::Column::KeyHash.eq(key_hash(key)))
            .exec(&self.0)
            .await?;
        Ok(())
    }
}

impl SessionStore for DatabaseSessions {
    async fn load(&self, key: &SessionKey) -> Result<Option<State>, LoadError> {
        let row = session::Entity::find_by_id(key_hash(key))
            .filter(session::Column::ExpiresAt.gt(UnixMillis::now()))
            .one(&self.0)
            .await
            .map_err(|error| LoadError::Other(error.into()))?;
        row.map(|row| serde_json::from_str(&row.state))
            .transpose()
            .map_err(|error| LoadError::Deserialization(error.into()))
    }

    async fn save(&self, state: State, ttl: &Duration) -> Result<SessionKey, SaveError> {
        let key = generate_session_key();
        self.insert(&key, &state, ttl).await.map_err(SaveError::Other)?;
        Ok(key)
    }

    async fn update(
        &self,
        key: SessionKey,
        state: State,
        ttl: &Duration,
    ) -> Result<SessionKey, UpdateError> {
        self.change(&key, &state, ttl).await.map_err(UpdateError::Other)?;
        Ok(key)
    }

    async fn update_ttl(&self, key: &SessionKey, ttl: &Duration) -> Result<(), anyhow::Error> {
        session::Entity::update_many()
            .col_expr(session::Column::ExpiresAt, expiry(ttl).0.into())
            .filter(session::Column::KeyHash.eq(key_hash(key)))
            .exec(&self.0)
            .await?;
        Ok(())
    }

    async fn delete(&self, key: &SessionKey) -> Result<(), anyhow::Error> {
        session::Entity::delete_by_id(key_hash(key)).exec(&self.0).await?;
        Ok(())
    }
}
