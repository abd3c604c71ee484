//! What streams for long (a run's events, a chat, a download) ends when its reader may not have it
//! any more: they signed out, their account was locked or reset, they were removed from the project,
//! or the project was deleted. Looked at once a second, so that it holds whichever process the change was made in.

use crate::{
    metrics::metrics,
    web::{
        access::{Access, RoleGrant},
        error::AppError,
        principal::{Principal, database},
        session,
    },
};
use actix_web::{
    Error, HttpRequest,
    body::{BodySize, BodyStream, BoxBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::header,
    middleware::Next,
    web::{Bytes, Data},
};
use async_stream::stream;
use entity::{
    account,
    ids::{AccountId, ProjectId},
    membership, project,
};
use futures_util::Stream;
use sea_orm::{DatabaseConnection, DbErr, EntityTrait};
use std::{
    collections::{HashMap, HashSet},
    error::Error as StdError,
    future::poll_fn,
    io,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use storage::lookup::find_among;
use tokio_util::sync::CancellationToken;

/// How often the readers' rights are looked at while anything streams.
const LOOK: Duration = Duration::from_secs(1);

/// The streams that are open in this process.
#[derive(Clone, Default)]
pub struct WatchedStreams(Arc<Mutex<StreamList>>);

#[derive(Default)]
struct StreamList {
    n_opened: u64,
    open: HashMap<u64, WatchedStream>,
    is_watched: bool,
}

#[derive(Clone)]
struct WatchedStream {
    account: AccountId,
    stamp: i64,
    /// By what the row of its reader's session is known.
    session: Option<String>,
    /// In every project that it tells of.
    grants: Vec<RoleGrant>,
    end: CancellationToken,
}

impl WatchedStream {
    fn of(request: &HttpRequest) -> Option<Self> {
        let principal = Principal::known(request)?;
        let account = principal.account();
        Some(Self {
            account: account.id,
            stamp: account.stamp,
            session: session::key_hash_read_along(),
            grants: RoleGrant::all_of(request),
            end: CancellationToken::new(),
        })
    }
}

/// Takes a stream off the list when its reader has gone.
struct ListedStream {
    streams: WatchedStreams,
    number: u64,
}

impl Drop for ListedStream {
    fn drop(&mut self) {
        self.streams.list().open.remove(&self.number);
        metrics().open_streams.dec();
    }
}

/// Middleware: a response that streams ends with its reader's access.
pub async fn end_with_access(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let response = next.call(request).await?.map_into_boxed_body();
    if response.response().body().size() != BodySize::Stream {
        return Ok(response);
    }
    let streams = response.request().app_data::<Data<WatchedStreams>>().cloned();
    let (Some(streams), Some(open)) = (streams, WatchedStream::of(response.request())) else {
        return Ok(response);
    };
    // A page connects again and is told; of a file nobody must think that it is whole.
    let kind = response.headers().get(header::CONTENT_TYPE).map(|kind| kind.as_bytes().to_vec());
    let may_just_end = kind.is_some_and(|kind| kind.starts_with(b"text/event-stream"));
    let end = open.end.clone();
    let listed = streams.add(&database(response.request())?, open);
    Ok(response
        .map_body(|_, body| BoxBody::new(BodyStream::new(until(listed, end, body, may_just_end)))))
}

/// Does what takes long before an answer begins; given up when its reader loses their access meanwhile.
pub async fn while_allowed<T>(
    request: &HttpRequest,
    work: impl Future<Output = T>,
) -> Result<T, AppError> {
    let streams = request.app_data::<Data<WatchedStreams>>().cloned();
    let (Some(streams), Some(open)) = (streams, WatchedStream::of(request)) else {
        return Ok(work.await);
    };
    let end = open.end.clone();
    let _listed = streams.add(&database(request)?, open);
    tokio::select! {
        biased;
        () = end.cancelled() => Err(AppError::Forbidden),
        done = work => Ok(done),
    }
}

fn until(
    listed: ListedStream,
    end: CancellationToken,
    body: BoxBody,
    may_just_end: bool,
) -> impl Stream<Item = Result<Bytes, Box<dyn StdError>>> {
    stream! {
        let _listed = listed;
        let mut body = pin!(body);
        loop {
            let piece = tokio::select! {
                biased;
                () = end.cancelled() => {
                    if !may_just_end {
                        yield Err(io::Error::other("its reader has no access any more").into());
                    }
                    return;
                }
                piece = poll_fn(|context| body.as_mut().poll_next(context)) => piece,
            };
            match piece {
                Some(piece) => yield piece,
                None => return,
            }
        }
    }
}

impl WatchedStreams {
    fn list(&self) -> MutexGuard<'_, StreamList> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lists a stream; the first one starts the looking.
    fn add(&self, db: &DatabaseConnection, open: WatchedStream) -> ListedStream {
        let mut list = self.list();
        list.n_opened += 1;
        let number = list.n_opened;
        list.open.insert(number, open);
        metrics().open_streams.inc();
        if !list.is_watched {
            list.is_watched = true;
            tokio::spawn(watch(self.clone(), db.clone()));
        }
        ListedStream { streams: self.clone(), number }
    }
}

/// Ends streams until none is open.
async fn watch(streams: WatchedStreams, db: DatabaseConnection) {
    loop {
        tokio::time::sleep(LOOK).await;
        let open: Vec<WatchedStream> = {
            let mut list = streams.list();
            if list.open.is_empty() {
                list.is_watched = false;
                return;
            }
            list.open.values().cloned().collect()
        };
        match Rights::of(&db, &open).await {
            Ok(rights) => {
                open.iter().filter(|one| !rights.allow(one)).for_each(|one| one.end.cancel());
            }
            Err(error) => tracing::warn!(%error, "cannot look who may still read what streams"),
        }
    }
}

/// What the readers may do now.
struct Rights {
    accounts: HashMap<AccountId, account::Model>,
    projects: HashMap<ProjectId, project::Model>,
    memberships: Vec<membership::Model>,
    /// Those that go on.
    sessions: HashSet<String>,
}

impl Rights {
    /// Four questions for some hundreds of streams.
    async fn of(db: &DatabaseConnection, open: &[WatchedStream]) -> Result<Self, DbErr> {
        let readers = || open.iter().map(|one| one.account);
        let accounts =
            find_among(db, account::Entity::find(), account::Column::Id, readers()).await?;
        let granted = open.iter().flat_map(|one| &one.grants).map(|grant| grant.project);
        let projects =
            find_among(db, project::Entity::find(), project::Column::Id, granted).await?;
        let memberships =
            find_among(db, membership::Entity::find(), membership::Column::AccountId, readers());
        let memberships = memberships.await?;
        let sessions = open.iter().filter_map(|one| one.session.as_deref());
        let sessions = session::alive(db, sessions).await?;
        Ok(Self {
            sessions,
            accounts: accounts.into_iter().map(|account| (account.id, account)).collect(),
            projects: projects.into_iter().map(|project| (project.id, project)).collect(),
            memberships,
        })
    }

    fn allow(&self, open: &WatchedStream) -> bool {
        let account = self.accounts.get(&open.account);
        let is_theirs =
            |one: &&account::Model| one.disabled_at.is_none() && one.stamp == open.stamp;
        let Some(account) = account.filter(is_theirs) else { return false };
        if open.session.as_ref().is_some_and(|session| !self.sessions.contains(session)) {
            return false;
        }
        open.grants.iter().all(|grant| {
            let Some(project) = self.projects.get(&grant.project) else { return false };
            let mine = self
                .memberships
                .iter()
                .filter(|row| row.account_id == account.id && row.project_id == project.id);
            let roles = mine.map(|row| row.role).collect();
            grant.holds(&Access { account: account.clone(), project: project.clone(), roles })
        })
    }
}
