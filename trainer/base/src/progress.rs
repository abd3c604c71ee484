//! How far a run is, how fast it goes, and its summary at the end.

use crate::job::Report;
use entity::message::KeyedMessage;
use entity::report::{LogLevel, RunReport, RunSummary};
use serde_json::{Map, Value};
use std::{
    fs,
    ops::ControlFlow,
    time::{Duration, Instant},
};

/// Seconds between two progress events.
pub const EVERY: Duration = Duration::from_millis(500);

/// Counts work done against work planned, in any unit that is about proportional to time.
#[derive(Debug)]
pub struct RunProgress {
    n_steps: u64,
    planned: f64,
    done: f64,
    /// Done by an earlier process of the same run.
    done_before: f64,
    tokens: u64,
    tokens_before: u64,
    /// Work and tokens when the last step ended.
    marked: (f64, u64),
    seconds_before: f64,
    /// Work is bytes that arrive, not tokens.
    counts_bytes: bool,
    started: Instant,
    /// Time since then that went into something else than work, and how much more of it will.
    beside: Duration,
    beside_ahead: Duration,
    reported_at: Option<Instant>,
}

/// A step of work that is counted in bytes.
const MEGABYTE: f64 = 1e6;

impl RunProgress {
    /// `planned` units of work in all, over `n_steps` steps.
    pub fn new(n_steps: u64, planned: f64) -> Self {
        Self {
            n_steps,
            planned,
            done: 0.0,
            done_before: 0.0,
            tokens: 0,
            tokens_before: 0,
            marked: (0.0, 0),
            seconds_before: 0.0,
            counts_bytes: false,
            started: Instant::now(),
            beside: Duration::ZERO,
            beside_ahead: Duration::ZERO,
            reported_at: None,
        }
    }

    /// `planned` bytes in all; a step is a megabyte.
    pub fn of_bytes(planned: u64) -> Self {
        let n_steps = (planned as f64 / MEGABYTE).ceil().max(1.0) as u64;
        Self { counts_bytes: true, ..Self::new(n_steps, planned as f64) }
    }

    /// Counts bytes that arrived, for [`Self::of_bytes`].
    pub fn arrive(&mut self, bytes: u64, report: &mut Report) -> ControlFlow<()> {
        let done = self.done + bytes as f64;
        let step = if done < self.planned { (done / MEGABYTE) as u64 } else { self.n_steps };
        self.advance(step, bytes as f64, 0, report)
    }

    /// Takes over what an earlier process of the same run did.
    pub fn resume(&mut self, done: f64, tokens: u64, seconds: f64) {
        (self.done, self.done_before) = (done, done);
        (self.tokens, self.tokens_before) = (tokens, tokens);
        self.seconds_before = seconds;
        self.mark();
    }

    /// No more is to come after `step` steps.
    pub fn end_here(&mut self, step: u64) {
        self.n_steps = step;
        self.planned = self.done;
        self.beside_ahead = Duration::ZERO;
    }

    /// A step is done.
    pub fn mark(&mut self) {
        self.marked = (self.done, self.tokens);
    }

    /// The step under way is given up: what it counted is taken back.
    pub fn rewind(&mut self) {
        (self.done, self.tokens) = self.marked;
    }

    /// Counts time that was no work, and so says nothing about how fast the work goes; `ahead` is how
    /// much of it is known to come.
    pub fn set_aside(&mut self, took: Duration, ahead: Duration) {
        self.beside += took;
        self.beside_ahead = ahead;
    }

    /// Counts `work`, of which `tokens` were trained on, and tells it from time to time.
    pub fn advance(
        &mut self,
        step: u64,
        work: f64,
        tokens: u64,
        report: &mut Report,
    ) -> ControlFlow<()> {
        self.done += work;
        self.tokens += tokens;
        if self.reported_at.is_some_and(|reported_at| reported_at.elapsed() < EVERY)
            && step < self.n_steps
        {
            return ControlFlow::Continue(());
        }
        self.reported_at = Some(Instant::now());
        let seconds = self.started.elapsed().saturating_sub(self.beside).as_secs_f64();
        let work_here = self.done - self.done_before;
        let is_under_way = work_here > 0.0 && seconds > 0.0;
        let work_left = (self.planned - self.done).max(0.0) * seconds / work_here;
        let left = work_left + self.beside_ahead.as_secs_f64();
        let tokens = (self.tokens - self.tokens_before) as f64;
        report(RunReport::Progress {
            step,
            n_steps: self.n_steps,
            fraction: if self.planned > 0.0 { (self.done / self.planned).min(1.0) } else { 1.0 },
            // Work that is not measured in tokens has no such speed.
            tokens_per_second: (is_under_way && tokens > 0.0).then_some(tokens / seconds),
            bytes_per_second: self.counts_bytes.then_some(work_here / seconds.max(1e-9)),
            seconds_left: is_under_way.then_some(left),
        })
    }

    /// Tokens trained on, over all processes of the run.
    pub fn tokens(&self) -> u64 {
        self.tokens
    }

    /// Work done, over all processes of the run.
    pub fn done(&self) -> f64 {
        self.done
    }

    /// Seconds of work, over all processes of the run.
    pub fn seconds(&self) -> f64 {
        self.seconds_before + self.started.elapsed().as_secs_f64()
    }

    /// The last line on stdout.
    pub fn summary(&self, kind: &str, steps: u64, last: Map<String, Value>) -> RunSummary {
        let seconds = self.seconds();
        RunSummary {
            rows: Vec::new(),
            kind: kind.into(),
            steps,
            tokens: self.tokens,
            seconds,
            tokens_per_second: self.tokens as f64 / seconds.max(1e-9),
            peak_rss_mb: peak_rss_mb(),
            expected_mb: None,
            last,
        }
    }
}

