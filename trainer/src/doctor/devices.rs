//! libtorch, the GPU, and how fast they multiply.

use super::MachineCheck;
use crate::{ffi, run::environment::has_fast_bf16};
use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};
use tch::{Cuda, Device, Kind, Tensor};

/// What tch 0.24 goes with, and what the numbers of the tests were made with.
const LIBTORCH: &str = "2.11.0";

/// The oldest driver that CUDA 13 runs on.
const OLDEST_DRIVER: u32 = 580;

pub(super) fn libtorch() -> MachineCheck {
    let maps = fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let path = maps.lines().find_map(|line| {
        let path = line.split_whitespace().nth(5)?;
        path.ends_with("/libtorch_cpu.so").then(|| path.to_owned())
    });
    judge_libtorch(ffi::libtorch_version(), &ffi::loaded_libtorch_version(), path.as_deref())
}

pub(super) fn judge_libtorch(built: &str, loaded: &str, path: Option<&str>) -> MachineCheck {
    let found = format!("{loaded}, {}", path.unwrap_or("from a place that is not known"));
    // A version may name its build: 2.11.0+cu130.
    let plain = |version: &str| version.split('+').next().unwrap_or_default().to_owned();
    if plain(loaded) == LIBTORCH && plain(built) == LIBTORCH {
        return MachineCheck::ok("libtorch", found);
    }
    MachineCheck::wrong(
        "libtorch",
        format!("{found}; the program was built against {built}"),
        format!(
            "this program goes with libtorch {LIBTORCH}: unset LIBTORCH and LD_LIBRARY_PATH, run \
             `make libtorch` and build again"
        ),
    )
}

/// What is known of a GPU.
#[derive(Clone, Debug, Default)]
pub(super) struct GpuFacts {
    /// Of the kernel's module: "580.65.06".
    pub driver: Option<String>,
    pub names: Vec<String>,
    /// libtorch's CUDA part is there.
    pub has_libraries: bool,
    /// libtorch can use that many.
    pub n_usable: i64,
}

pub(super) fn gpu() -> MachineCheck {
    let version = fs::read_to_string("/proc/driver/nvidia/version").unwrap_or_default();
    let is_version =
        |word: &&str| word.contains('.') && word.starts_with(|c: char| c.is_ascii_digit());
    let driver = version.split_whitespace().find(is_version).map(str::to_owned);
    let cards = fs::read_dir("/proc/driver/nvidia/gpus").into_iter().flatten().flatten();
    let names = cards.filter_map(|card| {
        let text = fs::read_to_string(card.path().join("information")).ok()?;
        let line = text.lines().find(|line| line.starts_with("Model:"))?;
        Some(line.trim_start_matches("Model:").trim().to_owned())
    });
    // In a Linux on Windows this device is all that shows the driver.
    let of_windows = || Path::new("/dev/dxg").exists().then(|| "of Windows".to_owned());
    let names = names.collect();
    let has_libraries = ffi::open_cuda();
    let n_usable = if has_libraries && Cuda::is_available() { Cuda::device_count() } else { 0 };
    judge_gpu(&GpuFacts { driver: driver.or_else(of_windows), names, has_libraries, n_usable })
}

pub(super) fn judge_gpu(gpu: &GpuFacts) -> MachineCheck {
    let name = "gpu";
    let names = if gpu.names.is_empty() { "a GPU".to_owned() } else { gpu.names.join(", ") };
    match (&gpu.driver, gpu.has_libraries, gpu.n_usable) {
        (driver, _, n @ 1..) => {
            let driver = driver.as_deref().unwrap_or("not known");
            MachineCheck::ok(name, format!("{names}: {n} usable, driver {driver}"))
        }
        (None, false, _) => {
            MachineCheck::ok(name, "no NVIDIA driver: runs compute on the processor")
        }
        (None, true, _) => MachineCheck::warning(
            name,
            "libtorch has its CUDA libraries, and there is no NVIDIA driver",
            format!(
                "install NVIDIA's driver, {OLDEST_DRIVER} or newer (in a container, start it with \
                 --gpus all); without a GPU nothing is to be done"
            ),
        ),
        (Some(driver), false, _) => MachineCheck::warning(
            name,
            format!("{names} with driver {driver}, and libtorch without its CUDA libraries"),
            "run `make libtorch DEVICE=cuda`; until then runs compute on the processor",
        ),
        (Some(driver), true, _) => {
            let major = driver.split('.').next().and_then(|major| major.parse::<u32>().ok());
            let remedy = match major {
                Some(major) if major < OLDEST_DRIVER => format!(
                    "the driver is too old for CUDA 13: install {OLDEST_DRIVER} or newer, or compute \
                     on the processor with --device cpu"
                ),
                _ => "look whether `nvidia-smi` lists it, whether CUDA_VISIBLE_DEVICES hides it, and \
                      whether this account may open /dev/nvidia0"
                    .to_owned(),
            };
            MachineCheck::wrong(
                name,
                format!("{names} with driver {driver} cannot be used"),
                remedy,
            )
        }
    }
}

