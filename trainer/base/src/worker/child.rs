//! Runs the child process and listens to it.
//!
//! The child lives as long as its stdin: it ends when this process does, however that happens.

use super::{
    Ended, Worker,
    claim::{Hold, Lease},
    death::{Death, n_oom_kills},
    output::AttemptFolder,
    store,
};
use crate::{
    errors::WithMessage,
    settings::{RunOutput, run_command},
};
use anyhow::Context;
use entity::{
    message,
    message::KeyedMessage,
    report::{LogLevel, RunReport, RunSummary},
    run,
};
use std::{
    ffi::OsString,
    process::{ExitStatus, Stdio},
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    sync::watch,
    task::JoinHandle,
    time::{Instant, MissedTickBehavior, interval, sleep_until, timeout},
};

/// Events are written together, this far apart at the least.
const FLUSH_EVERY: Duration = Duration::from_millis(200);

/// How long a child that was asked to stop may go on before it writes its last checkpoint: together
/// with the time until a request is seen, a person waits two seconds at the most.
const STOP_PATIENCE: Duration = Duration::from_millis(1300);

/// How much longer it may go on where steps would be lost that no checkpoint holds.
const WORK_PATIENCE: Duration = Duration::from_secs(15);

/// How much longer it may take over a checkpoint that it is writing.
const SAVE_PATIENCE: Duration = Duration::from_secs(30);

/// How long a child that has closed its stdout may take to end.
const EXIT_PATIENCE: Duration = Duration::from_secs(30);

/// As much of the end of stderr is kept as a person would read.
const STDERR_KEPT: usize = 8 * 1024;

/// How the child ended: with its summary, or otherwise.
pub(super) enum End {
    Finished(RunSummary),
    Other(Ended),
}

/// Why the child was asked to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    Cancel,
    Shutdown,
    Fenced,
}

pub(super) async fn run(
    worker: &Worker,
    run: &run::Model,
    arguments: &[OsString],
    folder: &AttemptFolder,
    lease: &Lease,
    shutdown: watch::Receiver<bool>,
) -> anyhow::Result<End> {
    let oom_kills = n_oom_kills(&worker.vmstat);
    let mut child = spawn(worker, arguments)?;
    let stderr = tokio::spawn(tail(child.stderr.take().context("the child has no stderr")?));
    let stdout = child.stdout.take().context("the child has no stdout")?;
    let mut listening = Listening {
        worker,
        run,
        folder,
        lines: BufReader::new(stdout).lines(),
        said: Said::default(),
        stopping: None,
    };
    listening.flush(true).await;
    listening.until_silent(&mut child, lease.watch(), shutdown).await;
    let status = match timeout(EXIT_PATIENCE, child.wait()).await {
        Ok(status) => status,
        Err(_) => {
            // It has said its last word and yet does not end.
            let _ = child.start_kill();
            child.wait().await
        }
    };
    let status = status
        .with_message(|| message!("worker-cannot-wait", "cannot wait for the training process"))?;
    Ok(listening.end(status, oom_kills, stderr).await)
}

fn spawn(worker: &Worker, arguments: &[OsString]) -> anyhow::Result<Child> {
    let mut command = Command::new(&worker.program);
    command
        .args(arguments)
        .env_remove("DATABASE_URL")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        // Ctrl-C in a terminal is for the worker, which then stops the child in its own way.
        .process_group(0);
    command.spawn().with_message(|| {
        let program = worker.program.display();
        message!("worker-cannot-start", "cannot start {program}", program = program)
    })
}

/// It ends after the step that it is at, with a checkpoint.
fn ask_to_stop(child: &Child) {
    let id = child.id().and_then(|id| rustix::process::Pid::from_raw(id.cast_signed()));
    if let Some(id) = id {
        // Already gone is what is wanted.
        let _ = rustix::process::kill_process(id, rustix::process::Signal::TERM);
    }
}

