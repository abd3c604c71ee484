//! Which variables a child process is given: what it needs to compute, and nothing that was set for
//! others. A base that was fetched from anywhere is read by these processes.

use std::{env, ffi::OsString};

/// What a child process is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChildPurpose {
    /// Trains, or answers.
    Computing,
    /// Reaches the hub, with the token of whoever started this.
    Fetching,
    /// Takes runs from the database and starts the two others.
    Working,
}

/// Whole names, and beginnings of names, of what every program and libtorch look at.
const COMPUTING: [&str; 17] = [
    "PATH",
    "HOME",
    "USER",
    "LANG",
    "TZ",
    "TMPDIR",
    "LD_LIBRARY_PATH",
    "LIBTORCH",
    "RUST_LOG",
    "RUST_BACKTRACE",
    "MALLOC_ARENA_MAX",
    "MALLOC_CONF",
    "GLIBC_TUNABLES",
    "LRU_CACHE_CAPACITY",
    "XDG_CACHE_HOME",
    "XDG_RUNTIME_DIR",
    "ATTUNE_DETERMINISTIC",
];
const COMPUTING_BEGINNINGS: [&str; 14] = [
    "LC_",
    "OMP_",
    "GOMP_",
    "KMP_",
    "MKL_",
    "ONEDNN_",
    "DNNL_",
    "OPENBLAS_",
    "CUDA_",
    "CUBLAS_",
    "NVIDIA_",
    "NCCL_",
    "TORCH_",
    "PYTORCH_",
];

/// The hub's and its library's, and the way there.
const FETCHING: [&str; 12] = [
    "HUGGING_FACE_HUB_TOKEN",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "NIX_SSL_CERT_FILE",
];
const FETCHING_BEGINNINGS: [&str; 1] = ["HF_"];

/// What PostgreSQL's clients look at where the database's address leaves something out, and our own.
const WORKING_BEGINNINGS: [&str; 2] = ["PG", "ATTUNE_WORKER_"];

/// The variables of this process that a child for `purpose` inherits, for `Command::envs` behind
/// `Command::env_clear`.
pub fn inherited(purpose: ChildPurpose) -> impl Iterator<Item = (OsString, OsString)> {
    env::vars_os().filter(move |(name, _)| name.to_str().is_some_and(|name| passes(name, purpose)))
}

fn passes(name: &str, purpose: ChildPurpose) -> bool {
    let begins = |beginnings: &[&str]| beginnings.iter().any(|start| name.starts_with(start));
    let computes = COMPUTING.contains(&name) || begins(&COMPUTING_BEGINNINGS);
    let fetches = FETCHING.contains(&name) || begins(&FETCHING_BEGINNINGS);
    match purpose {
        ChildPurpose::Computing => computes,
        ChildPurpose::Fetching => computes || fetches,
        ChildPurpose::Working => computes || fetches || begins(&WORKING_BEGINNINGS),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_computes_gets_no_token_and_one_that_fetches_only_the_hub_s() {
        for (name, computing, fetching, working) in [
            ("PATH", true, true, true),
            ("OMP_NUM_THREADS", true, true, true),
            ("CUDA_VISIBLE_DEVICES", true, true, true),
            ("LRU_CACHE_CAPACITY", true, true, true),
            ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", true, true, true),
            ("DNNL_PRIMITIVE_CACHE_CAPACITY", true, true, true),
            ("HF_TOKEN", false, true, true),
            ("HUGGING_FACE_HUB_TOKEN", false, true, true),
            ("HTTPS_PROXY", false, true, true),
            ("AWS_SECRET_ACCESS_KEY", false, false, false),
            ("GOOGLE_APPLICATION_CREDENTIALS", false, false, false),
            ("OPENAI_API_KEY", false, false, false),
            ("DATABASE_URL", false, false, false),
            ("PGPASSWORD", false, false, true),
            ("ATTUNE_SERVE_KEY", false, false, false),
        ] {
            assert_eq!(passes(name, ChildPurpose::Computing), computing, "{name}");
            assert_eq!(passes(name, ChildPurpose::Fetching), fetching, "{name}");
            assert_eq!(passes(name, ChildPurpose::Working), working, "{name}");
        }
    }
}
