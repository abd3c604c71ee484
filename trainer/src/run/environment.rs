//! Where a run computes, and what its numbers depend on.

use crate::{ffi, model::Transformer};
use anyhow::{Result, bail};
use entity::{
    message,
    message::KeyedMessage,
    report::{self, LogLevel, RunReport},
    run_config::{self, Dtype, LoraSettings, OptimiserSettings},
};
use std::{env, fs, path::Path};
use tch::{Cuda, Device, Kind};
use trainer_base::{job::Report, progress::say};

/// Device and precision of a run, with libtorch set up for it.
#[derive(Clone, Debug)]
pub struct ComputeEnvironment {
    pub device: Device,
    pub kind: Kind,
}

impl ComputeEnvironment {
    /// Opens the device, switches libtorch to deterministic algorithms where they are wanted and tells
    /// what the run's numbers will depend on. None when it is asked to stop at once.
    pub fn start(
        device: run_config::Device,
        dtype: Dtype,
        report: &mut Report,
    ) -> Result<Option<Self>> {
        ffi::keep_freed_memory();
        let device = pick_device(device)?;
        let deterministic = choose_algorithms(device)?;
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
            deterministic,
        };
        let is_over = report(RunReport::Started { environment }).is_break();
        if !is_over && let Some(slow) = slow_precision(kind, device, &cpu_flags()) {
            say(report, LogLevel::Warning, slow);
        }
        Ok((!is_over).then_some(Self { device, kind }))
    }

    /// Reads a model to be trained here, as [`Transformer::load_to_train`] does, with checkpoints where these
    /// are asked for.
    pub(crate) fn load_to_train(
        &self,
        folder: &Path,
        lora: &LoraSettings,
        optimisation: &OptimiserSettings,
    ) -> Result<Transformer> {
        let seed = optimisation.seed;
        let model = Transformer::load_to_train(folder, lora, seed, self.kind, self.device)?;
        Ok(model.with_gradient_checkpointing(optimisation.gradient_checkpointing))
    }
}

/// Set to anything but `0`, it asks for deterministic algorithms on a GPU, too. A variable and no
/// setting: it changes neither a run's configuration nor which checkpoints are its own, and a worker's
/// children inherit it.
pub(crate) const DETERMINISTIC: &str = "ATTUNE_DETERMINISTIC";

/// Switches libtorch to deterministic algorithms where they are wanted, and says whether it did.
pub(crate) fn choose_algorithms(device: Device) -> Result<bool> {
    let is_cuda = device != Device::Cpu;
    let asked = env::var(DETERMINISTIC).ok();
    let deterministic = wants_determinism(is_cuda, asked.as_deref());
    if deterministic {
        // Some CUDA kernels have no deterministic twin.
        ffi::use_deterministic_algorithms(is_cuda)?;
    }
    Ok(deterministic)
}

/// Always on a CPU, where they cost nothing that is measurable. On a GPU they turn index operations
/// into sorts: decoding takes 2.4 times as long, training 1.7 times (measured on an H200).
fn wants_determinism(is_cuda: bool, asked: Option<&str>) -> bool {
    !is_cuda || asked.is_some_and(|asked| !["", "0"].contains(&asked))
}

fn pick_device(device: run_config::Device) -> Result<Device> {
    use run_config::Device::{Auto, Cpu, Cuda as Gpu};
    if device == Cpu {
        return Ok(Device::Cpu);
    }
    let has_gpu = ffi::open_cuda() && Cuda::is_available();
    match device {
        Auto | Gpu if has_gpu => Ok(Device::Cuda(0)),
        Gpu => bail!(message!(
            "no-cuda-device",
            "no CUDA device: install the CUDA build of libtorch (make libtorch DEVICE=cuda) on a machine with an NVIDIA driver, or take --device cpu"
        )),
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

fn cpu_flags() -> String {
    cpu_info_value(&cpu_info(), "flags").unwrap_or_default().into()
}

fn has_flag(flags: &str, wanted: &[&str]) -> bool {
    flags.split(' ').any(|flag| wanted.contains(&flag))
}

/// Of a processor that multiplies bf16 itself; without that it is slower than f32.
const FAST_BF16: [&str; 2] = ["avx512_bf16", "amx_bf16"];

pub(crate) fn has_fast_bf16() -> bool {
    has_flag(&cpu_flags(), &FAST_BF16)
}

/// A precision that was asked for and costs more than it saves. Without AVX-512 libtorch multiplies
/// bf16 number by number in one thread (1 GFLOP/s beside 41 in f32 on two cores of an EPYC).
fn slow_precision(kind: Kind, device: Device, cpu_flags: &str) -> Option<KeyedMessage> {
    let computes = kind == Kind::BFloat16 && device == Device::Cpu;
    if !computes || has_flag(cpu_flags, &FAST_BF16) {
        return None;
    }
    if has_flag(cpu_flags, &["avx512f"]) {
        return Some(message!(
            "bf16-not-in-hardware",
            "this processor has no bf16 of its own, which makes it slower than f32: --dtype auto takes what is faster here"
        ));
    }
    Some(message!(
        "bf16-very-slow",
        "this processor has neither bf16 nor AVX-512, and computes in bf16 tens of times slower than in f32: stop it and take --dtype auto or f32 unless memory is all that counts"
    ))
}

pub(crate) fn processor() -> String {
    cpu_info_value(&cpu_info(), "model name").unwrap_or("unknown").into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ops::ControlFlow;

    #[test]
    fn a_gpu_computes_deterministically_on_request_and_a_cpu_always() {
        assert!(wants_determinism(false, None) && wants_determinism(false, Some("0")));
        assert!(wants_determinism(true, Some("1")));
        assert!([None, Some(""), Some("0")].iter().all(|asked| !wants_determinism(true, *asked)));
    }

    #[test]
    fn bf16_is_warned_of_where_the_processor_is_slower_with_it() {
        let key =
            |kind, device, flags| slow_precision(kind, device, flags).and_then(|told| told.key);
        let (bf16, cpu) = (Kind::BFloat16, Device::Cpu);
        assert_eq!(key(bf16, cpu, "fma avx2 f16c").as_deref(), Some("bf16-very-slow"));
        assert_eq!(key(bf16, cpu, "avx2 avx512f").as_deref(), Some("bf16-not-in-hardware"));
        assert_eq!(key(bf16, cpu, "avx2 avx512f avx512_bf16"), None);
        assert_eq!(key(Kind::Float, cpu, "avx2"), None);
        assert_eq!(key(bf16, Device::Cuda(0), "avx2"), None);
    }

    #[test]
    fn a_request_for_f32_on_the_cpu_is_followed() {
        let mut told = None;
        let started =
            ComputeEnvironment::start(run_config::Device::Cpu, Dtype::F32, &mut |event| {
                told = Some(event);
                ControlFlow::Continue(())
            });
        let environment = started.unwrap().unwrap();
        assert_eq!((environment.device, environment.kind), (Device::Cpu, Kind::Float));
        let Some(RunReport::Started { environment }) = told else { panic!("nothing was told") };
        assert_eq!(environment.dtype, "f32");
        assert!(environment.deterministic);
        assert!(environment.libtorch.starts_with("2."));
    }
}