/// Which precision is fast, and how fast.
pub(super) fn speed() -> Vec<MachineCheck> {
    let rate = |kind, device| multiply(kind, device) / 1e9;
    let (f32_rate, bf16_rate) = (rate(Kind::Float, Device::Cpu), rate(Kind::BFloat16, Device::Cpu));
    let threads = f64::from(tch::get_num_threads());
    let mut checks =
        vec![judge_speed(f32_rate, threads), judge_precision(f32_rate, bf16_rate, has_fast_bf16())];
    if ffi::open_cuda() && Cuda::is_available() {
        let rates = [Kind::Float, Kind::BFloat16].map(|kind| rate(kind, Device::Cuda(0)));
        let found = format!("GPU: {:.0} GFLOP/s in f32, {:.0} in bf16", rates[0], rates[1]);
        checks.push(MachineCheck::ok("speed", found));
    }
    checks
}

/// Rates in GFLOP/s.
pub(super) fn judge_speed(rate: f64, threads: f64) -> MachineCheck {
    let found = format!("processor: {rate:.0} GFLOP/s in f32");
    // A core with AVX2 makes 30 and more.
    if rate / threads < 8.0 {
        MachineCheck::warning(
            "speed",
            found,
            "that is little for so many threads: see with `top` whether another program uses the \
             processor, and whether the container may use all cores",
        )
    } else {
        MachineCheck::ok("speed", found)
    }
}

pub(super) fn judge_precision(f32_rate: f64, bf16_rate: f64, has_fast_bf16: bool) -> MachineCheck {
    let found = format!("{bf16_rate:.0} GFLOP/s in bf16");
    match (has_fast_bf16, bf16_rate < f32_rate) {
        (true, false) => MachineCheck::ok("bf16", format!("{found}: runs take it (--dtype auto)")),
        (true, true) => MachineCheck::warning(
            "bf16",
            format!("{found}, slower than f32, though the processor has it"),
            "give runs --dtype f32 if this stays so when nothing else uses the processor",
        ),
        (false, _) => MachineCheck::ok(
            "bf16",
            format!("{found}, not in hardware: runs take f32 (--dtype auto)"),
        ),
    }
}

/// Floating-point operations per second of square matrix products: the best of half a second.
fn multiply(kind: Kind, device: Device) -> f64 {
    let _guard = tch::no_grad_guard();
    let size: i64 = if device == Device::Cpu { 1024 } else { 4096 };
    let random = || Tensor::rand([size, size], (Kind::Float, device)).to_kind(kind);
    let (left, right) = (random(), random());
    let warm_up = || left.narrow(0, 0, 128).matmul(&right).sum(Kind::Float).double_value(&[]);
    std::hint::black_box(warm_up());
    let operations = 2.0 * (size as f64).powi(3);
    let (started, mut best) = (Instant::now(), Duration::MAX);
    while best == Duration::MAX || started.elapsed() < Duration::from_millis(500) {
        let begun = Instant::now();
        let product = left.matmul(&right);
        // Waits for the GPU.
        std::hint::black_box(product.get(0).get(0).to_kind(Kind::Float).double_value(&[]));
        best = best.min(begun.elapsed());
    }
    operations / best.as_secs_f64().max(1e-9)
}
