//! Takes runs from the database and executes each in a child process that is the trainer's command
//! line, so that a crash fails one run and a run from the web page and one from a shell are the same.
//!
//! [`claim`] takes a run and holds it by a lease, [`command`] turns its row into arguments, [`child`]
//! watches the process, [`death`] tells why it was killed, [`store`] writes what it says, [`output`]
//! keeps what it made.
//!
//! **Invariant:** every write names the run's attempt, so that a worker that lost its lease (it was
//! frozen, or cut off) writes nothing when it wakes; its child works in a folder that the next
//! attempt has renamed.

mod artifacts;
mod child;
mod claim;
mod command;
mod database;
mod death;
mod metrics;
mod output;
mod prune;
mod store;

use crate::{errors::message_of, settings::WorkerArgs};
use entity::{
    log_format::{LogFormat, log_directives},
    message::KeyedMessage,
    run,
};
use metrics::metrics;
use sea_orm::{DatabaseConnection, DbErr};
use std::{
    fmt,
    io::{self, IsTerminal},
    path::PathBuf,
    time::Duration,
};
use storage::{artifact_store::ArtifactStore, database::is_unavailable};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::{oneshot, watch},
};
use tracing_subscriber::EnvFilter;

pub use database::connect;

/// One worker: takes one run at a time.
#[derive(Clone, Debug)]
pub struct Worker {
    pub db: DatabaseConnection,
    pub artifacts: ArtifactStore,
    pub name: String,
    /// The program that executes a run, as a `trainer`.
    pub program: PathBuf,
    /// Where the kernel counts the processes that it killed for want of memory.
    pub vmstat: PathBuf,
    pub lease: Duration,
    /// For how long a run that failed or was cancelled can be continued.
    pub keep_checkpoints: Duration,
}

/// How an attempt at a run ended, for this worker.
#[derive(Debug)]
pub enum RunEnding {
    Succeeded,
    Failed(KeyedMessage),
    Cancelled,
    /// Its process was killed; the next worker that is free resumes it.
    Interrupted(KeyedMessage),
    /// This worker was asked to stop; the next one that is free resumes it.
    Released,
    /// Another worker has it: nothing was written.
    Fenced,
}

impl fmt::Display for RunEnding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(reason) => write!(f, "Failed({:?})", reason.text),
            Self::Interrupted(reason) => write!(f, "Interrupted({:?})", reason.text),
            Self::Succeeded | Self::Cancelled | Self::Released | Self::Fenced => {
                write!(f, "{self:?}")
            }
        }
    }
}

/// Works until it is told to stop. Refuses a database that is not there, not migrated or not local.
///
/// `trainer` finds the program that executes a run where the arguments name none.
pub fn run(
    args: &WorkerArgs,
    trainer: impl FnOnce() -> anyhow::Result<PathBuf>,
) -> anyhow::Result<()> {
    let log = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(log_directives(None, "info")))
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false);
    // A command that has set up its own log keeps it.
    let _ = match args.log_format {
        LogFormat::Text => log.try_init(),
        LogFormat::Json => log.json().flatten_event(true).with_span_list(false).try_init(),
    };
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let db = connect(&args.database_url).await?;
        let worker = Worker {
            artifacts: artifacts::open(&db, &args.artifacts).await?,
            db,
            name: args.name.clone().unwrap_or_else(default_name),
            program: match &args.child {
                Some(program) => program.clone(),
                None => trainer()?,
            },
            vmstat: PathBuf::from("/proc/vmstat"),
            lease: Duration::from_secs(args.lease_seconds.max(1)),
            keep_checkpoints: Duration::from_secs(u64::from(args.keep_checkpoints) * 24 * 60 * 60),
        };
        if let Some(listen) = &args.metrics_listen {
            let address = metrics().serve(listen, &worker.db)?;
            tracing::info!("metrics are on http://{address}/metrics");
        }
        let stop = stop_signal(args.exit_with_stdin)?;
        worker.work(stop, args.once, Duration::from_millis(args.poll_ms)).await
    })
}

fn default_name() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("{}-{}", host.trim(), std::process::id())
}

/// Turns true at Ctrl-C or SIGTERM, or when stdin closes.
fn stop_signal(with_stdin: bool) -> anyhow::Result<watch::Receiver<bool>> {
    let (sender, receiver) = watch::channel(false);
    let (mut interrupt, mut terminate) =
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = stdin_closed(), if with_stdin => {}
        }
        sender.send_replace(true);
        // Kept until the process ends: a closed channel would look like no signal at all.
        sender.closed().await;
    });
    Ok(receiver)
}

/// On a thread of its own: the runtime would wait for one of its own threads that reads.
async fn stdin_closed() {
    let (closed, waits) = oneshot::channel();
    std::thread::spawn(move || {
        let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
        let _ = closed.send(());
    });
    let _ = waits.await;
}

