//! Sessions live in the database: the cookie holds a random key, the row its SHA-256, so that
//! neither a copy of the database nor a guess signs anybody in.

use crate::web::{address, csrf, error::AppError};
use actix_session::{
    Session, SessionMiddleware,
    config::{CookieContentSecurity, PersistentSession},
    storage::{LoadError, SaveError, SessionKey, SessionStore, UpdateError, generate_session_key},
};
use actix_web::{
    Error,
    body::MessageBody,
    cookie::{Key, SameSite, time::Duration},
    dev::{ServiceRequest, ServiceResponse},
    http::header,
    middleware::Next,
};
use entity::{account, hash::sha256_hex, ids::AccountId, run, session, time::UnixMillis};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, ConnectionTrait, DatabaseConnection, DbErr, DerivePartialModel, EntityTrait,
    JoinType, QueryFilter, QuerySelect, RelationDef,
    sea_query::{Expr, ExprTrait, Query},
};
use std::{
    cell::RefCell,
    collections::{HashMap, HashSet},
};
use storage::{
    database::{WriteTurn, asking, write},
    lookup::portions,
};

/// How long a sign-in lasts.
const LIFETIME: Duration = Duration::days(30);

/// A sign-in in use is prolonged once in so long, so that a page that is only read writes nothing.
const PROLONGED_EVERY: Duration = Duration::days(1);

/// How long a browser nobody signed in on is remembered.
const ANONYMOUS_LIFETIME: Duration = Duration::days(1);

/// The session value that holds the account's id.
pub const ACCOUNT: &str = "account";

/// The session value that says when the sign-in was last prolonged.
const PROLONGED: &str = "prolonged";

type State = HashMap<String, String>;

#[derive(Clone)]
pub struct DatabaseSessions(pub DatabaseConnection);

/// The cookie that holds a session's key.
pub const COOKIE: &str = "attune_session";

/// With what the cookie is signed: see [`middleware`].
pub fn signing_key() -> Key {
    Key::derive_from(b"attune: the session key in the cookie is the secret")
}

/// The middleware. actix-session signs its cookie; this cookie is an unguessable key that is looked
/// up by hash, so the signature protects nothing and its key need not be a secret: it is the same
/// in every process, and sessions survive restarts.
pub fn middleware(db: DatabaseConnection, secure: bool) -> SessionMiddleware<DatabaseSessions> {
    SessionMiddleware::builder(DatabaseSessions(db), signing_key())
        .cookie_name(COOKIE.to_owned())
        .cookie_http_only(true)
        .cookie_same_site(SameSite::Lax)
        .cookie_path(address::address("/"))
        .cookie_secure(secure)
        .cookie_content_security(CookieContentSecurity::Signed)
        .session_lifecycle(PersistentSession::default().session_ttl(LIFETIME))
        .build()
}

/// The session value that holds the account's stamp when the session began.
const STAMP: &str = "stamp";

/// Makes the session that of an account as it was when it was read: if its password was reset, or
/// it was locked, meanwhile, the session is nobody's.
pub fn sign_in(session: &Session, account: &account::Model) -> Result<(), AppError> {
    session.insert(ACCOUNT, account.id).map_err(|error| anyhow::anyhow!("{error}"))?;
    session.insert(STAMP, account.stamp).map_err(|error| anyhow::anyhow!("{error}"))?;
    prolong(session)?;
    renew(session)
}

/// Whether the session began with the account as it is. (Those of older versions have no stamp.)
pub fn is_of(session: &Session, account: &account::Model) -> bool {
    session.get::<i64>(STAMP).ok().flatten().unwrap_or(0) == account.stamp
}

/// Lets a sign-in that is in use last another [`LIFETIME`].
pub fn prolong(session: &Session) -> Result<(), AppError> {
    let is_signed_in = session.contains_key(ACCOUNT);
    let last = session.get::<UnixMillis>(PROLONGED).ok().flatten();
    let since = last.map_or(i64::MAX, |last| UnixMillis::now().0.saturating_sub(last.0));
    if !is_signed_in || i128::from(since) < PROLONGED_EVERY.whole_milliseconds() {
        return Ok(());
    }
    let now = UnixMillis::now();
    Ok(session.insert(PROLONGED, now).map_err(|error| anyhow::anyhow!("{error}"))?)
}

