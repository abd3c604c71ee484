//! What the system says of the process, under the names that Prometheus' own clients use.

use super::encode;
use prometheus_client::{
    collector::Collector,
    encoding::DescriptorEncoder,
    metrics::{counter::ConstCounter, gauge::ConstGauge},
};
use rustix::process::{Resource, getrlimit};
use std::{
    fmt, fs,
    time::{SystemTime, UNIX_EPOCH},
};

/// Linux counts a process's time in hundredths of a second, on every machine that the programs run
/// on.
const TICKS_PER_SECOND: f64 = 100.0;

/// The process that asks.
#[derive(Debug)]
pub struct ProcessMetrics {
    /// In seconds since 1970.
    started: f64,
}

impl ProcessMetrics {
    /// Of a process that has just started.
    #[expect(clippy::new_without_default, reason = "it looks at the clock")]
    pub fn new() -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { started: now.as_secs_f64() }
    }
}

impl Collector for ProcessMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let mut gauge = |name: &str, help: &str, value: f64| {
            encode(&mut encoder, name, help, &ConstGauge::new(value))
        };
        gauge("process_start_time_seconds", "When it started, since 1970", self.started)?;
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        if let Some(bytes) = kilobytes(&status, "VmRSS:") {
            gauge("process_resident_memory_bytes", "Memory that it holds", bytes)?;
        }
        if let Some(bytes) = kilobytes(&status, "VmSize:") {
            gauge("process_virtual_memory_bytes", "Memory that it has addressed", bytes)?;
        }
        if let Some(n) = number(&status, "Threads:") {
            gauge("process_threads", "Its threads", n)?;
        }
        if let Ok(files) = fs::read_dir("/proc/self/fd") {
            gauge("process_open_fds", "Files and sockets that it has open", files.count() as f64)?;
        }
        if let Some(most) = getrlimit(Resource::Nofile).current {
            gauge("process_max_fds", "Files and sockets that it may have open", most as f64)?;
        }
        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        if let Some(seconds) = cpu_seconds(&stat) {
            let time = ConstCounter::new(seconds);
            encode(&mut encoder, "process_cpu_seconds", "Time that it computed", &time)?;
        }
        Ok(())
    }
}

fn number(status: &str, field: &str) -> Option<f64> {
    let value = status.lines().find_map(|line| line.strip_prefix(field))?;
    value.split_whitespace().next()?.parse().ok()
}

/// In bytes.
fn kilobytes(status: &str, field: &str) -> Option<f64> {
    Some(number(status, field)? * 1024.0)
}

/// User's and system's time of `/proc/…/stat`; the name before them may hold anything.
fn cpu_seconds(stat: &str) -> Option<f64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut times = fields.split_whitespace().skip(11);
    let (user, system): (f64, f64) = (times.next()?.parse().ok()?, times.next()?.parse().ok()?);
    Some((user + system) / TICKS_PER_SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_a_process_is_read_whatever_it_is_called() {
        let stat = "1 (a) 7 (b) S 0 1 1 0 -1 4194560 1 2 3 4 250 50 0 0 20 0 1 0 5";
        assert_eq!(cpu_seconds(stat), Some(3.0));
        assert_eq!(cpu_seconds(""), None);
        assert_eq!(kilobytes("VmRSS:\t     4 kB\n", "VmRSS:"), Some(4096.0));
    }
}
