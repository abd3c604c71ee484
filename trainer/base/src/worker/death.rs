//! How a training process died, and whether trying again leads anywhere.

use super::RunEnding;
use crate::settings::{RunOutput, run_command};
use entity::{message, message::KeyedMessage, run};
use std::{fs, os::unix::process::ExitStatusExt, path::Path, process::ExitStatus};

/// Attempts in a row without a step of progress after which a run that the memory did not suffice
/// for, or that crashed, is given up: another program may have taken the memory once or twice.
const MOST_AT_FAULT: i32 = 3;

/// What is known of a process that ended without a result.
pub(super) struct ProcessDeath<'a> {
    pub(super) status: ExitStatus,
    /// [`n_oom_kills`] before the process began and after its end.
    pub(super) oom_kills: (Option<u64>, Option<u64>),
    /// Why it gave up, as it reported_error itself.
    pub(super) reported_error: Option<&'a KeyedMessage>,
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
    fn message(self) -> KeyedMessage {
        match self {
            Self::OutOfMemory => message!(
                "death-out-of-memory",
                "The memory ran out, and the system killed its process"
            ),
            Self::Unknown => message!(
                "death-by-signal-9",
                "Its process was killed (signal 9), most often because the memory ran out"
            ),
            Self::SomebodyElse => message!(
                "death-by-somebody-else",
                "Its process was killed (signal 9), but not by the system for want of memory"
            ),
            Self::Crash(signal) => {
                message!("death-crash", "Its process crashed (signal {signal})", signal = signal)
            }
        }
    }
}

impl ProcessDeath<'_> {
    /// A process that was killed is tried again until that has failed too often; one that gave up
    /// by itself would give up again.
    pub(super) fn verdict(&self, run: &run::Model) -> RunEnding {
        let Some(cause) = self.cause() else {
            return RunEnding::Failed(self.own_reason());
        };
        let with_last_words = |message: KeyedMessage| match last_words(self.stderr) {
            Some(words) => {
                let words = KeyedMessage::technical(words);
                message.then(message!("death-last-words", "It last said: {words}", words = words))
            }
            None => message,
        };
        let what = cause.message();
        let got_further = self.step.cast_signed() > run.furthest_step;
        let is_at_fault = cause != DeathCause::SomebodyElse;
        if got_further || !is_at_fault || run.fruitless_attempts < MOST_AT_FAULT {
            let resumed =
                message!("death-will-be-resumed", "{what}; it will be resumed.", what = what);
            return RunEnding::Interrupted(with_last_words(resumed));
        }
        let given_up = message!(
            "death-given-up",
            "{what}. This was attempt {n} in a row that did not get past step {step}.",
            what = what,
            n = run.fruitless_attempts,
            step = run.furthest_step
        );
        let fetches = run_command(run.kind).output == RunOutput::Base;
        let is_for_want_of_memory = !matches!(cause, DeathCause::Crash(_));
        RunEnding::Failed(with_last_words(if is_for_want_of_memory && !fetches {
            let smaller =
                message!("death-needs-less", "A smaller batch size or length needs less.");
            given_up.then(smaller)
        } else {
            given_up
        }))
    }

    /// Why it ended by itself, as far as it message.
    fn own_reason(&self) -> KeyedMessage {
        if let Some(reported_error) = self.reported_error {
            return reported_error.clone();
        }
        match last_words(self.stderr) {
            Some(words) => KeyedMessage::technical(words),
            None => message!(
                "death-without-result",
                "Its process ended without a result ({status}).",
                status = self.status.to_string()
            ),
        }
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
