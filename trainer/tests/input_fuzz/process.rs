//! One reader's rounds, in a process of their own whose memory and time are watched.

use super::RoundTally;
use rand::{Rng, SeedableRng, rngs::StdRng};
use rustix::process::{Resource, Rlimit, setrlimit};
use std::{
    env, fs,
    panic::{self, AssertUnwindSafe},
    path::Path,
    process::{Command, abort},
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

/// In the suite; `ATTUNE_FUZZ` says how long otherwise.
const SHORT: Duration = Duration::from_secs(4);

/// A round that takes longer hangs, on the slowest machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// Rounds until libraries have allocated what they keep.
const WARM_UP: u64 = 300;

/// What a round may take beside its file, and how many times the file's bytes: f32 of a 2-bit weight is
/// 16 times as large, a parsed JSON value about as much.
const MEMORY: u64 = 24 << 20;
const MEMORY_PER_BYTE: u64 = 64;

/// What all rounds together may leave behind once all is warm.
const LEFT_BEHIND: u64 = 96 << 20;

/// More than this a reader does not even reserve, whatever a file claims.
const ADDRESS_SPACE: u64 = 16 << 30;

/// A round: breaks something, hands it to its reader in `folder`, and says how many bytes it was.
pub(crate) type FuzzRound = fn(&mut StdRng, &Path, &mut RoundTally) -> usize;

const CHILD: &str = "ATTUNE_FUZZ_CHILD";

/// Runs the rounds of a reader: `name` is the test that calls this.
pub(crate) fn fuzz(name: &str, round: FuzzRound) {
    if env::var_os(CHILD).is_some() {
        return rounds(name, round);
    }
    let mut child = Command::new(env::current_exe().expect("a test knows its own path"));
    child.args(["--exact", name, "--nocapture", "--test-threads", "1"]).env(CHILD, name);
    // A folder in memory: what is fuzzed is the readers, not the disk.
    if Path::new("/dev/shm").is_dir() {
        child.env("TMPDIR", "/dev/shm");
    }
    for threads in ["RAYON_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"] {
        child.env(threads, "1");
    }
    // A batch is split in the round's own thread.
    child.env("TOKENIZERS_PARALLELISM", "false");
    let status = child.status().expect("it starts");
    assert!(status.success(), "{name}: {status}; what it said is above");
}

/// The round under way, for the thread that looks whether it hangs.
static ROUND: AtomicU64 = AtomicU64::new(0);

fn rounds(name: &str, round: FuzzRound) {
    let limit = Rlimit { current: Some(ADDRESS_SPACE), maximum: Some(ADDRESS_SPACE) };
    setrlimit(Resource::As, limit).expect("a limit can be lowered");
    let seconds = env::var("ATTUNE_FUZZ").ok().map(|text| text.parse().expect("seconds"));
    let length = seconds.map_or(SHORT, Duration::from_secs);
    let seed: u64 = match env::var("ATTUNE_FUZZ_SEED") {
        Ok(seed) => seed.parse().expect("a number"),
        Err(_) => rand::rng().next_u64() >> 11,
    };
    println!("{name}: ATTUNE_FUZZ_SEED={seed}");
    // Readers catch what the libraries beneath them panic about; a panic that comes out is told below.
    panic::set_hook(Box::new(|_| {}));
    thread::spawn(move || watch_for_a_hang(seed));

    let folder = tempfile::tempdir().expect("a folder");
    let (mut tally, mut slowest, mut most) = (RoundTally::default(), (Duration::ZERO, 0), (0, 0));
    let (mut n, mut warm, started) = (0, 0, Instant::now());
    while started.elapsed() < length {
        ROUND.store(n, Ordering::Relaxed);
        forget_the_peak();
        let before = memory("VmRSS:");
        let mut dice = StdRng::seed_from_u64(seed.wrapping_add(n));
        let began = Instant::now();
        let broke = AssertUnwindSafe(|| round(&mut dice, folder.path(), &mut tally));
        let n_bytes = panic::catch_unwind(broke).unwrap_or_else(|payload| {
            let said = payload.downcast_ref::<String>().cloned();
            let said = said.or(payload.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            fail(n, seed, &format!("panicked: {}", said.unwrap_or_default()))
        });
        slowest = slowest.max((began.elapsed(), n));
        if n >= WARM_UP {
            let taken = memory("VmHWM:").saturating_sub(before);
            most = most.max((taken, n));
            if taken > MEMORY + MEMORY_PER_BYTE * n_bytes as u64 {
                fail(n, seed, &format!("took {} MB for {n_bytes} bytes", taken >> 20));
            }
        }
        if n == WARM_UP {
            warm = memory("VmRSS:");
        }
        n += 1;
    }
    let left = memory("VmRSS:").saturating_sub(warm);
    println!(
        "{name}: {n} executions, {tally:?}; slowest {slowest:?}; {} MB at the most in one (round {}), \
         {} MB left behind",
        most.0 >> 20,
        most.1,
        left >> 20
    );
    assert!(warm == 0 || left < LEFT_BEHIND, "{} MB are left behind", left >> 20);
    assert!(tally.n_read > 0 && tally.n_refused > 0, "rounds do not get everywhere: {tally:?}");
}

/// Says what happened in a round and how to repeat it, and ends the process: a reader that went wrong is
/// not gone on with.
fn fail(n: u64, seed: u64, what: &str) -> ! {
    eprintln!("round {n} {what}; repeat it with ATTUNE_FUZZ_SEED={}", seed.wrapping_add(n));
    std::process::exit(1)
}

fn watch_for_a_hang(seed: u64) {
    let (mut round, mut since) = (0, Instant::now());
    loop {
        thread::sleep(Duration::from_millis(200));
        let now = ROUND.load(Ordering::Relaxed);
        if now != round {
            (round, since) = (now, Instant::now());
        } else if since.elapsed() > PATIENCE {
            let again = seed.wrapping_add(round);
            eprintln!("round {round} hangs; repeat it with ATTUNE_FUZZ_SEED={again}");
            abort();
        }
    }
}

/// The most memory that was held is measured anew from here on (Linux; elsewhere it grows only).
fn forget_the_peak() {
    let _ = fs::write("/proc/self/clear_refs", "5");
}

/// A line of /proc/self/status, in bytes.
fn memory(name: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("on Linux");
    let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("its memory");
    line.split_whitespace().next().expect("a number").parse::<u64>().expect("a number") << 10
}
