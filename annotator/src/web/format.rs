//! The words of runs and models: Fluent keys by kind and status, and how sizes, speeds and times
//! are written.

use crate::web::page::Page;
use actix_web::cookie::time::OffsetDateTime;
use entity::{dataset_version_item::DatasetSplit, model, run::RunStatus, time::UnixMillis};

pub fn status(status: RunStatus) -> &'static str {
    match status {
        RunStatus::Queued => "run-status-queued",
        RunStatus::Claimed => "run-status-claimed",
        RunStatus::Running => "run-status-running",
        RunStatus::Interrupted => "run-status-interrupted",
        RunStatus::Succeeded => "run-status-succeeded",
        RunStatus::Failed => "run-status-failed",
        RunStatus::Cancelled => "run-status-cancelled",
    }
}

/// The style of a status: its word in the style sheet.
pub fn status_class(status: RunStatus) -> &'static str {
    match status {
        RunStatus::Queued | RunStatus::Claimed | RunStatus::Interrupted => "waiting",
        RunStatus::Running => "running",
        RunStatus::Succeeded => "succeeded",
        RunStatus::Failed => "failed",
        RunStatus::Cancelled => "cancelled",
    }
}

pub fn model_kind(kind: model::ModelKind) -> &'static str {
    match kind {
        model::ModelKind::Base => "model-kind-base",
        model::ModelKind::Sft => "model-kind-sft",
        model::ModelKind::Reward => "model-kind-reward",
        model::ModelKind::Policy => "model-kind-policy",
    }
}

/// A side of the split.
pub fn split(split: DatasetSplit) -> &'static str {
    match split {
        DatasetSplit::Train => "dataset-split-train",
        DatasetSplit::Eval => "dataset-split-eval",
    }
}

/// "2026-11-23 20:41", UTC.
pub fn date_time(at: UnixMillis) -> String {
    let time = utc(at);
    let (hour, minute) = (time.hour(), time.minute());
    format!("{} {hour:02}:{minute:02}", time.date())
}

/// "20:41:07", UTC.
pub fn clock(at: UnixMillis) -> String {
    let (hour, minute, second) = utc(at).time().as_hms();
    format!("{hour:02}:{minute:02}:{second:02}")
}

fn utc(at: UnixMillis) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(at.0 / 1000).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

/// "2 h 5 min", "40 s".
pub fn duration(page: &Page, seconds: f64) -> String {
    let whole = seconds.max(0.0).round() as u64;
    let (hours, minutes, seconds) = (whole / 3600, whole / 60 % 60, whole % 60);
    if hours > 0 {
        page.text("duration-hours").arg("hours", hours).arg("minutes", minutes).to_string()
    } else if minutes > 0 {
        page.text("duration-minutes").arg("minutes", minutes).arg("seconds", seconds).to_string()
    } else {
        page.text("duration-seconds").arg("seconds", seconds).to_string()
    }
}

/// "135 M", "1.2 B": a count of parameters.
pub fn parameters(count: i64) -> String {
    scaled(count as f64, 1000.0, &["", " K", " M", " B", " T"])
}

/// "513 MB": what came over a network, in its units.
pub fn network_bytes(count: f64) -> String {
    scaled(count, 1000.0, &[" B", " kB", " MB", " GB", " TB"])
}

/// "513 MiB".
pub fn bytes(count: i64) -> String {
    scaled(count as f64, 1024.0, &[" B", " KiB", " MiB", " GiB", " TiB"])
}

fn scaled(mut value: f64, base: f64, units: &[&str]) -> String {
    let mut unit = 0;
    while value >= base && unit + 1 < units.len() {
        value /= base;
        unit += 1;
    }
    let decimals = usize::from(unit > 0 && value < 10.0);
    format!("{value:.decimals$}{}", units[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_short() {
        assert_eq!(parameters(134_515_008), "135 M");
        assert_eq!(parameters(1_240_000_000), "1.2 B");
        assert_eq!(bytes(512), "512 B");
        assert_eq!(bytes(538_090_408), "513 MiB");
        assert_eq!(network_bytes(1_500_000_000.0), "1.5 GB");
    }

    #[test]
    fn times_are_in_utc() {
        assert_eq!(date_time(UnixMillis(0)), "1970-01-01 00:00");
        assert_eq!(clock(UnixMillis(3_661_000)), "01:01:01");
    }
}
