//! What libtorch's libraries are told by the environment: they read it before `main`, or once, when
//! they are first used.

use std::{
    env,
    ffi::{OsStr, OsString},
    os::unix::process::CommandExt,
    process::Command,
};

/// A variable with the value that it gets.
type Setting = (&'static str, &'static str);

/// Rounds that a thread spins at a barrier before it sleeps. GNU OpenMP's own 300,000 make two
/// trainers on one machine twelve times slower than one, because each burns the time that the
/// other's threads wait for; with 1,000 they share, and one alone is no slower.
const SPINS: Setting = ("GOMP_SPINCOUNT", "1000");

/// oneDNN's kernels of matrix products in bf16, one for every shape, of about a megabyte: it keeps
/// 1,024, and ideep, through which libtorch calls it, as many beside it. No two batches of texts have the
/// same shapes, so that a run took a gigabyte more after some dozens of steps. A step repeats its shapes
/// in every layer, and these are all that it uses again: with 8 kernels a step takes half as long again.
const KERNELS: [Setting; 2] =
    [("LRU_CACHE_CAPACITY", "1"), ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "64")];

/// The older name of the second.
const OLDER_NAME: &str = "DNNL_PRIMITIVE_CACHE_CAPACITY";

/// Starts the program again with these settings, but for those that the person chose. The process
/// keeps its number and its input and output.
pub(crate) fn restart_with_settings() {
    let missing = missing(|name| env::var_os(name));
    if missing.is_empty() {
        return;
    }
    if let Ok(program) = env::current_exe() {
        // It comes back only when it failed, and then the work is done with the settings as they are.
        let _ = Command::new(program).args(env::args_os().skip(1)).envs(missing).exec();
    }
}

/// What nobody has chosen. Threads that are one do not wait for each other.
fn missing(variable: impl Fn(&str) -> Option<OsString>) -> Vec<Setting> {
    let is_set = |name| variable(name).is_some();
    let has_one_thread = variable("OMP_NUM_THREADS").as_deref() == Some(OsStr::new("1"));
    let waits_as_asked = is_set("OMP_WAIT_POLICY") || has_one_thread;
    let spins = (!waits_as_asked).then_some(SPINS);
    let [plans, kernels] = KERNELS;
    let kernels = (!is_set(OLDER_NAME)).then_some(kernels);
    [spins, Some(plans), kernels].into_iter().flatten().filter(|(name, _)| !is_set(name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(set: &[Setting]) -> Vec<&'static str> {
        let value = |name: &str| set.iter().find(|(known, _)| *known == name);
        let missing = missing(|name| value(name).map(|(_, value)| OsString::from(value)));
        missing.into_iter().map(|(name, _)| name).collect()
    }

    #[test]
    fn whoever_chose_a_setting_keeps_it_and_gets_the_others() {
        let all = ["GOMP_SPINCOUNT", "LRU_CACHE_CAPACITY", "ONEDNN_PRIMITIVE_CACHE_CAPACITY"];
        assert_eq!(names(&[]), all);
        assert_eq!(names(&[("LRU_CACHE_CAPACITY", "1024")]), [all[0], all[2]]);
        assert_eq!(names(&[(OLDER_NAME, "1024")]), all[..2]);
        assert_eq!(names(&[("OMP_NUM_THREADS", "1")]), all[1..]);
        assert_eq!(names(&[("OMP_NUM_THREADS", "2")]), all);
        assert_eq!(names(&[("OMP_WAIT_POLICY", "ACTIVE")]), all[1..]);
        assert!(names(&[SPINS, KERNELS[0], KERNELS[1]]).is_empty(), "it starts again once");
    }
}
