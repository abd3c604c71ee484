//! Password hashes, made and compared by a few threads of their own. Argon2id takes 19 MiB and tens
//! of milliseconds of a core each time, so that whoever is not signed in could have both without
//! end: here only as many are at work as there are threads, only so many wait, and the rest is told
//! to try again.

use crate::web::error::AppError;
use anyhow::anyhow;
use argon2::{
    Argon2,
    password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Condvar, LazyLock, Mutex, MutexGuard, PoisonError},
    thread::available_parallelism,
};
use storage::storable::composed;
use tokio::sync::oneshot;

/// At most so many hashes are made at once, however many cores there are: 76 MiB.
const MAX_THREADS: usize = 4;

/// How many may wait: of strangers, and as many of those who are known. A thread is through with
/// them in a few seconds.
const MAX_WAITING: usize = 100;

/// Whose password it is. Those who are known go first, and a crowd of strangers takes none of their
/// places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PasswordSender {
    /// Signed in, or at a browser that was signed in on as this person before; also the program
    /// itself.
    Known,
    /// Anybody.
    Stranger,
}

/// Why nothing was hashed.
#[derive(Debug, thiserror::Error)]
pub enum HashingError {
    /// More wait than may.
    #[error("too many passwords wait to be compared")]
    Busy,
    #[error(transparent)]
    Failed(#[from] anyhow::Error),
}

impl From<HashingError> for AppError {
    fn from(error: HashingError) -> Self {
        match error {
            HashingError::Busy => Self::Busy,
            HashingError::Failed(error) => Self::Internal(error),
        }
    }
}

type Job = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct Waiting {
    known: VecDeque<Job>,
    strangers: VecDeque<Job>,
}

#[derive(Default)]
struct HashingThreads {
    waiting: Mutex<Waiting>,
    has_more: Condvar,
}

static THREADS: LazyLock<&'static HashingThreads> = LazyLock::new(|| {
    let threads: &'static HashingThreads = Box::leak(Box::default());
    // One core stays for the pages.
    let n_cores = available_parallelism().map_or(2, usize::from);
    for number in 0..(n_cores - 1).clamp(1, MAX_THREADS) {
        std::thread::Builder::new()
            .name(format!("hashing-{number}"))
            .spawn(|| threads.work())
            .expect("a thread can be started");
    }
    threads
});

impl HashingThreads {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, sender: PasswordSender, job: Job) -> Result<(), HashingError> {
        let mut waiting = self.waiting();
        let queue = match sender {
            PasswordSender::Known => &mut waiting.known,
            PasswordSender::Stranger => &mut waiting.strangers,
        };
        if queue.len() >= MAX_WAITING {
            return Err(HashingError::Busy);
        }
        queue.push_back(job);
        self.has_more.notify_one();
        Ok(())
    }

    fn work(&self) -> ! {
        loop {
            let mut waiting = self.waiting();
            let job = loop {
                let next = waiting.known.pop_front();
                if let Some(job) = next.or_else(|| waiting.strangers.pop_front()) {
                    break job;
                }
                waiting = self.has_more.wait(waiting).unwrap_or_else(PoisonError::into_inner);
            };
            drop(waiting);
            // Whoever waits for a job that panicked is told so by its reply.
            let _ = catch_unwind(AssertUnwindSafe(job));
        }
    }

    async fn run<T: Send + 'static>(
        &self,
        sender: PasswordSender,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, HashingError> {
        let (reply, answer) = oneshot::channel();
        let job = move || {
            // Whoever gave up costs nothing.
            if !reply.is_closed() {
                let _ = reply.send(work());
            }
        };
        self.add(sender, Box::new(job))?;
        Ok(answer.await.map_err(|_| anyhow!("a password hash failed"))?)
    }
}

/// A PHC string of argon2id.
pub async fn hash(sender: PasswordSender, password: String) -> Result<String, HashingError> {
    Ok(THREADS.run(sender, move || hash_now(&password)).await??)
}

/// Whether a password is the one of a PHC string; None stands for that of nobody, and takes as long.
pub async fn matches(
    sender: PasswordSender,
    password: String,
    stored: Option<String>,
) -> Result<bool, HashingError> {
    let compare = move || {
        let is_right = matches_now(&password, stored.as_deref().unwrap_or(&NOBODYS_HASH));
        is_right && stored.is_some()
    };
    THREADS.run(sender, compare).await
}

/// What is compared when the login does not exist.
static NOBODYS_HASH: LazyLock<String> =
    LazyLock::new(|| hash_now("nobody's").expect("argon2 accepts its own defaults"));

/// Of the composed text, so that the same keys sign in from every system.
fn hash_now(password: &str) -> anyhow::Result<String> {
    let hash = Argon2::default()
        .hash_password(composed(password).as_bytes())
        .map_err(|error| anyhow!("argon2: {error}"))?;
    Ok(hash.to_string())
}

fn matches_now(password: &str, stored: &str) -> bool {
    let Ok(stored) = PasswordHash::new(stored) else { return false };
    let is = |text: &str| Argon2::default().verify_password(text.as_bytes(), &stored).is_ok();
    // Some were hashed as they were typed.
    is(&composed(password)) || (composed(password) != password && is(password))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn a_password_matches_its_own_hash_and_no_other() {
        let stored = hash_now("correct horse").unwrap();
        assert!(stored.starts_with("$argon2id$"));
        assert!(matches_now("correct horse", &stored));
        assert!(!matches_now("correct horse ", &stored));
        let stored = hash_now("пароль й").unwrap();
        assert!(matches_now("пароль и\u{306}", &stored), "typed where keyboards send marks apart");
        assert!(!matches_now("correct horse", "not a hash"));
    }

    #[test]
    fn a_crowd_of_strangers_is_told_to_come_back_and_takes_no_place_of_the_known() {
        let threads = HashingThreads::default(); // nobody works
        let add = |sender| threads.add(sender, Box::new(|| {}));
        for _ in 0..MAX_WAITING {
            assert!(add(PasswordSender::Stranger).is_ok());
        }
        assert!(add(PasswordSender::Stranger).is_err());
        assert!(add(PasswordSender::Known).is_ok());
    }

    #[test]
    fn the_known_go_first() {
        let threads: &'static HashingThreads = Box::leak(Box::default());
        let (told, heard) = mpsc::channel();
        for (sender, name) in
            [(PasswordSender::Stranger, "stranger"), (PasswordSender::Known, "known")]
        {
            let told = told.clone();
            threads.add(sender, Box::new(move || told.send(name).unwrap())).unwrap();
        }
        std::thread::spawn(|| threads.work());
        assert_eq!([heard.recv().unwrap(), heard.recv().unwrap()], ["known", "stranger"]);
    }
}
