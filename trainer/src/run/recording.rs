//! For tests: runs a verb and keeps what it reports.

use anyhow::Result;
use entity::report::RunReport;
use serde_json::{Map, Value};
use std::ops::ControlFlow;
use trainer_base::{
    job::{Report, VerbOutcome},
    progress::EVERY,
};

/// Runs a verb to the end, or to the break that it is asked for once it has reported the metrics of
/// step `until`.
pub(crate) fn until(
    until: Option<u64>,
    verb: impl FnOnce(&mut Report) -> Result<VerbOutcome>,
) -> (Vec<RunReport>, VerbOutcome) {
    let mut events = Vec::new();
    let outcome = verb(&mut |event| {
        let stop = matches!(&event, RunReport::Metrics { metrics }
            if until.is_some() && metrics["step"].as_u64() == until);
        events.push(event);
        if stop { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    (events, outcome.unwrap())
}

/// Runs a verb until the `nth` time that it reports its progress after the metrics of `step`,
/// which is within the next step.
pub(crate) fn within_step(
    step: u64,
    nth: usize,
    verb: impl FnOnce(&mut Report) -> Result<VerbOutcome>,
) -> (Vec<RunReport>, VerbOutcome) {
    let (mut events, mut n_reports) = (Vec::new(), None);
    let outcome = verb(&mut |event| {
        match &event {
            RunReport::Metrics { metrics } if metrics["step"] == step => n_reports = Some(0),
            RunReport::Progress { .. } => n_reports = n_reports.map(|n| n + 1),
            _ => {}
        }
        if n_reports.is_some() {
            std::thread::sleep(EVERY); // so that it reports the next time, too
        }
        events.push(event);
        let stop = n_reports.is_some_and(|n| n >= nth);
        if stop { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    (events, outcome.unwrap())
}

pub(crate) fn metrics(events: &[RunReport]) -> Vec<Map<String, Value>> {
    let metrics = events.iter().filter_map(|event| match event {
        RunReport::Metrics { metrics } => Some(metrics.clone()),
        _ => None,
    });
    metrics.collect()
}
