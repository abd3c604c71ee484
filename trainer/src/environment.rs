//! Where a run computes, and what its numbers depend on.

use crate::{ffi, job::Report};
use anyhow::{Result, bail};
use entity::{
    report::{self, RunReport},
    run_config::{self, Dtype},
};
use std::fs;
use tch::{Cuda, Device, Kind};

/// Device and precision of a run, with libtorch set up for it.
#[derive(Clone, Debug)]
pub struct Environment {
    pub device: Device,
    pub kind: Kind,
}

impl Environment {
    /// Opens the device, switches libtorch to deterministic algorithms and tells what the run's
    /// numbers will depend on. None when it is asked to stop at once.
    pub fn start(
        device: run_config::Device,
        dtype: Dtype,
        report: &mut Report,
    ) -> Result<Option<Self>> {
        ffi::keep_freed_memory();
        let device = pick_device(device)?;
        // Some CUDA kernels have no deterministic twin.
        ffi::use_deterministic_algorithms(device != Device::Cpu)?;
        let kind = match dtype {
            Dtype::F32 => Kind::Float,
            Dtype::Bf16 => Kind::BFloat16,
            Dtype::Auto if device != Device::Cpu || has_fast_bf16() => Kind::BFloat16,
            Dtype::Auto => Kind::Float,
        };
        let environment = report::RunEnvironment {
            attune: env!("CARGO_PKG_VERSION").into(),
            libtorch: ffi::libtorch_version().into(),
            device: if device == Device::Cpu { "cpu" } else { "cuda" }.into(),
            processor: processor(),
            threads: tch::get_num_threads() as u32,
            dtype: if kind == Kind::Float { "f32" } else { "bf16" }.into(),
        };
        let is_over = report(RunReport::Started { environment }).is_break();
        Ok((!is_over).then_some(Self { device, kind }))
    }
}

fn pick_device(device: run_config::Device) -> Result<Device> {
    use run_config::Device::{Auto, Cpu, Cuda as Gpu};
    if device == Cpu {
        return Ok(Device::Cpu);
    }
    let has_gpu = ffi::open_cuda() && Cuda::is_available();
    match device {
        Auto | Gpu if has_gpu => Ok(Device::Cuda(0)),
        Gpu => bail!(
            "no CUDA device: install the CUDA build of libtorch (make libtorch DEVICE=cuda) on a \
             machine with an NVIDIA driver, or take --device cpu"
        ),
        _ => Ok(Device::Cpu),
    }
}

pub(crate) fn cpu_info() -> String {
    fs::read_to_string("/proc/cpuinfo").unwrap_or_default()
}

pub(crate) fn cpu_info_value<'a>(info: &'a str, key: &str) -> Option<&'a str> {
    let line = info.lines().find(|line| line.starts_with(key))?;
    Some(line.split_once(':')?.1.trim())
}

/// The processor multiplies bf16 itself; without that it is slower than f32.
pub(crate) fn has_fast_bf16() -> bool {
    cpu_info_value(&cpu_info(), "flags").is_some_and(|flags| {
        flags.split(' ').any(|flag| ["avx512_bf16", "amx_bf16"].contains(&flag))
    })
}

pub(crate) fn processor() -> String {
    cpu_info_value(&cpu_info(), "model name").unwrap_or("unknown").into()
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::ops::ControlFlow;

    #[test]
    fn the_peak_counts_what_was_freed() {
        drop(std::hint::black_box(vec![1u8; 50_000_000]));
        assert!(peak_rss_mb() >= 50);
    }

    #[test]
    fn a_request_for_f32_on_the_cpu_is_followed() {
        let mut told = None;
        let started = Environment::start(run_config::Device::Cpu, Dtype::F32, &mut |event| {
            told = Some(event);
            ControlFlow::Continue(())
        });
        let environment = started.unwrap().unwrap();
        assert_eq!((environment.device, environment.kind), (Device::Cpu, Kind::Float));
        let Some(RunReport::Started { environment }) = told else { panic!("nothing was told") };
        assert_eq!(environment.dtype, "f32");
        assert!(environment.libtorch.starts_with("2."));
    }
}
