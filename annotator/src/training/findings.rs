//! What a run's numbers mean, in a sentence each: is it learning, is it drifting?
//!
//! The thresholds are rules of thumb, and the sentences say them. A verdict rests on rows that were
//! kept from training, and on its interval; what was measured before the first step is none.

mod pairs;
mod policy;

pub use pairs::{
    by_heart, calibration, good_above_bad, held_out_accuracy, judges_length, pair_loss,
};
pub use policy::{groups_alike, policy_drift, policy_gain};

use crate::training::curves::short;
use crate::training::run_digest::{MetricSeries, RunDigest};
use entity::row_use::LeftOutReason;
use std::cmp::Ordering;

/// A held-out loss that moved by less than this part has not moved.
const LOSS_FLAT: f64 = 0.01;

/// A held-out loss this part above its lowest is rising again.
const LOSS_ROSE: f64 = 0.02;

/// Held-out rows below which their loss says little of others.
const MIN_HELD_OUT: u64 = 10;

/// Points below which a noisy metric says nothing.
const MIN_POINTS: usize = 8;

/// How a finding is to be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FindingTone {
    Good,
    /// Worth a look.
    Watch,
    Plain,
}

/// A figure and what it means; title and sentence are Fluent keys.
#[derive(Debug, PartialEq)]
pub struct RunFinding {
    pub title: &'static str,
    pub tone: FindingTone,
    /// From the first measurement to now.
    pub figure: String,
    pub says: &'static str,
    pub args: Vec<(&'static str, String)>,
}

impl RunFinding {
    pub fn class(&self) -> &'static str {
        match self.tone {
            FindingTone::Good => "good",
            FindingTone::Watch => "watch",
            FindingTone::Plain => "plain",
        }
    }
}

/// How the loss on rows that were kept from training has gone.
pub fn held_out_loss(digest: &RunDigest, n_held_out: Option<u64>) -> Option<RunFinding> {
    let series = digest.series.get("eval_loss")?;
    let (first, now) = (series.first()?, series.last()?);
    let (lowest_step, lowest) =
        series.points.iter().copied().min_by(|(_, a), (_, b)| a.total_cmp(b))?;
    let percent = |from: f64| format!("{:.0}", ((now / from - 1.0) * 100.0).abs());
    let change = now / first - 1.0;
    let (tone, says, args) = if is_before_training(series) {
        (FindingTone::Plain, "glance-before-training", Vec::new())
    } else if series.points.len() == 1 {
        (FindingTone::Plain, "glance-loss-once", Vec::new())
    } else if now > lowest * (1.0 + LOSS_ROSE) && lowest < first {
        let args = vec![
            ("percent", percent(lowest)),
            ("lowest", short(lowest)),
            ("step", short(lowest_step)),
        ];
        match digest.last(BEST_STEP) {
            Some(_) => (FindingTone::Plain, "glance-loss-rose-again-kept", args),
            None => (FindingTone::Watch, "glance-loss-rose-again", args),
        }
    } else if let (true, Some(n @ ..MIN_HELD_OUT)) = (change <= -LOSS_FLAT, n_held_out) {
        let args = vec![("percent", percent(first)), ("n", n.to_string())];
        (FindingTone::Plain, "glance-loss-fell-few", args)
    } else if let (true, Some(change)) =
        (change.abs() >= LOSS_FLAT, MeasuredChange::of(digest, "eval_loss_change"))
    {
        let mut args = change.args();
        args.extend([("percent", percent(first)), ("n", held_out_rows(digest, n_held_out))]);
        match change.sign() {
            Ordering::Less => (FindingTone::Good, "glance-loss-fell-surely", args),
            Ordering::Equal => (FindingTone::Plain, "glance-loss-unclear", args),
            Ordering::Greater => (FindingTone::Watch, "glance-loss-rose-surely", args),
        }
    } else if change <= -LOSS_FLAT {
        (FindingTone::Good, "glance-loss-fell", vec![("percent", percent(first))])
    } else if change < LOSS_FLAT {
        (FindingTone::Plain, "glance-loss-flat", Vec::new())
    } else {
        (FindingTone::Watch, "glance-loss-rose", vec![("percent", percent(first))])
    };
    let figure = from_to(series, short);
    Some(RunFinding { title: "glance-held-out-loss", tone, figure, says, args })
}

/// How many rows were measured on.
fn held_out_rows(digest: &RunDigest, n_held_out: Option<u64>) -> String {
    digest.last("eval_rows").or(n_held_out.map(|n| n as f64)).map(short).unwrap_or_default()
}

/// A change since the start on the same held-out rows, with its 95 % interval.
struct MeasuredChange {
    value: f64,
    low: f64,
    high: f64,
}