tokio::task_local! {
    /// What was read together with the session of the request under way.
    static READ_ALONG: RefCell<SessionRead>;
}

/// How the session of a request was looked for.
#[derive(Default)]
struct SessionRead {
    found: Option<SignedInAs>,
    /// By what its row is known.
    key_hash: Option<String>,
    /// Why nobody knows whose it is.
    failed: Option<DbErr>,
}

/// A session, and what nearly every request asks of whoever it is of.
#[derive(Clone, DerivePartialModel)]
#[sea_orm(entity = "session::Entity", from_query_result)]
struct SignedInAs {
    state: String,
    #[sea_orm(nested)]
    account: Option<account::Model>,
    #[sea_orm(from_expr = "has_launched()")]
    has_launched: bool,
}

/// Whether the account ever launched a run.
fn has_launched() -> Expr {
    let account = Expr::col((account::Entity, account::Column::Id));
    let launched = Query::select()
        .expr(Expr::value(1))
        .from(run::Entity)
        .and_where(Expr::col((run::Entity, run::Column::CreatedBy)).eq(account))
        .to_owned();
    Expr::exists(launched)
}

/// What is the same for everybody, and answered while the database is away.
const OF_NOBODY: [&str; 3] = ["/static/", "/health", "/ready"];

/// Middleware around [`middleware`]: keeps the account that is read along with a session, so that
/// nobody asks the database for it again.
pub async fn read_account_along(
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    if OF_NOBODY.iter().any(|place| request.path().starts_with(&address::address(place))) {
        request.headers_mut().remove(header::COOKIE);
    }
    READ_ALONG.scope(RefCell::default(), next.call(request)).await
}

/// The account, if it was read along with the session.
pub fn account_read_along(id: AccountId) -> Option<account::Model> {
    let account = |read: &SignedInAs| read.account.clone().filter(|account| account.id == id);
    READ_ALONG.try_with(|read| read.borrow().found.as_ref().and_then(account)).ok().flatten()
}

/// By what the row of this request's session is known: the hash of its key.
pub fn key_hash_read_along() -> Option<String> {
    READ_ALONG.try_with(|read| read.borrow().key_hash.clone()).ok().flatten()
}

/// Why the session could not be read, if so: then nobody knows who asks.
pub fn failed_to_load() -> Option<DbErr> {
    READ_ALONG.try_with(|read| read.borrow_mut().failed.take()).ok().flatten()
}

/// Whether it is known that this account never launched a run, as most never do.
pub fn never_launched(id: AccountId) -> bool {
    let never = |read: &SignedInAs| {
        !read.has_launched && read.account.as_ref().is_some_and(|account| account.id == id)
    };
    READ_ALONG.try_with(|read| read.borrow().found.as_ref().is_some_and(never)).unwrap_or(false)
}

/// A fresh key and a fresh form token: what was known before is worth nothing after it.
fn renew(session: &Session) -> Result<(), AppError> {
    session.renew();
    csrf::renew(session)
}

/// Ends every session of an account: after its password changed, or when it is disabled.
pub async fn end_all(db: &impl ConnectionTrait, account: AccountId) -> Result<(), DbErr> {
    session::Entity::delete_many().filter(session::Column::AccountId.eq(account)).exec(db).await?;
    Ok(())
}

/// Those of these sessions that have not ended, by the hashes of their keys.
pub async fn alive(
    db: &DatabaseConnection,
    key_hashes: impl Iterator<Item = &str>,
) -> Result<HashSet<String>, DbErr> {
    let mut alive = HashSet::new();
    for some in portions(key_hashes) {
        let found = session::Entity::find()
            .select_only()
            .column(session::Column::KeyHash)
            .filter(session::Column::KeyHash.is_in(some));
        alive.extend(found.into_tuple::<String>().all(db).await?);
    }
    Ok(alive)
}

