//! The local worker: `trainer worker` as a child of `annotator serve`, started again when it dies.
//!
//! The trainer links libtorch and this program does not, so that is all they share: the database's
//! address and the folder of artifacts.

use crate::{config::ServeConfig, models::trainer_program::find_trainer};
use anyhow::Context;
use rustix::process::{Pid, kill_process};
use std::{
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};
use tokio::{
    process::{Child, Command},
    signal::unix::{Signal, SignalKind, signal},
    sync::oneshot,
    task::JoinHandle,
};
use trainer_base::child_environment::{self, ChildPurpose};

/// How long to wait before the first restart; doubled for every next one, up to [`MAX_WAIT`].
const MIN_WAIT: Duration = Duration::from_secs(1);
const MAX_WAIT: Duration = Duration::from_secs(60);

/// A worker that lived this long was healthy: the waiting starts anew.
const HEALTHY: Duration = Duration::from_secs(60);

/// How long a worker may take to leave once it was asked: its run stops with a checkpoint, which
/// the worker itself does not wait for any longer.
const GRACE: Duration = Duration::from_secs(50);

/// The worker for as long as it is wanted.
pub struct WorkerProcess {
    stop: oneshot::Sender<()>,
    supervisor: JoinHandle<()>,
}

impl WorkerProcess {
    /// Starts it, or says why there is none.
    pub fn start(config: &ServeConfig) -> anyhow::Result<Self> {
        let command = worker_command(&find_trainer(config.trainer.as_deref())?, config);
        // Ctrl-C in a terminal reaches the worker as well.
        let interrupt = signal(SignalKind::interrupt()).context("cannot listen for Ctrl-C")?;
        let (stop, stopped) = oneshot::channel();
        let supervisor = tokio::spawn(supervise(command, interrupt, stopped));
        Ok(Self { stop, supervisor })
    }

    /// Ends it: its run stops with a checkpoint, and the next worker resumes it.
    pub async fn stop(self) {
        let _ = self.stop.send(());
        let _ = self.supervisor.await;
    }
}

/// The address may hold a password, which a command line would show to everybody.
fn worker_command(trainer: &Path, config: &ServeConfig) -> Command {
    let mut command = Command::new(trainer);
    command
        .args(["worker", "--exit-with-stdin"])
        .env_clear()
        .envs(child_environment::inherited(ChildPurpose::Working))
        .env("DATABASE_URL", config.storage.url())
        .env("ATTUNE_LOG_FORMAT", config.log_format.name())
        .arg("--artifacts")
        .arg(config.storage.artifacts_dir())
        .stdin(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// Starts the worker whenever it has ended, until it is told to stop or somebody pressed Ctrl-C.
async fn supervise(
    mut command: Command,
    mut interrupt: Signal,
    mut stopped: oneshot::Receiver<()>,
) {
    let mut wait = MIN_WAIT;
    loop {
        let started = Instant::now();
        match command.spawn().context("cannot start the trainer") {
            Ok(mut child) => {
                tracing::info!(pid = child.id(), "started the local worker");
                // Held, because the worker leaves when it closes: if this program is killed, too.
                let _stdin = child.stdin.take();
                tokio::select! {
                    _ = &mut stopped => return end(child, GRACE).await,
                    status = child.wait() => tracing::error!(?status, "the local worker ended"),
                }
            }
            Err(error) => tracing::error!(error = format!("{error:#}"), "no local worker"),
        }
        if started.elapsed() >= HEALTHY {
            wait = MIN_WAIT;
        }
        tracing::info!(seconds = wait.as_secs(), "the local worker starts again soon");
        tokio::select! {
            _ = &mut stopped => return,
            _ = interrupt.recv() => return,
            () = tokio::time::sleep(wait) => wait = (wait * 2).min(MAX_WAIT),
        }
    }
}

/// Asks the worker to leave, and kills it if it does not within `grace`.
async fn end(mut child: Child, grace: Duration) {
    if let Some(pid) = child.id().and_then(|pid| Pid::from_raw(pid as i32))
        && let Err(error) = kill_process(pid, rustix::process::Signal::TERM)
    {
        tracing::warn!(%error, "cannot ask the local worker to leave");
    }
    if tokio::time::timeout(grace, child.wait()).await.is_err() {
        tracing::warn!("the local worker does not leave; killing it");
        let _ = child.kill().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Given to the shell as text: a script that was just written cannot be executed while a child
    /// of another test still holds it open.
    fn script(folder: &Path, body: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", body]).current_dir(folder).stdin(Stdio::null()).kill_on_drop(true);
        command
    }

    async fn eventually(what: impl Fn() -> bool) {
        let patience = Instant::now();
        while !what() {
            assert!(patience.elapsed() < Duration::from_secs(20), "it did not happen");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    #[tokio::test]
    async fn a_worker_that_dies_is_started_again_and_stopping_ends_it() {
        let folder = tempfile::tempdir().unwrap();
        let command = script(
            folder.path(),
            "trap 'echo x > left; exit' TERM; echo x >> starts; [ $(wc -l < starts) -ge 2 ] || exit 1; while :; do sleep 0.05; done",
        );
        let (stop, stopped) = oneshot::channel();
        let supervisor =
            tokio::spawn(supervise(command, signal(SignalKind::interrupt()).unwrap(), stopped));
        let starts = folder.path().join("starts");
        eventually(|| {
            std::fs::read_to_string(&starts).is_ok_and(|starts| starts.lines().count() == 2)
        })
        .await;
        stop.send(()).unwrap();
        supervisor.await.unwrap();
        assert!(folder.path().join("left").exists(), "the worker is asked before it is killed");
    }

    #[tokio::test]
    async fn a_worker_that_does_not_leave_is_killed() {
        let folder = tempfile::tempdir().unwrap();
        let mut command = script(folder.path(), "trap '' TERM; while :; do sleep 0.05; done");
        let child = command.spawn().unwrap();
        let pid = child.id().unwrap();
        end(child, Duration::from_millis(300)).await;
        assert!(!Path::new(&format!("/proc/{pid}")).exists());
    }
}