impl MeasuredChange {
    /// None where it was not measured, or on too few rows to tell.
    fn of(digest: &RunDigest, metric: &str) -> Option<Self> {
        let last = |part: &str| digest.last(&format!("{metric}{part}"));
        Some(Self { value: last("")?, low: last("_low")?, high: last("_high")? })
    }

    /// Whether it is below 0 or above, surely; equal where 0 is within its interval.
    fn sign(&self) -> Ordering {
        match (self.low, self.high) {
            (_, high) if high < 0.0 => Ordering::Less,
            (low, _) if low > 0.0 => Ordering::Greater,
            _ => Ordering::Equal,
        }
    }

    fn args(&self) -> Vec<(&'static str, String)> {
        vec![("gain", short(self.value)), ("low", short(self.low)), ("high", short(self.high))]
    }
}

/// The metric that tells which step's model a run keeps.
const BEST_STEP: &str = "best_step";

/// Which step's model is kept, where that is not the last one whatever comes.
pub fn kept_model(digest: &RunDigest) -> Option<RunFinding> {
    let (step, loss) = (digest.last(BEST_STEP)?, digest.last("best_eval_loss")?);
    let args = vec![("step", short(step)), ("loss", short(loss))];
    let (title, says) = ("glance-kept", "glance-kept-best");
    Some(RunFinding { title, tone: FindingTone::Plain, figure: short(step), says, args })
}

/// Whether all that is known was measured before the first step, and so says nothing of what the run
/// teaches.
fn is_before_training(series: &MetricSeries) -> bool {
    series.points.last().is_some_and(|(step, _)| *step == 0.0)
}

/// A part of the rows above which those left out change what the numbers say.
const LEFT_OUT_MANY: f64 = 0.05;

/// That the run works with fewer rows than its data has.
pub fn rows_left_out(digest: &RunDigest) -> Option<RunFinding> {
    let rows = digest.rows.first()?;
    let n = rows.n_left_out();
    if (n as f64) <= LEFT_OUT_MANY * rows.rows as f64 {
        return None;
    }
    let args = vec![
        ("n", n.to_string()),
        ("percent", percent(n as f64 / rows.rows.max(1) as f64)),
        ("length", rows.max_length.to_string()),
    ];
    let is_all_long = rows.left_out.iter().all(|left| left.reason == LeftOutReason::TooLong);
    let says = if is_all_long { "glance-rows-long" } else { "glance-rows-left-out" };
    let figure = format!("{} / {}", rows.used, rows.rows);
    Some(RunFinding { title: "glance-rows", tone: FindingTone::Watch, figure, says, args })
}

/// A metric that varies from batch to batch: the mean of its first points beside that of its last,
/// without a judgement. `says` says why there is none.
pub fn noisy_metric(
    digest: &RunDigest,
    metric: &str,
    title: &'static str,
    says: &'static str,
) -> Option<RunFinding> {
    let change = SeriesChange::of(digest.series.get(metric)?)?;
    let args = vec![("window", change.window.to_string())];
    let figure = change.figure(short);
    Some(RunFinding { title, tone: FindingTone::Plain, figure, says, args })
}

/// Means over the first and the last points of a series.
#[derive(Debug, PartialEq)]
struct SeriesChange {
    first: f64,
    now: f64,
    window: usize,
    n_points: usize,
    /// Whether the means differ by more than twice what noise alone would make of them.
    is_clear: bool,
}

impl SeriesChange {
    fn of(series: &MetricSeries) -> Option<Self> {
        let values: Vec<f64> = series.points.iter().map(|(_, value)| *value).collect();
        if values.is_empty() {
            return None;
        }
        let window = (values.len() / 4).clamp(1, 10);
        let first = mean(&values[..window]);
        let now = mean(&values[values.len() - window..]);
        // Neighbouring batches differ by noise mostly; a difference has twice its variance.
        let squares: Vec<f64> =
            values.windows(2).map(|pair| (pair[1] - pair[0]).powi(2) / 2.0).collect();
        let noise = if squares.is_empty() { 0.0 } else { mean(&squares).sqrt() };
        let is_clear = (now - first).abs() > 2.0 * noise * (2.0 / window as f64).sqrt();
        Some(Self { first, now, window, n_points: values.len(), is_clear })
    }

    fn figure(&self, write: impl Fn(f64) -> String) -> String {
        match self.n_points {
            1 => write(self.now),
            _ => format!("{} → {}", write(self.first), write(self.now)),
        }
    }
}

/// "3.21 → 2.05", or the one value that there is.
fn from_to(series: &MetricSeries, write: impl Fn(f64) -> String) -> String {
    match &series.points[..] {
        [(_, first), .., (_, now)] => format!("{} → {}", write(*first), write(*now)),
        [(_, only)] => write(*only),
        [] => String::new(),
    }
}

fn percent(part: f64) -> String {
    format!("{:.0}", part * 100.0)
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

#[cfg(test)]
mod tests;