/// The end of a stream as text.
async fn tail(mut stream: impl AsyncRead + Unpin) -> String {
    let mut kept = Vec::new();
    let mut block = [0; 4096];
    while let Ok(n @ 1..) = stream.read(&mut block).await {
        kept.extend_from_slice(&block[..n]);
        if kept.len() > 2 * STDERR_KEPT {
            kept.drain(..kept.len() - STDERR_KEPT);
        }
    }
    String::from_utf8_lossy(&kept).into_owned()
}

/// What the child has said and is not written yet.
#[derive(Default)]
struct Said {
    events: Vec<RunReport>,
    /// The last message of level error, and why nothing came of it.
    error: Option<KeyedMessage>,
    summary: Option<RunSummary>,
    /// Steps done.
    step: u64,
}

impl Said {
    fn hear(&mut self, line: &str) {
        match serde_json::from_str(line) {
            Ok(event) => self.take(event),
            Err(_) => match serde_json::from_str(line) {
                Ok(summary) => self.summary = Some(summary),
                Err(_) => {
                    let message = KeyedMessage::plain(line);
                    self.take(RunReport::Log { level: LogLevel::Info, message });
                }
            },
        }
    }

    fn take(&mut self, event: RunReport) {
        match &event {
            // Within one batch only the newest progress says anything.
            RunReport::Progress { step, .. } => {
                self.step = *step;
                self.events.retain(|event| !matches!(event, RunReport::Progress { .. }));
            }
            RunReport::Log { level: LogLevel::Error, message } => {
                self.error = Some(message.clone());
            }
            // Told as the run's end, not as an event before it.
            RunReport::Failed { message } => {
                self.error = Some(message.clone());
                return;
            }
            _ => {}
        }
        self.events.push(event);
    }
}

struct Listening<'a> {
    worker: &'a Worker,
    run: &'a run::Model,
    folder: &'a AttemptFolder,
    lines: Lines<BufReader<ChildStdout>>,
    said: Said,
    stopping: Option<Stop>,
}