impl Worker {
    /// Claims and executes runs until `stop` turns true (with `once`, one run at the most).
    pub async fn work(
        &self,
        mut stop: watch::Receiver<bool>,
        once: bool,
        poll: Duration,
    ) -> anyhow::Result<()> {
        tracing::info!("worker {} waits for runs", self.name);
        let mut pruned = None;
        while !*stop.borrow() {
            prune::now_and_then(self, &mut pruned).await;
            match self.claim().await {
                Ok(Some(run)) => {
                    self.execute(&run, stop.clone()).await;
                    if !once {
                        continue;
                    }
                }
                Ok(None) => {}
                Err(error) if once => return Err(error.into()),
                Err(error) => tracing::warn!("cannot look for runs: {error}"),
            }
            if once {
                break;
            }
            tokio::select! {
                () = tokio::time::sleep(poll) => {}
                _ = stop.changed() => {}
            }
        }
        Ok(())
    }

    /// Takes the oldest run that waits for a worker, if there is one.
    pub async fn claim(&self) -> Result<Option<run::Model>, DbErr> {
        let next = claim::next(&self.db, &self.name, self.lease).await?;
        metrics().looked();
        Ok(next)
    }

    /// Brings one claimed run to an end, whatever happens, and writes that end down.
    pub async fn execute(&self, run: &run::Model, stop: watch::Receiver<bool>) -> RunEnding {
        tracing::info!(run = %run.id, attempt = run.attempt, "{:?} begins", run.kind);
        let _active = metrics().begins(run.kind);
        let lease = claim::RunLease::keep(self.db.clone(), run, self.lease);
        let ended = match self.attempt(run, &lease, stop).await {
            Ok(ended) => ended,
            // The next try finds the database again: the run itself has done nothing wrong.
            Err(error) if is_of_a_database_away(&error) => {
                RunEnding::Interrupted(message_of(&error))
            }
            Err(error) => RunEnding::Failed(message_of(&error)),
        };
        match store::end(&self.db, run, &ended).await {
            Ok(true) => self.clean_up(run, &ended),
            Ok(false) => {
                tracing::warn!(run = %run.id, "the lease ran out, or the run was ended: nothing was written");
            }
            // The lease runs out, and the next worker brings the run to its end.
            Err(error) => tracing::error!(run = %run.id, "cannot write how it ended: {error}"),
        }
        metrics().ended(run.kind, &ended);
        tracing::info!(run = %run.id, attempt = run.attempt, "{ended}");
        ended
    }

    async fn attempt(
        &self,
        run: &run::Model,
        lease: &claim::RunLease,
        stop: watch::Receiver<bool>,
    ) -> anyhow::Result<RunEnding> {
        if run.cancel_requested {
            return Ok(RunEnding::Cancelled);
        }
        if let Some(reason) = claim::give_up_reason(run) {
            return Ok(RunEnding::Failed(reason));
        }
        let inputs = command::RunInputs::load(&self.db, &self.artifacts, run).await?;
        let folder = output::attempt_folder(&self.artifacts, run)?;
        let finished = match folder.summary(run.kind) {
            Some(summary) => summary,
            None => {
                let arguments = command::arguments(run, &inputs, &folder)?;
                match child::run(self, run, &arguments, &folder, lease, stop).await? {
                    child::ChildEnd::Finished(summary) => summary,
                    child::ChildEnd::Other(ended) => return Ok(ended),
                }
            }
        };
        if let Err(error) = folder.keep_summary(&finished) {
            tracing::warn!(run = %run.id, "cannot note that it is done: {error}");
        }
        let made = output::keep(&self.artifacts, run, &folder).await?;
        let succeeded = store::succeed(&self.db, run, &inputs, &finished, &made).await?;
        Ok(if succeeded { RunEnding::Succeeded } else { RunEnding::Fenced })
    }

    /// Of a run that has succeeded nothing is kept but its output; of one that failed or was
    /// cancelled what it can be continued from: the newest checkpoint, or what has arrived.
    fn clean_up(&self, run: &run::Model, ended: &RunEnding) {
        let tidied = match ended {
            RunEnding::Succeeded => output::remove_folder(&self.artifacts, run.id),
            RunEnding::Failed(_) | RunEnding::Cancelled => {
                output::keep_what_can_be_continued(&self.artifacts, run)
            }
            RunEnding::Interrupted(_) | RunEnding::Released | RunEnding::Fenced => return,
        };
        if let Err(error) = tidied {
            tracing::warn!(run = %run.id, "cannot remove what it left behind: {error}");
        }
    }
}

/// Whether something came of nothing but a database that does not answer now.
fn is_of_a_database_away(error: &anyhow::Error) -> bool {
    error.chain().filter_map(|cause| cause.downcast_ref::<DbErr>()).any(is_unavailable)
}
