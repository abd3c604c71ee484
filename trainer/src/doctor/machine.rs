//! Processor, memory and disk.

use super::MachineCheck;
use crate::run::environment::{cpu_info, cpu_info_value, processor as processor_name};
use std::{
    fs::{self, OpenOptions},
    io::Write,
    num::NonZero,
    path::Path,
    thread,
};

/// What libtorch's fastest kernels use, if the processor has it.
const FLAGS: [&str; 5] = ["avx2", "avx512f", "avx512_bf16", "amx_bf16", "amx_int8"];

const GB: f64 = 1e9;

pub(super) fn processor() -> MachineCheck {
    let info = cpu_info();
    let has = cpu_info_value(&info, "flags").unwrap_or_default();
    let flags: Vec<_> =
        FLAGS.into_iter().filter(|flag| has.split(' ').any(|had| had == *flag)).collect();
    let threads = tch::get_num_threads() as usize;
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let found = format!(
        "{} ({}), {threads} threads on {cores} cores",
        processor_name(),
        if flags.is_empty() { "no AVX2".to_owned() } else { flags.join(", ") }
    );
    if threads > cores {
        MachineCheck::warning(
            "processor",
            found,
            format!("more threads than cores wait for each other: set OMP_NUM_THREADS={cores}"),
        )
    } else if flags.is_empty() {
        MachineCheck::warning(
            "processor",
            found,
            "libtorch falls back to its slowest kernels: take another machine, or in a virtual one \
             let the processor's features through (QEMU: -cpu host)",
        )
    } else {
        MachineCheck::ok("processor", found)
    }
}

pub(super) fn memory() -> MachineCheck {
    let info = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib = |key: &str| {
        let line = info.lines().find(|line| line.starts_with(key))?;
        line.split_whitespace().nth(1)?.parse::<f64>().ok()
    };
    let of_machine =
        [kib("MemTotal:"), kib("MemAvailable:")].map(|kib| kib.unwrap_or(0.0) * 1024.0);
    judge_memory(of_machine, control_group())
}

/// What a container may have in all and what is left of it, in bytes.
fn control_group() -> Option<[f64; 2]> {
    let number = |name: &str| {
        let text = fs::read_to_string(Path::new("/sys/fs/cgroup").join(name)).ok()?;
        text.trim().parse::<f64>().ok()
    };
    let (total, used) = (number("memory.max")?, number("memory.current")?);
    Some([total, (total - used).max(0.0)])
}

/// In bytes: all there is, and what is free.
pub(super) fn judge_memory([total, free]: [f64; 2], container: Option<[f64; 2]>) -> MachineCheck {
    let [limit, left] = container.unwrap_or([f64::INFINITY; 2]);
    let (total, free) = (total.min(limit), free.min(left));
    let whose = if limit.is_finite() { " that this container may use" } else { "" };
    let found = format!("{:.1} of {:.1} GB free{whose}", free / GB, total / GB);
    let remedy = "full fine-tuning takes about 16 bytes per parameter besides the batch, and PPO \
                  holds four models (SmolLM2-135M: 3 GB, 7 GB): end other programs, or take a machine \
                  with more memory";
    match free / GB {
        free if free < 1.0 => MachineCheck::wrong("memory", found, remedy),
        free if free < 8.0 => MachineCheck::warning("memory", found, remedy),
        _ => MachineCheck::ok("memory", found),
    }
}

/// Whether the folder can be written and has room.
pub(super) fn artifacts(folder: &Path) -> MachineCheck {
    let name = "artifacts";
    let shown = folder.display();
    if !folder.exists() {
        let remedy = format!("make it with `mkdir -p {shown}`, or name another with --artifacts");
        return MachineCheck::wrong(name, format!("{shown} is not there"), remedy);
    }
    if !folder.is_dir() {
        return MachineCheck::wrong(
            name,
            format!("{shown} is a file"),
            "name a folder with --artifacts",
        );
    }
    if let Err(error) = write_into(folder) {
        let remedy = match error.kind() {
            std::io::ErrorKind::StorageFull => {
                "make room on that disk, or name a folder on another"
            }
            _ => {
                "give the account that runs the worker the right to write there (chown), or name \
                 another folder with --artifacts"
            }
        };
        return MachineCheck::wrong(name, format!("{shown} cannot be written: {error}"), remedy);
    }
    match rustix::fs::statvfs(folder) {
        Ok(disk) => {
            let bytes = |blocks: u64| blocks.saturating_mul(disk.f_frsize) as f64;
            judge_disk(folder, bytes(disk.f_bavail), bytes(disk.f_blocks))
        }
        Err(error) => MachineCheck::warning(
            name,
            format!("{shown} can be written; how full its disk is cannot be told ({error})"),
            "look with `df -h`",
        ),
    }
}

/// In bytes.
pub(super) fn judge_disk(folder: &Path, free: f64, total: f64) -> MachineCheck {
    let found = format!("{}: {:.1} of {:.1} GB free", folder.display(), free / GB, total / GB);
    let remedy = "a run keeps up to three checkpoints of 12 bytes per parameter each, and every model \
                  takes 4 (SmolLM2-135M: 5 GB, 0.5 GB): delete what is not needed, or name a folder on \
                  another disk with --artifacts";
    match free / GB {
        free if free < 1.0 => MachineCheck::wrong("artifacts", found, remedy),
        free if free < 10.0 => MachineCheck::warning("artifacts", found, remedy),
        _ => MachineCheck::ok("artifacts", found),
    }
}

fn write_into(folder: &Path) -> std::io::Result<()> {
    let path = folder.join(format!(".doctor-{}", std::process::id()));
    let written =
        OpenOptions::new().write(true).create_new(true).open(&path).and_then(|mut file| {
            file.write_all(&[0; 4096])?;
            file.sync_all()
        });
    if written.is_ok() {
        return fs::remove_file(&path);
    }
    let _ = fs::remove_file(&path);
    written
}