impl Listening<'_> {
    /// Reads and writes until the child closes its stdout, which is when it ends.
    async fn until_silent(
        &mut self,
        child: &mut Child,
        mut hold: watch::Receiver<Hold>,
        mut shutdown: watch::Receiver<bool>,
    ) {
        let mut flush = interval(FLUSH_EVERY);
        flush.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut kill_at = None;
        let (mut may_save, mut may_work, mut told) = (true, true, None);
        loop {
            tokio::select! {
                line = self.lines.next_line() => match line {
                    Ok(Some(line)) => self.said.hear(&line),
                    Ok(None) => break,
                    // Not text: the child is broken, and its exit status will say how.
                    Err(_) => kill_at = Some(Instant::now()),
                },
                _ = flush.tick() => self.flush(false).await,
                () = sleep_until(kill_at.unwrap_or_else(Instant::now)), if kill_at.is_some() => {
                    let is_fenced = self.stopping == Some(Stop::Fenced);
                    if !is_fenced && self.folder.is_saving() && std::mem::take(&mut may_save) {
                        kill_at = Some(Instant::now() + SAVE_PATIENCE);
                    } else if !is_fenced && self.would_lose_steps() && std::mem::take(&mut may_work) {
                        kill_at = Some(Instant::now() + WORK_PATIENCE);
                    } else {
                        // Already gone is what is wanted.
                        let _ = child.start_kill();
                        drop(child.stdin.take());
                        kill_at = None;
                    }
                }
                Ok(()) = hold.changed() => match *hold.borrow_and_update() {
                    Hold::Kept => {}
                    Hold::CancelRequested => self.stop(Stop::Cancel),
                    Hold::Lost => self.stop(Stop::Fenced),
                },
                Ok(()) = shutdown.changed() => {}
            }
            if *shutdown.borrow() {
                self.stop(Stop::Shutdown);
            }
            if self.stopping != told {
                told = self.stopping;
                let patience = match told {
                    Some(Stop::Fenced) => Duration::ZERO,
                    _ => STOP_PATIENCE,
                };
                ask_to_stop(child);
                kill_at = Some(Instant::now() + patience);
            }
        }
        self.flush(false).await;
    }

    /// Whether it has done steps that its newest checkpoint does not hold.
    fn would_lose_steps(&self) -> bool {
        if run_command(self.run.kind).output == RunOutput::Base {
            return false; // What has arrived is there.
        }
        let checkpoint = self.worker.artifacts.newest_checkpoint(self.run.id);
        self.said.step > checkpoint.map_or(0, |checkpoint| checkpoint.step)
    }

    /// The first reason to stop stays, but for the loss of the run.
    fn stop(&mut self, why: Stop) {
        if self.stopping.is_none() || why == Stop::Fenced {
            self.stopping = Some(why);
        }
    }

    /// Writes what was said. When the database does not answer it is kept for the next time: the
    /// lease tells when that has gone on for too long.
    async fn flush(&mut self, even_if_empty: bool) {
        if self.stopping == Some(Stop::Fenced) || (self.said.events.is_empty() && !even_if_empty) {
            return;
        }
        match store::append(&self.worker.db, self.run, &self.said.events).await {
            Ok(true) => self.said.events.clear(),
            Ok(false) => self.stop(Stop::Fenced),
            Err(error) => {
                tracing::warn!(run = %self.run.id, "cannot write events, keeping them: {error}");
            }
        }
    }

    async fn end(
        self,
        status: ExitStatus,
        oom_kills: Option<u64>,
        stderr: JoinHandle<String>,
    ) -> End {
        let summary = self.said.summary.clone().filter(|_| status.success());
        match (self.stopping, summary) {
            (Some(Stop::Fenced), _) => End::Other(Ended::Fenced),
            // Whoever wanted to stop it came too late: it is done.
            (_, Some(summary)) => End::Finished(summary),
            (Some(Stop::Cancel), None) => End::Other(Ended::Cancelled),
            (Some(Stop::Shutdown), None) => End::Other(Ended::Released),
            (None, None) => {
                let death = Death {
                    status,
                    oom_kills: (oom_kills, n_oom_kills(&self.worker.vmstat)),
                    reported: self.said.error.as_ref(),
                    stderr: &stderr.await.unwrap_or_default(),
                    step: self.said.step,
                };
                End::Other(death.verdict(self.run))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn of_several_progress_reports_in_a_batch_the_newest_is_kept_and_other_events_stay_in_order() {
        let mut said = Said::default();
        for step in 1..=3 {
            said.hear(
                &json!({"event": "progress", "step": step, "n_steps": 3, "fraction": 0.5,
                "tokens_per_second": null, "seconds_left": null})
                .to_string(),
            );
            said.hear(&json!({"event": "metrics", "metrics": {"step": step}}).to_string());
        }
        assert_eq!(said.events.len(), 4);
        assert!(matches!(said.events[2], RunReport::Progress { step: 3, .. }), "{:?}", said.events);
    }

    #[test]
    fn why_nothing_came_of_it_is_kept_with_its_key_and_is_no_event() {
        let why = message!("data-no-rows", "{file} has no rows", file = "train.jsonl");
        let mut said = Said::default();
        said.hear(
            &serde_json::to_string(&RunReport::Failed { message: why.clone() }).expect("a line"),
        );
        assert_eq!((said.events.len(), said.error), (0, Some(why)));
    }

    #[test]
    fn the_summary_is_known_by_its_shape_and_any_other_line_is_a_log_line() {
        let mut said = Said::default();
        said.hear("Killing time");
        said.hear(&json!({"kind": "sft", "steps": 1, "tokens": 2, "seconds": 0.5, "tokens_per_second": 4.0,
            "peak_rss_mb": 1, "final": {}}).to_string());
        assert_eq!(
            said.events,
            [RunReport::Log {
                level: LogLevel::Info,
                message: KeyedMessage::plain("Killing time")
            }]
        );
        assert_eq!(said.summary.unwrap().tokens, 2);
    }
}
