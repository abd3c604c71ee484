//! Runs the child process and listens to it.
//!
//! The child ends when its stdin closes, and so when this process ends, however that happens.

use super::{
    RunEnding, Worker,
    claim::{LeaseHold, RunLease},
    death::{ProcessDeath, n_oom_kills},
    output::AttemptFolder,
    store,
};
use crate::{
    child_environment::{self, ChildPurpose},
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
pub(super) enum ChildEnd {
    Finished(RunSummary),
    Other(RunEnding),
}

/// Why the child was asked to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum StopReason {
    Cancel,
    Shutdown,
    Fenced,
}

pub(super) async fn run(
    worker: &Worker,
    run: &run::Model,
    arguments: &[OsString],
    folder: &AttemptFolder,
    lease: &RunLease,
    shutdown: watch::Receiver<bool>,
) -> anyhow::Result<ChildEnd> {
    let oom_kills = n_oom_kills(&worker.vmstat);
    let purpose = match run_command(run.kind).output {
        RunOutput::Base => ChildPurpose::Fetching,
        RunOutput::Model { .. } | RunOutput::File(_) => ChildPurpose::Computing,
    };
    let mut child = spawn(worker, arguments, purpose)?;
    let stderr = tokio::spawn(tail(child.stderr.take().context("the child has no stderr")?));
    let stdout = child.stdout.take().context("the child has no stdout")?;
    let mut listening = ChildWatch {
        worker,
        run,
        folder,
        lines: BufReader::new(stdout).lines(),
        output: ChildOutput::default(),
        stopping: None,
    };
    listening.flush(true).await;
    listening.until_silent(&mut child, lease.watch(), shutdown).await;
    let status = match timeout(EXIT_PATIENCE, child.wait()).await {
        Ok(status) => status,
        Err(_) => {
            // It has closed its stdout and yet does not end.
            let _ = child.start_kill();
            child.wait().await
        }
    };
    let status = status
        .with_message(|| message!("worker-cannot-wait", "cannot wait for the training process"))?;
    Ok(listening.end(status, oom_kills, stderr).await)
}

