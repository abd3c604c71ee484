//! The words of runs and models: Fluent keys by kind and status, and how sizes, speeds and times
//! are written.

use crate::web::i18n::Language;
use actix_web::cookie::time::{Date, Month, OffsetDateTime};
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

/// "2026-11-23T20:41:07Z", for programs.
pub fn date_time_to_the_second(at: UnixMillis) -> String {
    format!("{}T{}Z", utc(at).date(), clock(at))
}

/// When a day ("2026-11-23", UTC) begins.
pub fn day(typed: &str) -> Option<UnixMillis> {
    let mut parts = typed.splitn(3, '-');
    let (year, month) = (parts.next()?.parse().ok()?, parts.next()?.parse::<u8>().ok()?);
    let (month, day) = (Month::try_from(month).ok()?, parts.next()?.parse().ok()?);
    let date = Date::from_calendar_date(year, month, day).ok()?;
    Some(UnixMillis(date.midnight().assume_utc().unix_timestamp() * 1000))
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
pub fn duration(language: Language, seconds: f64) -> String {
    let whole = seconds.max(0.0).round() as u64;
    let (hours, minutes, seconds) = (whole / 3600, whole / 60 % 60, whole % 60);
    if hours > 0 {
        language.text("duration-hours").arg("hours", hours).arg("minutes", minutes).to_string()
    } else if minutes > 0 {
        let text = language.text("duration-minutes");
        text.arg("minutes", minutes).arg("seconds", seconds).to_string()
    } else {
        language.text("duration-seconds").arg("seconds", seconds).to_string()
    }
}

const COUNTS: [&str; 5] =
    ["count-ones", "count-thousands", "count-millions", "count-billions", "count-trillions"];
const DECIMAL_BYTES: [&str; 5] = ["unit-b", "unit-kb", "unit-mb", "unit-gb", "unit-tb"];
const BINARY_BYTES: [&str; 5] = ["unit-b", "unit-kib", "unit-mib", "unit-gib", "unit-tib"];

/// "135 M", "1.2 B": a count of parameters.
pub fn parameters(language: Language, count: i64) -> String {
    scaled(language, count as f64, 1000.0, COUNTS)
}

/// "513 MB": what came over a network, in its units.
pub fn network_bytes(language: Language, count: f64) -> String {
    scaled(language, count, 1000.0, DECIMAL_BYTES)
}

/// "513 MiB".
pub fn bytes(language: Language, count: i64) -> String {
    scaled(language, count as f64, 1024.0, BINARY_BYTES)
}

/// `units` are Fluent keys, each `base` times the one before it.
fn scaled(language: Language, mut value: f64, base: f64, units: [&'static str; 5]) -> String {
    let mut unit = 0;
    while value >= base && unit + 1 < units.len() {
        value /= base;
        unit += 1;
    }
    let decimals = usize::from(unit > 0 && value < 10.0);
    let number = language.decimal(&format!("{value:.decimals$}"));
    language.text(units[unit]).arg("n", number).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use Language::{English, Russian};

    #[test]
    fn sizes_are_short() {
        assert_eq!(parameters(English, 134_515_008), "135 M");
        assert_eq!(parameters(English, 1_240_000_000), "1.2 B");
        assert_eq!(bytes(English, 512), "512 B");
        assert_eq!(bytes(English, 538_090_408), "513 MiB");
        assert_eq!(network_bytes(English, 1_500_000_000.0), "1.5 GB");
    }

    #[test]
    fn sizes_are_in_the_persons_language() {
        assert_eq!(parameters(Russian, 999), "999");
        assert_eq!(parameters(Russian, 1_240_000_000), "1,2 млрд");
        assert_eq!(bytes(Russian, 538_090_408), "513 МиБ");
        assert_eq!(network_bytes(Russian, 1_500_000_000.0), "1,5 ГБ");
        assert_eq!(duration(Russian, 7500.0), "2 ч 5 мин");
    }

    #[test]
    fn times_are_in_utc() {
        assert_eq!(date_time(UnixMillis(0)), "1970-01-01 00:00");
        assert_eq!(clock(UnixMillis(3_661_000)), "01:01:01");
        assert_eq!(date_time_to_the_second(UnixMillis(3_661_000)), "1970-01-01T01:01:01Z");
        assert_eq!(day("1970-01-02"), Some(UnixMillis(86_400_000)));
        assert_eq!(day("2026-02-30"), None);
        assert_eq!(day("999999999-01-01"), None);
    }
}
