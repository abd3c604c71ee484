//! Whether people can work here: the database and the artifact store are there, are of this version,
//! and take what is written to them, which a full disk does not. Found out by writing a little.

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use sea_orm::{ConnectionTrait, DatabaseConnection, DbErr};
use serde::Serialize;
use std::{
    num::NonZeroU32,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use storage::{
    artifact_store::ArtifactStore,
    database::{WriteTurn, write},
    schema::{self, SchemaState},
};
use tokio::{task::spawn_blocking, time::timeout};

/// How long the database and the disk may take to answer, each.
const PATIENCE: Duration = Duration::from_secs(3);

/// Anybody may ask. Above so many checks at once, and then one a second, the last answer is given.
const MAX_CHECKS: NonZeroU32 = NonZeroU32::new(10).expect("10 is not 0");

/// A session of nobody whose time was over before it began: the one row that may be written at any
/// time, which nothing reads and the sweep takes away.
const WRITE_A_LITTLE: &str = "INSERT INTO session (key_hash, state, expires_at) \
    VALUES ('readiness', '{}', 0) ON CONFLICT (key_hash) DO UPDATE SET expires_at = 0";

const OK: &str = "ok";
const UNKNOWN: &str = "unknown";

/// What must be so for people to be able to work: "ok", or what is not. Details go to the log.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct ReadinessReport {
    pub ready: bool,
    database: &'static str,
    migrations: &'static str,
    artifacts: &'static str,
}

/// The check, shared by everybody who asks.
pub struct ReadinessCheck {
    limiter: DefaultDirectRateLimiter,
    last: Mutex<Option<(Instant, ReadinessReport)>>,
    /// One looks at a time: who waits for it is told what it saw.
    turn: tokio::sync::Mutex<()>,
    /// A disk that does not answer holds one thread.
    is_writing: Arc<AtomicBool>,
}

impl ReadinessCheck {
    #[expect(clippy::new_without_default, reason = "one per process, not a value")]
    pub fn new() -> Self {
        Self {
            limiter: RateLimiter::direct(Quota::per_second(MAX_CHECKS).allow_burst(MAX_CHECKS)),
            last: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
            is_writing: Arc::default(),
        }
    }

    pub async fn report(&self, db: &DatabaseConnection, store: &ArtifactStore) -> ReadinessReport {
        if let Some((_, last)) = self.last().filter(|_| self.limiter.check().is_err()) {
            return last;
        }
        let asked = Instant::now();
        let _turn = self.turn.lock().await;
        if let Some((_, seen)) = self.last().filter(|(began, _)| *began >= asked) {
            return seen;
        }
        let began = Instant::now();
        let ((database, migrations), artifacts) =
            tokio::join!(ask_database(db), self.ask_store(store));
        let ready = [database, migrations, artifacts].iter().all(|said| *said == OK);
        let report = ReadinessReport { ready, database, migrations, artifacts };
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some((began, report));
        report
    }

    /// When somebody last began to look, and what they saw.
    fn last(&self) -> Option<(Instant, ReadinessReport)> {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn ask_store(&self, store: &ArtifactStore) -> &'static str {
        if self.is_writing.swap(true, Ordering::AcqRel) {
            return "the folder does not answer in time";
        }
        let (store, is_writing) = (store.clone(), self.is_writing.clone());
        let writing = spawn_blocking(move || {
            let written = store.check_writable();
            is_writing.store(false, Ordering::Release);
            written
        });
        match timeout(PATIENCE, writing).await {
            Ok(Ok(Ok(()))) => OK,
            Ok(Ok(Err(error))) => {
                tracing::warn!(%error, "not ready");
                "the folder cannot be written to"
            }
            Ok(Err(_)) => UNKNOWN,
            Err(_) => "the folder does not answer in time",
        }
    }
}

/// What is said of the database and of its migrations.
async fn ask_database(db: &DatabaseConnection) -> (&'static str, &'static str) {
    let state = match timeout(PATIENCE, schema::state(db)).await {
        Ok(state) => state,
        Err(_) => return ("does not answer in time", UNKNOWN),
    };
    match state {
        Ok(SchemaState::Current) => (take_a_little(db).await, OK),
        Ok(SchemaState::Older(_)) => (OK, "older than this program: run `annotator migrate`"),
        Ok(SchemaState::Newer(_)) => (OK, "newer than this program: start the newer version"),
        Err(error) => {
            tracing::warn!(%error, "not ready");
            ("does not answer", UNKNOWN)
        }
    }
}

async fn take_a_little(db: &DatabaseConnection) -> &'static str {
    let written = write(db, |turn: WriteTurn| async move {
        turn.execute_unprepared(WRITE_A_LITTLE).await.map(drop)
    });
    let written: Result<Result<(), DbErr>, _> = timeout(PATIENCE, written).await;
    match written {
        Ok(Ok(_)) => OK,
        Ok(Err(error)) => {
            tracing::warn!(%error, "not ready");
            "cannot be written to"
        }
        Err(_) => "cannot be written to in time",
    }
}