fn spawn(worker: &Worker, arguments: &[OsString], purpose: ChildPurpose) -> anyhow::Result<Child> {
    let mut command = Command::new(&worker.program);
    command
        .args(arguments)
        .env_clear()
        .envs(child_environment::inherited(purpose))
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

/// What the child has reported and is not written yet.
#[derive(Default)]
struct ChildOutput {
    events: Vec<RunReport>,
    /// The last message of level error, and why nothing came of it.
    error: Option<KeyedMessage>,
    summary: Option<RunSummary>,
    /// Steps done.
    step: u64,
}

impl ChildOutput {
    fn read_line(&mut self, line: &str) {
        match serde_json::from_str(line) {
            Ok(event) => self.add(event),
            Err(_) => match serde_json::from_str(line) {
                Ok(summary) => self.summary = Some(summary),
                Err(_) => {
                    let message = KeyedMessage::plain(line);
                    self.add(RunReport::Log { level: LogLevel::Info, message });
                }
            },
        }
    }

    fn add(&mut self, event: RunReport) {
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

struct ChildWatch<'a> {
    worker: &'a Worker,
    run: &'a run::Model,
    folder: &'a AttemptFolder,
    lines: Lines<BufReader<ChildStdout>>,
    output: ChildOutput,
    stopping: Option<StopReason>,
}

impl ChildWatch<'_> {
    /// Reads and writes until the child closes its stdout, which is when it ends.
    async fn until_silent(
        &mut self,
        child: &mut Child,
        mut hold: watch::Receiver<LeaseHold>,
        mut shutdown: watch::Receiver<bool>,
    ) {
        let mut flush = interval(FLUSH_EVERY);
        flush.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut kill_at = None;
        let (mut may_save, mut may_work, mut handled) = (true, true, None);
        loop {
            tokio::select! {
                line = self.lines.next_line() => match line {
                    Ok(Some(line)) => self.output.read_line(&line),
                    Ok(None) => break,
                    // Not text: the child is broken, and its exit status will say how.
                    Err(_) => kill_at = Some(Instant::now()),
                },
                _ = flush.tick() => self.flush(false).await,
                () = sleep_until(kill_at.unwrap_or_else(Instant::now)), if kill_at.is_some() => {
                    let is_fenced = self.stopping == Some(StopReason::Fenced);
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
                    LeaseHold::Kept => {}
                    LeaseHold::CancelRequested => self.stop(StopReason::Cancel),
                    LeaseHold::Lost => self.stop(StopReason::Fenced),
                },
                Ok(()) = shutdown.changed() => {}
            }
            if *shutdown.borrow() {
                self.stop(StopReason::Shutdown);
            }
            if self.stopping != handled {
                handled = self.stopping;
                let patience = match handled {
                    Some(StopReason::Fenced) => Duration::ZERO,
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
        self.output.step > checkpoint.map_or(0, |checkpoint| checkpoint.step)
    }

    /// The first reason to stop stays, but for the loss of the run.
    fn stop(&mut self, why: StopReason) {
        if self.stopping.is_none() || why == StopReason::Fenced {
            self.stopping = Some(why);
        }
    }

    /// Writes what was reported. When the database does not answer it is kept for the next time: the
    /// lease tells when that has gone on for too long.
    async fn flush(&mut self, even_if_empty: bool) {
        if self.stopping == Some(StopReason::Fenced)
            || (self.output.events.is_empty() && !even_if_empty)
        {
            return;
        }
        match store::append(&self.worker.db, self.run, &self.output.events).await {
            Ok(true) => self.output.events.clear(),
            Ok(false) => self.stop(StopReason::Fenced),
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
    ) -> ChildEnd {
        let summary = self.output.summary.clone().filter(|_| status.success());
        match (self.stopping, summary) {
            (Some(StopReason::Fenced), _) => ChildEnd::Other(RunEnding::Fenced),
            // Whoever wanted to stop it came too late: it is done.
            (_, Some(summary)) => ChildEnd::Finished(summary),
            (Some(StopReason::Cancel), None) => ChildEnd::Other(RunEnding::Cancelled),
            (Some(StopReason::Shutdown), None) => ChildEnd::Other(RunEnding::Released),
            (None, None) => {
                let death = ProcessDeath {
                    status,
                    oom_kills: (oom_kills, n_oom_kills(&self.worker.vmstat)),
                    reported_error: self.output.error.as_ref(),
                    stderr: &stderr.await.unwrap_or_default(),
                    step: self.output.step,
                };
                ChildEnd::Other(death.verdict(self.run))
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
        let mut output = ChildOutput::default();
        for step in 1..=3 {
            output.read_line(
                &json!({"event": "progress", "step": step, "n_steps": 3, "fraction": 0.5,
                "tokens_per_second": null, "seconds_left": null})
                .to_string(),
            );
            output.read_line(&json!({"event": "metrics", "metrics": {"step": step}}).to_string());
        }
        assert_eq!(output.events.len(), 4);
        assert!(
            matches!(output.events[2], RunReport::Progress { step: 3, .. }),
            "{:?}",
            output.events
        );
    }

    #[test]
    fn why_nothing_came_of_it_is_kept_with_its_key_and_is_no_event() {
        let why = message!("data-no-rows", "{file} has no rows", file = "train.jsonl");
        let failed = RunReport::Failed { message: why.clone() };
        let mut output = ChildOutput::default();
        output.read_line(&serde_json::to_string(&failed).expect("an event serialises"));
        assert_eq!((output.events.len(), output.error), (0, Some(why)));
    }

    #[test]
    fn the_summary_is_known_by_its_shape_and_any_other_line_is_a_log_line() {
        let mut output = ChildOutput::default();
        output.read_line("Killing time");
        output.read_line(&json!({"kind": "sft", "steps": 1, "tokens": 2, "seconds": 0.5, "tokens_per_second": 4.0,
            "peak_rss_mb": 1, "final": {}}).to_string());
        assert_eq!(
            output.events,
            [RunReport::Log {
                level: LogLevel::Info,
                message: KeyedMessage::plain("Killing time")
            }]
        );
        assert_eq!(output.summary.unwrap().tokens, 2);
    }
}
