//! How libtorch's threads wait for each other.

use std::{env, os::unix::process::CommandExt, process::Command};

/// Rounds that a thread spins at a barrier before it sleeps. GNU OpenMP's own 300,000 make two
/// trainers on one machine twelve times slower than one, because each burns the time that the
/// other's threads wait for; with 1,000 they share, and one alone is no slower.
const SPIN_COUNT: &str = "1000";

/// Starts the program again with that setting, which OpenMP reads before `main`, unless the person
/// chose one or there is one thread. The process keeps its number and its input and output.
pub(crate) fn restart_with_short_spins() {
    let is_set = |name| env::var_os(name).is_some();
    let has_one_thread = env::var_os("OMP_NUM_THREADS").is_some_and(|value| value == "1");
    if is_set("GOMP_SPINCOUNT") || is_set("OMP_WAIT_POLICY") || has_one_thread {
        return;
    }
    if let Ok(program) = env::current_exe() {
        // It comes back only when it failed, and then the work is done with the setting as it is.
        let _ = Command::new(program)
            .args(env::args_os().skip(1))
            .env("GOMP_SPINCOUNT", SPIN_COUNT)
            .exec();
    }
}
