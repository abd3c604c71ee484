//! What the tests stand on.

pub(crate) mod app;
pub(crate) mod backups;
pub(crate) mod binaries;
pub(crate) mod browser;
pub(crate) mod builders;
pub(crate) mod chats;
pub(crate) mod database;
pub(crate) mod dice;
pub(crate) mod hub;
pub(crate) mod leash;
pub(crate) mod openmetrics;
pub(crate) mod people;
pub(crate) mod small_disk;
pub(crate) mod statistics;
pub(crate) mod tcp_proxy;
pub(crate) mod trainer;
pub(crate) mod web;
pub(crate) mod world;

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

/// On CI nothing is skipped.
pub(crate) fn is_ci() -> bool {
    std::env::var_os("CI").is_some_and(|value| value == "true" || value == "1")
}

/// The Hugging Face folder of the tiny base (see [`crate::tiny_base`]).
pub(crate) fn tiny_base() -> PathBuf {
    binaries::root().join("tests/tiny_base")
}

/// Asks until there is an answer; panics with `complaint` when that takes longer than `patience`.
pub(crate) async fn eventually<T>(
    patience: Duration,
    mut ask: impl AsyncFnMut() -> Option<T>,
    complaint: impl FnOnce() -> String,
) -> T {
    let started = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        if started.elapsed() > patience {
            panic!("{}", complaint());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