/// Removes rows whose time is over.
pub async fn sweep(db: &DatabaseConnection) -> Result<(), DbErr> {
    let over = session::Column::ExpiresAt.lt(UnixMillis::now());
    let over = &session::Entity::delete_many().filter(over);
    write(db, |turn| async move { over.clone().exec(&*turn).await }).await.map(drop)
}

fn key_hash(key: &SessionKey) -> String {
    sha256_hex(key.as_ref())
}

fn expiry(ttl: &Duration) -> UnixMillis {
    UnixMillis(UnixMillis::now().0 + ttl.whole_milliseconds() as i64)
}

fn account_of_session() -> RelationDef {
    session::Entity::belongs_to(account::Entity)
        .from(session::Column::AccountId)
        .to(account::Column::Id)
        .into()
}

fn account_of(state: &State) -> anyhow::Result<Option<AccountId>> {
    Ok(state.get(ACCOUNT).map(|json| serde_json::from_str(json)).transpose()?)
}

impl DatabaseSessions {
    async fn insert(&self, key: &SessionKey, state: &State, ttl: &Duration) -> anyhow::Result<()> {
        let account_id = account_of(state)?;
        let ttl = if account_id.is_some() { ttl } else { &ANONYMOUS_LIFETIME };
        let row = &session::ActiveModel {
            key_hash: Set(key_hash(key)),
            account_id: Set(account_id),
            state: Set(serde_json::to_string(state)?),
            expires_at: Set(expiry(ttl)),
        };
        let insert = |turn: WriteTurn| async move {
            session::Entity::insert(row.clone()).exec_without_returning(&*turn).await
        };
        write(&self.0, insert).await?;
        Ok(())
    }

    /// Changes the row if it is still there: a request in flight must not revive a session that
    /// was ended meanwhile.
    async fn change(&self, key: &SessionKey, state: &State, ttl: &Duration) -> anyhow::Result<()> {
        let change = session::Entity::update_many()
            .set(session::ActiveModel {
                account_id: Set(account_of(state)?),
                state: Set(serde_json::to_string(state)?),
                expires_at: Set(expiry(ttl)),
                ..Default::default()
            })
            .filter(session::Column::KeyHash.eq(key_hash(key)));
        let change = &change;
        write(&self.0, |turn| async move { change.clone().exec(&*turn).await }).await?;
        Ok(())
    }
}

impl SessionStore for DatabaseSessions {
    async fn load(&self, key: &SessionKey) -> Result<Option<State>, LoadError> {
        let key = key_hash(key);
        // The first statement of a request: one that finds its connection lost is sent again.
        let found = asking(|| {
            session::Entity::find_by_id(&key)
                .filter(session::Column::ExpiresAt.gt(UnixMillis::now()))
                .join(JoinType::LeftJoin, account_of_session())
                .into_partial_model::<SignedInAs>()
                .one(&self.0)
        });
        let found = match found.await {
            Ok(found) => found,
            // Told by a middleware that has the request in hand, with what was typed.
            Err(error) => {
                let failed = SessionRead { failed: Some(error), ..SessionRead::default() };
                let _ = READ_ALONG.try_with(|read| read.replace(failed));
                return Ok(None);
            }
        };
        let Some(found) = found else { return Ok(None) };
        let state = serde_json::from_str(&found.state);
        let read = SessionRead { found: Some(found), key_hash: Some(key), failed: None };
        let _ = READ_ALONG.try_with(|along| along.replace(read));
        state.map(Some).map_err(|error| LoadError::Deserialization(error.into()))
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
        let change = &session::Entity::update_many()
            .col_expr(session::Column::ExpiresAt, expiry(ttl).0.into())
            .filter(session::Column::KeyHash.eq(key_hash(key)));
        write(&self.0, |turn| async move { change.clone().exec(&*turn).await }).await?;
        Ok(())
    }

    async fn delete(&self, key: &SessionKey) -> Result<(), anyhow::Error> {
        let key = &key_hash(key);
        let end =
            |turn: WriteTurn| async move { session::Entity::delete_by_id(key).exec(&*turn).await };
        write(&self.0, end).await?;
        Ok(())
    }
}
