//! The judgements of the checks, on machines as they may be.

use super::{
    devices::{GpuFacts, judge_gpu, judge_libtorch, judge_precision, judge_speed},
    machine::{artifacts, judge_disk, judge_memory},
    self_check::{LossAndNorm, judge},
    *,
};
use std::path::Path;
use tch::{Device, Kind};

fn remedy(check: &MachineCheck) -> &str {
    check.remedy.as_deref().unwrap_or("nothing")
}

#[test]
fn this_build_computes_what_pytorch_computes() {
    let checks = self_check::run();
    let of_processor = |check: &&MachineCheck| check.found.starts_with("processor");
    assert!(checks.iter().filter(of_processor).count() == 2);
    assert!(checks.iter().all(|check| check.status == CheckStatus::Ok), "{checks:?}");
}

#[test]
fn numbers_that_are_not_pytorchs_are_wrong_and_ones_that_change_a_warning() {
    let golden = LossAndNorm { loss: 6.4, gradient_norm: 3.0 };
    let of = |first, second| judge(Kind::Float, Device::Cpu, [first, second], golden).status;
    assert_eq!(of(golden, golden), CheckStatus::Ok);
    for wrong in [6.41, f64::NAN, f64::INFINITY] {
        let loss = LossAndNorm { loss: wrong, ..golden };
        assert_eq!(of(loss, loss), CheckStatus::Wrong, "{wrong}");
    }
    let gradient = LossAndNorm { gradient_norm: 0.0, ..golden };
    assert_eq!(of(gradient, gradient), CheckStatus::Wrong);
    assert_eq!(of(golden, LossAndNorm { loss: 6.400_000_1, ..golden }), CheckStatus::Warning);
    let rounded = LossAndNorm { loss: 6.41, ..golden };
    let check = judge(Kind::BFloat16, Device::Cpu, [rounded, rounded], golden);
    assert_eq!(check.status, CheckStatus::Ok, "{check:?}");
}

#[test]
fn another_libtorch_is_wrong_and_says_which_one_is_right() {
    let path = Some("/lib/libtorch_cpu.so");
    let check = judge_libtorch("2.11.0+cu130", "2.11.0", path);
    assert_eq!(check, MachineCheck::ok("libtorch", "2.11.0, /lib/libtorch_cpu.so"));
    let check = judge_libtorch("2.11.0", "2.10.0", path);
    assert_eq!(check.status, CheckStatus::Wrong);
    assert!(remedy(&check).contains("libtorch 2.11.0"), "{check:?}");
}

#[test]
fn each_way_of_having_no_gpu_has_its_own_remedy() {
    let of = |driver: Option<&str>, has_libraries, n_usable| {
        let names = driver.map(|_| "NVIDIA H100".to_owned()).into_iter().collect();
        judge_gpu(&GpuFacts { driver: driver.map(str::to_owned), names, has_libraries, n_usable })
    };
    assert_eq!(of(None, false, 0).status, CheckStatus::Ok);
    let cases = [
        (of(None, true, 0), CheckStatus::Warning, "--gpus all"),
        (of(Some("580.65.06"), false, 0), CheckStatus::Warning, "make libtorch DEVICE=cuda"),
        (of(Some("535.1"), true, 0), CheckStatus::Wrong, "too old for CUDA 13"),
        (of(Some("580.65.06"), true, 0), CheckStatus::Wrong, "CUDA_VISIBLE_DEVICES"),
    ];
    for (check, status, word) in cases {
        assert_eq!(check.status, status, "{check:?}");
        assert!(remedy(&check).contains(word), "{check:?}");
    }
    let usable = of(Some("580.65.06"), true, 1);
    assert_eq!(usable, MachineCheck::ok("gpu", "NVIDIA H100: 1 usable, driver 580.65.06"));
}

#[test]
fn little_speed_memory_or_disk_is_told_before_it_is_wrong() {
    assert_eq!(judge_speed(100.0, 2.0).status, CheckStatus::Ok);
    assert_eq!(judge_speed(10.0, 2.0).status, CheckStatus::Warning);
    assert_eq!(judge_precision(100.0, 200.0, true).status, CheckStatus::Ok);
    assert_eq!(judge_precision(100.0, 50.0, true).status, CheckStatus::Warning);
    assert!(judge_precision(100.0, 50.0, false).found.contains("runs take f32"));
    let memory = |free: f64, container| judge_memory([64e9, free], container).status;
    assert_eq!(memory(32e9, None), CheckStatus::Ok);
    assert_eq!(memory(4e9, None), CheckStatus::Warning);
    assert_eq!(memory(32e9, Some([2e9, 0.5e9])), CheckStatus::Wrong);
    let disk = |free| judge_disk(Path::new("/data"), free, 1e12).status;
    let found = [disk(100e9), disk(5e9), disk(0.5e9)];
    assert_eq!(found, [CheckStatus::Ok, CheckStatus::Warning, CheckStatus::Wrong]);
}

#[test]
fn a_folder_that_takes_no_file_is_wrong_and_a_good_one_is_left_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    assert_ne!(artifacts(folder.path()).status, CheckStatus::Wrong);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    // Nobody, root included, makes files there.
    let check = artifacts(Path::new("/proc"));
    assert_eq!(check.status, CheckStatus::Wrong, "{check:?}");
    assert!(check.found.contains("/proc cannot be written"), "{check:?}");
}
