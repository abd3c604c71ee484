//! What every verb has in common: it reports events through one closure and returns a summary.

use anyhow::{Result, bail};
use entity::{
    report::{Environment, Event, Summary},
    run_config::{self, Dtype},
};
use serde_json::{Map, Value};
use std::{fs, ops::ControlFlow, time::Instant};

/// Log, progress and stop button in one: an algorithm calls it with what happened and stops at
/// once, with a checkpoint, when it answers `Break`. Tests pass a closure that pushes to a `Vec`.
pub type Report<'a> = dyn FnMut(Event) -> ControlFlow<()> + 'a;

/// How a verb ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    Finished(Summary),
    /// The report closure asked to stop; what was done is in the newest checkpoint.
    Stopped,
}

/// Whether to go on from a checkpoint in the output folder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Resume {
    /// From the newest complete checkpoint, if there is one.
    #[default]
    Auto,
    /// From the start; a checkpoint in the output folder is an error.
    Never,
}

/// Counts steps and tokens from the moment when loading and tokenising are done.
#[derive(Debug)]
pub struct Meter {
    started: Instant,
    first_step: u64,
    n_steps: u64,
    tokens: u64,
}

impl Meter {
    /// `first_step` steps of `n_steps` were done before (a resumed run), as speed and time left
    /// are this process's own.
    pub fn start(first_step: u64, n_steps: u64) -> Self {
        Self { started: Instant::now(), first_step, n_steps, tokens: 0 }
    }

    /// Adds tokens that were trained on (PPO and sample: response tokens).
    pub fn count(&mut self, tokens: usize) {
        self.tokens += tokens as u64;
    }

    /// How far it is when `step` steps are done.
    pub fn progress(&self, step: u64) -> Event {
        let seconds = self.started.elapsed().as_secs_f64();
        let done = step.saturating_sub(self.first_step);
        let left = self.n_steps.saturating_sub(step);
        Event::Progress {
            step,
            n_steps: self.n_steps,
            fraction: (step as f64 / self.n_steps.max(1) as f64).min(1.0),
            tokens_per_second: (self.tokens > 0).then(|| self.tokens as f64 / seconds),
            seconds_left: (done > 0).then(|| seconds / done as f64 * left as f64),
        }
    }

    /// The last line on stdout. `last` holds the last value of each metric that matters.
    pub fn summary(&self, kind: &str, steps: u64, last: Map<String, Value>) -> Summary {
        let seconds = self.started.elapsed().as_secs_f64();
        Summary {
            kind: kind.to_owned(),
            steps,
            tokens: self.tokens,
            seconds,
            tokens_per_second: self.tokens as f64 / seconds.max(1e-9),
            peak_rss_mb: peak_rss_mb(),
            last,
        }
    }
}

/// Where to compute. An error where CUDA is asked for and there is none.
pub fn device(choice: run_config::Device) -> Result<tch::Device> {
    match (choice, tch::Cuda::is_available()) {
        (run_config::Device::Cpu, _) | (run_config::Device::Auto, false) => Ok(tch::Device::Cpu),
        (_, true) => Ok(tch::Device::Cuda(0)),
        (run_config::Device::Cuda, false) => {
            bail!("there is no CUDA device here, or libtorch has no CUDA; use --device cpu")
        }
    }
}

/// The precision of the matmuls. `auto` is bf16 where the hardware multiplies it faster than f32.
pub fn kind(choice: Dtype, device: tch::Device) -> tch::Kind {
    match choice {
        Dtype::Bf16 => tch::Kind::BFloat16,
        Dtype::F32 => tch::Kind::Float,
        Dtype::Auto if device.is_cuda() || has_bf16_instructions() => tch::Kind::BFloat16,
        Dtype::Auto => tch::Kind::Float,
    }
}

fn has_bf16_instructions() -> bool {
    let flags = proc_field("/proc/cpuinfo", "flags").unwrap_or_default();
    flags.split_whitespace().any(|flag| flag == "avx512_bf16" || flag == "amx_bf16")
}

/// The version that tch is built against.
const LIBTORCH: &str = "2.11.0";

/// What this process's numbers depend on besides its inputs.
pub fn environment(device: tch::Device, dtype: tch::Kind) -> Environment {
    Environment {
        attune: env!("CARGO_PKG_VERSION").to_owned(),
        libtorch: LIBTORCH.to_owned(),
        device: format!("{device:?}").to_lowercase(),
        processor: proc_field("/proc/cpuinfo", "model name").unwrap_or_default(),
        threads: u32::try_from(tch::get_num_threads()).unwrap_or_default(),
        dtype: format!("{dtype:?}").to_lowercase(),
    }
}

/// The most memory that this process ever held, in MiB; 0 where the system does not say.
pub fn peak_rss_mb() -> u64 {
    let field = proc_field("/proc/self/status", "VmHWM").unwrap_or_default();
    let kib = field.split_whitespace().next().and_then(|number| number.parse::<u64>().ok());
    kib.unwrap_or_default() / 1024
}

/// The value of the first line `name: value` of a file under `/proc`.
fn proc_field(file: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speed_and_time_left_are_those_of_this_process() {
        let mut meter = Meter::start(50, 100);
        let Event::Progress { fraction, tokens_per_second, seconds_left, .. } = meter.progress(50)
        else {
            panic!("a progress event");
        };
        assert_eq!((fraction, tokens_per_second, seconds_left), (0.5, None, None));

        meter.count(300);
        let Event::Progress { tokens_per_second, seconds_left, .. } = meter.progress(75) else {
            panic!("a progress event");
        };
        assert!(tokens_per_second.is_some() && seconds_left.is_some());
        let summary = meter.summary("sft", 100, Map::new());
        assert_eq!((summary.tokens, summary.steps), (300, 100));
        assert!(summary.peak_rss_mb > 0 && summary.seconds > 0.0);
    }
}
