//! How a training process died, and whether trying again leads anywhere.

use super::RunEnding;
use crate::settings::{RunOutput, run_command};
use entity::run;
use std::{fs, os::unix::process::ExitStatusExt, path::Path, process::ExitStatus};

/// Attempts in a row without a step of progress after which a run that the memory did not suffice
/// for, or that crashed, is given up: another program may have taken the memory once or twice.
const MOST_AT_FAULT: i32 = 3;

/// What is known of a process that ended without a result.
pub(super) struct ProcessDeath<'a> {
    pub(super) status: ExitStatus,
    /// [`n_oom_kills`] before the process began and after its end.
    pub(super) oom_kills: (Option<u64>, Option<u64>),
    /// The last error that it reported.
    pub(super) reported_error: Option<&'a str>,
    /// The end of what it wrote to standard error.
    pub(super) stderr: &'a str,
    /// The last step that it told of.
    pub(super) step: u64,
}

/// Why a process was killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum DeathCause {
    OutOfMemory,
    /// Signal 9 where the kernel keeps no count: most often the memory.
    Unknown,
    /// A person, an administrator's program, a machine that was shut down.
    SomebodyElse,
    /// A fault within the process.
    Crash(i32),
}

impl DeathCause {
    fn in_words(self) -> String {
        match self {
            Self::OutOfMemory => "The memory ran out, and the system killed its process".into(),
            Self::Unknown => "Its process was killed (signal 9), most often because the \
                              memory ran out"
                .into(),
            Self::SomebodyElse => {
                "Its process was killed (signal 9), but not by the system for want of memory".into()
            }
            Self::Crash(signal) => format!("Its process crashed (signal {signal})"),
        }
    }
}

impl ProcessDeath<'_> {
    /// A process that was killed is tried again until that has failed too often; one that gave up
    /// by itself would give up again.
    pub(super) fn verdict(&self, run: &run::Model) -> RunEnding {
        let Some(cause) = self.cause() else {
            let reason = self.reported_error.map(str::to_owned).or_else(|| last_words(self.stderr));
            return RunEnding::Failed(reason.unwrap_or_else(|| {
                format!("Its process ended without a result ({}).", self.status)
            }));
        };
        let words = last_words(self.stderr).map(|words| format!(" It last said: {words}"));
        let words = words.unwrap_or_default();
        let what = cause.in_words();
        let got_further = self.step.cast_signed() > run.furthest_step;
        let is_at_fault = cause != DeathCause::SomebodyElse;
        if got_further || !is_at_fault || run.fruitless_attempts < MOST_AT_FAULT {
            return RunEnding::Interrupted(format!("{what}; it will be resumed.{words}"));
        }
        let advice = match cause {
            DeathCause::Crash(_) => "",
            _ if run_command(run.kind).output == RunOutput::Base => "",
            _ => " A smaller batch size or length needs less.",
        };
        RunEnding::Failed(format!(
            "{what}. This was attempt {} in a row that did not get past step {}.{advice}{words}",
            run.fruitless_attempts, run.furthest_step
        ))
    }

    /// None where the process ended by itself.
    fn cause(&self) -> Option<DeathCause> {
        Some(match (self.status.signal()?, self.oom_kills) {
            (9, (Some(before), Some(after))) if after > before => DeathCause::OutOfMemory,
            (9, (Some(_), Some(_))) => DeathCause::SomebodyElse,
            (9, _) => DeathCause::Unknown,
            (signal, _) => DeathCause::Crash(signal),
        })
    }
}

/// How many processes the kernel has killed for want of memory since it started.
///
/// Whoever waits for a killed process sees signal 9 alone; this count tells the kernel's own kills
/// from everybody else's. None where the kernel keeps none (before Linux 4.13, in some sandboxes).
pub(super) fn n_oom_kills(vmstat: &Path) -> Option<u64> {
    let counts = fs::read_to_string(vmstat).ok()?;
    counts.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
}

/// The error at the end of stderr: what follows the last "error:", else the last few lines.
fn last_words(stderr: &str) -> Option<String> {
    let lower = stderr.to_ascii_lowercase();
    let text = match lower.rfind("error: ") {
        Some(at) => &stderr[at + "error: ".len()..],
        None => {
            let from = stderr.trim_end().rmatch_indices('\n').nth(9).map_or(0, |(at, _)| at);
            &stderr[from..]
        }
    };
    let text: String = text.trim().chars().take(2000).collect();
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cause(signal: i32, oom_kills: (Option<u64>, Option<u64>)) -> Option<DeathCause> {
        let status = ExitStatus::from_raw(signal);
        ProcessDeath { status, oom_kills, reported_error: None, stderr: "", step: 0 }.cause()
    }

    #[test]
    fn the_kernel_s_count_tells_its_own_kills_from_everybody_else_s() {
        assert_eq!(cause(9, (Some(4), Some(5))), Some(DeathCause::OutOfMemory));
        assert_eq!(cause(9, (Some(4), Some(4))), Some(DeathCause::SomebodyElse));
        assert_eq!(cause(9, (None, None)), Some(DeathCause::Unknown));
        assert_eq!(cause(11, (Some(4), Some(5))), Some(DeathCause::Crash(11)));
        assert_eq!(cause(0, (Some(4), Some(4))), None);
    }

    #[test]
    fn the_kernel_s_count_is_found_among_the_others() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "nr_free_pages 5\noom_kill_disable 1\noom_kill 17\n").unwrap();
        assert_eq!(n_oom_kills(file.path()), Some(17));
        fs::write(file.path(), "nr_free_pages 5\n").unwrap();
        assert_eq!(n_oom_kills(file.path()), None);
        assert_eq!(n_oom_kills(Path::new("/nowhere")), None);
    }

    #[test]
    fn the_error_at_the_end_of_stderr_is_what_a_person_reads() {
        let stderr = "loading\nwarning: x\nError: nothing left\n\nCaused by:\n    0 rows\n";
        assert_eq!(last_words(stderr).unwrap(), "nothing left\n\nCaused by:\n    0 rows");
        assert_eq!(last_words("one\ntwo\n").unwrap(), "one\ntwo");
        assert_eq!(last_words(" \n"), None);
    }
}
