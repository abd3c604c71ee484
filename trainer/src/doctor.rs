//! `trainer doctor`: whether this machine can train, and what is to be mended where it cannot.
//!
//! Every check looks, measures or computes, and says what it found; where that is not well it says
//! in a sentence what to do. A warning is something that makes training slow or small; the exit
//! code is 0 unless something is wrong.

mod devices;
mod machine;
mod self_check;

use anyhow::{Result, ensure};
use serde::Serialize;
use serde_json::json;
use std::io::{self, Write};
use trainer_base::settings::{DoctorArgs, ReportFormat};

#[cfg(test)]
pub(crate) use self_check::golden_numbers;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
enum CheckStatus {
    Ok,
    /// Training works, slowly or for small models only.
    Warning,
    Wrong,
}

/// What one look found.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct MachineCheck {
    name: &'static str,
    status: CheckStatus,
    found: String,
    /// What to do, where it is not well.
    remedy: Option<String>,
}

impl MachineCheck {
    fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, status: CheckStatus::Ok, found: found.into(), remedy: None }
    }

    fn warning(name: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { status: CheckStatus::Warning, remedy: Some(remedy.into()), ..Self::ok(name, found) }
    }

    fn wrong(name: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { status: CheckStatus::Wrong, ..Self::warning(name, found, remedy) }
    }

    /// A line of the table, and one for the remedy.
    fn line(&self) -> String {
        let status = match self.status {
            CheckStatus::Ok => "ok",
            CheckStatus::Warning => "warning",
            CheckStatus::Wrong => "WRONG",
        };
        let line = format!("{status:<8} {:<11} {}", self.name, self.found);
        match &self.remedy {
            Some(remedy) => format!("{line}\n{:21}→ {remedy}", ""),
            None => line,
        }
    }
}

/// Looks at everything; an error if something is wrong.
pub fn run(args: &DoctorArgs) -> Result<()> {
    if let Some(threads) = args.threads {
        tch::set_num_threads(threads.into());
    }
    let mut checks = Vec::new();
    let mut tell = |check: MachineCheck| {
        // Some looks take a second: a person reads on meanwhile.
        if args.report == ReportFormat::Text {
            print(&check.line());
        }
        checks.push(check);
    };
    tell(devices::libtorch());
    tell(machine::processor());
    tell(machine::memory());
    tell(devices::gpu());
    devices::speed().into_iter().for_each(&mut tell);
    self_check::run().into_iter().for_each(&mut tell);
    if let Some(folder) = &args.artifacts {
        tell(machine::artifacts(folder));
    }

    let worst = checks.iter().map(|check| check.status).max().unwrap_or(CheckStatus::Ok);
    if args.report == ReportFormat::Json {
        print(&json!({"kind": "doctor", "status": worst, "checks": checks}).to_string());
    }
    let count = |status| checks.iter().filter(|check| check.status == status).count();
    let (n_wrong, n_warnings) = (count(CheckStatus::Wrong), count(CheckStatus::Warning));
    ensure!(
        n_wrong == 0,
        "{n_wrong} of {} checks found something wrong; what to do is told above",
        checks.len()
    );
    if args.report == ReportFormat::Text {
        match n_warnings {
            0 => print("\nThis machine can train."),
            1 => print("\nThis machine can train; one warning above."),
            n => print(&format!("\nThis machine can train; {n} warnings above.")),
        }
    }
    Ok(())
}

/// The reader may have closed the pipe (`| head`).
fn print(line: &str) {
    let _ = writeln!(io::stdout(), "{line}");
}

#[cfg(test)]
mod tests;