/// The most memory that the process has held, in MB of 10⁶ bytes (`VmHWM` of /proc/self/status).
pub fn peak_rss_mb() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kib = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .and_then(|value| value.trim().split(' ').next()?.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024 / 1_000_000
}

/// A sentence for a person. Whoever asked to stop meanwhile is asked again at the next step.
pub fn say(report: &mut Report, level: LogLevel, message: KeyedMessage) {
    let _ = report(RunReport::Log { level, message });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fractions(progress: &mut RunProgress, steps: &[(u64, f64)]) -> Vec<f64> {
        let mut events = Vec::new();
        for &(step, work) in steps {
            progress.reported_at = None;
            let _ = progress.advance(step, work, 10, &mut |event| {
                events.push(event);
                ControlFlow::Continue(())
            });
        }
        let fraction = |event| match event {
            RunReport::Progress { fraction, .. } => fraction,
            other => panic!("not progress: {other:?}"),
        };
        events.into_iter().map(fraction).collect()
    }

    #[test]
    fn the_peak_counts_what_was_freed() {
        drop(std::hint::black_box(vec![1u8; 50_000_000]));
        assert!(peak_rss_mb() >= 50);
    }

    #[test]
    fn the_fraction_is_of_the_work_planned_whoever_did_it() {
        let mut progress = RunProgress::new(4, 100.0);
        assert_eq!(fractions(&mut progress, &[(1, 25.0), (2, 25.0)]), [0.25, 0.5]);
        let mut resumed = RunProgress::new(4, 100.0);
        resumed.resume(50.0, 20, 7.0);
        assert_eq!(fractions(&mut resumed, &[(3, 25.0), (4, 25.0)]), [0.75, 1.0]);
        assert_eq!(resumed.tokens(), 40);
        assert!(resumed.seconds() >= 7.0);
    }

    #[test]
    fn speed_and_time_left_are_those_of_this_process() {
        let mut progress = RunProgress::new(100, 100.0);
        progress.resume(50.0, 0, 0.0);
        let mut reported = |step, work, tokens| {
            progress.reported_at = None;
            let mut reported = None;
            let _ = progress.advance(step, work, tokens, &mut |event| {
                reported = Some(event);
                ControlFlow::Continue(())
            });
            let Some(RunReport::Progress { fraction, tokens_per_second, seconds_left, .. }) =
                reported
            else {
                panic!("a progress event");
            };
            (fraction, tokens_per_second, seconds_left)
        };
        assert_eq!(reported(50, 0.0, 0), (0.5, None, None));
        let (_, tokens_per_second, seconds_left) = reported(75, 25.0, 300);
        assert!(tokens_per_second.is_some() && seconds_left.is_some());
        let summary = progress.summary("sft", 100, Map::new());
        assert_eq!((summary.tokens, summary.steps), (300, 100));
        assert!(summary.peak_rss_mb > 0 && summary.seconds > 0.0);
    }

    #[test]
    fn time_beside_the_work_makes_no_work_slower_and_is_left_where_it_is_to_come() {
        let mut progress = RunProgress::new(10, 100.0);
        let ago = |seconds| Instant::now() - Duration::from_secs(seconds);
        let left = |progress: &mut RunProgress, step| {
            progress.reported_at = None;
            let mut told = None;
            let _ = progress.advance(step, 10.0, 5, &mut |event| {
                told = Some(event);
                ControlFlow::Continue(())
            });
            let Some(RunReport::Progress { seconds_left, tokens_per_second, .. }) = told else {
                panic!("a progress event");
            };
            (seconds_left.unwrap().round(), tokens_per_second.unwrap().round())
        };
        // A second of work after 60 of something else, 20 of which come again at the end.
        progress.started = ago(61);
        progress.set_aside(Duration::from_secs(60), Duration::from_secs(20));
        assert_eq!(left(&mut progress, 1), (9.0 + 20.0, 5.0));
        progress.started = ago(82);
        progress.set_aside(Duration::from_secs(20), Duration::ZERO);
        assert_eq!(left(&mut progress, 2), (8.0, 5.0));
        assert!(progress.seconds() >= 82.0, "all of it is time of the run");
    }

    #[test]
    fn bytes_are_told_as_megabytes_of_megabytes_and_the_last_one_is_told() {
        let mut reported = Vec::new();
        let mut progress = RunProgress::of_bytes(2_500_000);
        progress.resume(1_200_000.0, 0, 0.0);
        for bytes in [0, 100, 1_299_900] {
            let _ = progress.arrive(bytes, &mut |event| {
                let RunReport::Progress { step, n_steps, bytes_per_second, .. } = event else {
                    panic!("a progress event");
                };
                reported.push((step, n_steps, bytes_per_second.is_some()));
                ControlFlow::Continue(())
            });
        }
        assert_eq!(reported, [(1, 3, true), (3, 3, true)]);
    }

    #[test]
    fn events_do_not_come_faster_than_a_person_reads_but_the_last_step_is_told() {
        let mut progress = RunProgress::new(1000, 1000.0);
        let mut n_events = 0;
        for step in 1..=1000 {
            let _ = progress.advance(step, 1.0, 1, &mut |_| {
                n_events += 1;
                ControlFlow::Continue(())
            });
        }
        assert!((2..10).contains(&n_events), "{n_events} events");
    }
}
