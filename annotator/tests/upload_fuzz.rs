//! Whatever somebody sends as an upload: the form, what is packed in it and its rows are broken at
//! random, and the real reader must end in time, in little memory, and without a panic.
//!
//! In a process of its own, so that its memory can be measured. `ATTUNE_FUZZ=900` goes on for as many
//! seconds; `ATTUNE_FUZZ_SEED` repeats the rounds of another run.

use actix_multipart::Multipart;
use actix_web::{
    error::PayloadError,
    http::header::{self, HeaderMap, HeaderValue},
    rt,
    web::Bytes,
};
use annotator::{
    config::StorageConfig,
    data::{
        formats::row::ImportRow,
        import::{
            check::{CheckWatch, FileCheck, FileRows, TOLD},
            limits::ImportLimits,
            queue::ImportQueue,
            store::{CHUNK_BYTES, CHUNK_ROWS, RowChunks},
        },
        prompts, texts, uploads,
    },
    database,
    web::form::FormError,
};
use flate2::{Compression, write::GzEncoder};
use futures_util::stream;
use rand::{Rng, RngExt, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use std::{
    env, fs,
    io::Write,
    panic::AssertUnwindSafe,
    time::{Duration, Instant},
};

/// Small enough that the fuzzer meets every one of them.
const LIMITS: ImportLimits = ImportLimits {
    file_bytes: 64 << 10,
    text_bytes: 1 << 20,
    line_bytes: 4 << 10,
    lines: 2_000,
    silence: Duration::from_millis(5),
};

/// In the suite; `ATTUNE_FUZZ` says how long otherwise.
const SHORT: Duration = Duration::from_secs(8);

/// A round that takes longer hangs, on the slowest machine.
const PATIENCE: Duration = Duration::from_secs(10);

/// More than one round may add to the most memory that was ever taken, once all is warm.
const MEMORY: u64 = 24 << 20;

/// More than any limit, and no more than it takes to be more.
const MOST_TEXT: usize = 2 << 20;

const BOUNDARY: &str = "----b0undary";

/// Pieces of the three languages that the reader reads.
const PIECES: &[&[u8]] = &[
    b"{\"prompt\":\"Q\"}\n",
    b"\"prompt\"",
    b"\"completion\"",
    b"\"messages\"",
    b"\"chosen\":",
    b"\"rejected\":",
    b"{\"role\":\"user\",\"content\":\"\"}",
    b"{\"role\":\"assistant\",\"content\":\"A\"}",
    b"\"role\":\"tool\"",
    b"\\u0000",
    b"\\ud800",
    b"\\udc00\\ud800",
    b"\\u200b",
    b"\xef\xbb\xbf",
    b"\xff\xfe",
    b"\xfe\xff",
    b"\0",
    b"\xed\xa0\x80",
    b"\xf0\x9f\x98\x80",
    b"1e999",
    b"-0",
    b"99999999999999999999999",
    b"[[[[[[[[[[[[[[[[",
    b"{\"a\":{\"a\":",
    b"null",
    b"\r\n",
    b"\n\n",
    b"\r",
    b"\t",
    b"\"",
    b"\\",
    b",",
    b"}",
    b"]",
    b"\x1f\x8b\x08\0\0\0\0\0\0\xff",
    b"PK\x03\x04",
    b"------b0undary\r\n",
    b"------b0undary--\r\n",
    b"Content-Disposition: form-data; name=\"file\"",
    b"; filename=\"\xff\"",
    b"; filename*=UTF-8''%00",
    b"name=\"leave_out\"",
    b"Content-Type: multipart/mixed\r\n",
    b"\r\n\r\n",
    b"Content-Length: 99999999\r\n",
];

const ROWS: &[&str] = &[
    "{\"prompt\":\"Why?\"}\n",
    "{\"prompt\":\"Почему?\",\"completion\":\"Потому.\"}\r\n",
    "{\"prompt\":[{\"role\":\"system\",\"content\":\"Be kind\"},{\"role\":\"user\",\"content\":\"Hi\"}]}\n",
    "{\"messages\":[{\"role\":\"user\",\"content\":\"Q\"},{\"role\":\"assistant\",\"content\":\"A\"}]}\n",
    "{\"prompt\":\"Q\",\"chosen\":\"A\",\"rejected\":\"B\"}\n",
    "\n",
];

/// Breaks bytes in a few places.
fn mutate(bytes: &mut Vec<u8>, dice: &mut StdRng) {
    for _ in 0..dice.random_range(1..6) {
        let at = dice.random_range(0..=bytes.len());
        let end = at + dice.random_range(0..=(bytes.len() - at).min(64));
        match dice.random_range(0..8) {
            0 if at < bytes.len() => bytes[at] ^= 1 << dice.random_range(0..8),
            1 if at < bytes.len() => bytes[at] = dice.random(),
            2 => drop(bytes.drain(at..end)),
            3 => {
                let copy = bytes[at..end].to_vec();
                let to = dice.random_range(0..=bytes.len());
                bytes.splice(to..to, copy);
            }
            4 => bytes.truncate(at),
            5 => {
                let many = bytes[at..end].repeat(dice.random_range(1..80));
                bytes.splice(at..at, many);
            }
            _ => drop(bytes.splice(at..at, PIECES.choose(dice).expect("some").iter().copied())),
        }
    }
}

fn maybe(bytes: &mut Vec<u8>, dice: &mut StdRng, one_in: u32) {
    if dice.random_range(0..one_in) == 0 {
        mutate(bytes, dice);
    }
}

/// The rows of a file, most of them good.
fn rows(dice: &mut StdRng) -> Vec<u8> {
    let n = if dice.random_range(0..50) == 0 { 3_000 } else { dice.random_range(0..12) };
    let mut text: Vec<u8> = (0..n).flat_map(|_| ROWS.choose(dice).expect("some").bytes()).collect();
    maybe(&mut text, dice, 2);
    match dice.random_range(0..12) {
        0 => {
            text =
                String::from_utf8_lossy(&text).encode_utf16().flat_map(u16::to_le_bytes).collect();
        }
        1 => {
            text =
                String::from_utf8_lossy(&text).encode_utf16().flat_map(u16::to_be_bytes).collect();
        }
        2 => text = text.repeat(dice.random_range(1..40)),
        _ => {}
    }
    maybe(&mut text, dice, 6);
    text.truncate(MOST_TEXT); // what is measured is the reader's memory, not that of this
    text
}

fn file(dice: &mut StdRng) -> Vec<u8> {
    let text = rows(dice);
    if dice.random_range(0..3) > 0 {
        return text;
    }
    let mut packed = Vec::new();
    for part in text.chunks(text.len().max(1).div_ceil(dice.random_range(1..3))) {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        gzip.write_all(part).expect("memory takes it");
        if dice.random_range(0..40) == 0 {
            gzip.write_all(&vec![dice.random(); 4 << 20]).expect("memory takes it");
        }
        packed.extend(gzip.finish().expect("memory takes it"));
    }
    maybe(&mut packed, dice, 3);
    packed
}

fn form(dice: &mut StdRng) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, value) in [("csrf", "token"), ("leave_out", "yes")] {
        if dice.random_range(0..3) > 0 {
            body.extend(format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n").bytes());
        }
    }
    let head = "Content-Disposition: form-data; name=\"file\"; filename=\"rows.jsonl\"\r\nContent-Type: application/octet-stream";
    body.extend(format!("--{BOUNDARY}\r\n{head}\r\n\r\n").bytes());
    body.extend(file(dice));
    body.extend(format!("\r\n--{BOUNDARY}--\r\n").bytes());
    maybe(&mut body, dice, 4);
    body
}

/// The body as it comes over a wire: in pieces, and broken off now and then.
fn arriving(body: Vec<u8>, dice: &mut StdRng) -> Vec<Result<Bytes, PayloadError>> {
    let mut pieces = Vec::new();
    let mut rest = Bytes::from(body);
    while !rest.is_empty() {
        let most = if dice.random_range(0..4) == 0 { 7 } else { 1 << 14 };
        pieces.push(Ok(rest.split_to(dice.random_range(1..=most).min(rest.len()))));
    }
    if dice.random_range(0..20) == 0 {
        pieces.truncate(dice.random_range(0..=pieces.len()));
        pieces.push(Err(PayloadError::Incomplete(None)));
    }
    pieces
}

/// What came of a round, to see that rounds get everywhere.
#[derive(Default, Debug)]
struct Tally {
    n_rounds: u64,
    no_form: u64,
    refused_form: u64,
    refused_file: u64,
    with_refused_rows: u64,
    whole: u64,
    n_rows: u64,
}

async fn round(queue: &ImportQueue, dice: &mut StdRng, tally: &mut Tally) {
    tally.n_rounds += 1;
    let body = form(dice);
    let mut headers = HeaderMap::new();
    let kind = format!("multipart/form-data; boundary={BOUNDARY}");
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_str(&kind).expect("a header"));
    let pieces = arriving(body, dice);
    let received =
        uploads::receive(queue, Multipart::new(&headers, stream::iter(pieces)), LIMITS).await;
    let received = match received {
        Ok(received) => received,
        Err(FormError::Failed(error)) => {
            let status = actix_web::ResponseError::status_code(&error);
            assert!(status.is_client_error(), "{error}");
            tally.no_form += 1;
            return;
        }
        Err(FormError::Invalid(errors)) => {
            assert!(!errors.is_empty());
            tally.refused_form += 1;
            return;
        }
    };
    assert!(received.n_bytes <= LIMITS.file_bytes);
    assert!(
        received.file_name.is_none_or(|name| name.chars().count() <= 200 && !name.contains('\0'))
    );
    let open = || fs::File::open(received.file.path()).expect("it is there");
    let check = match FileCheck::of(open(), LIMITS, &CheckWatch::default()) {
        Ok(check) => check,
        Err(why) => {
            assert!(why.key.is_some(), "{why}");
            tally.refused_file += 1;
            return;
        }
    };
    assert!(check.n_lines <= LIMITS.lines && check.n_rows + check.n_refused <= check.n_lines);
    assert_eq!(check.refused.len() as u64, check.n_refused.min(TOLD as u64));
    let told: usize = check.refused.iter().map(|refused| refused.reason.text.len()).sum();
    assert!(told < TOLD * 2_000, "{told} bytes are told");
    assert!(check.refused.iter().all(|refused| !refused.reason.text.contains('\0')), "{check:?}");
    let rows = FileRows::open(open(), LIMITS).expect("it was read before");
    let mut n_rows = 0;
    for chunk in RowChunks::new(rows, 0, true) {
        let chunk = chunk.expect("what cannot be read is left out");
        assert!(chunk.rows.len() <= CHUNK_ROWS && chunk.last_line <= check.n_lines);
        let n_bytes: usize = chunk.rows.iter().map(ImportRow::n_bytes).sum();
        assert!(n_bytes < CHUNK_BYTES + LIMITS.line_bytes as usize);
        for row in &chunk.rows {
            assert!(row.answers.iter().all(|answer| !texts::is_blank(answer)), "{row:?}");
            assert!(!texts::is_blank(&prompts::headline(row.prompt.clone())), "{row:?}");
        }
        n_rows += chunk.rows.len() as u64;
    }
    assert_eq!(n_rows, check.n_rows, "both readings find the same rows");
    tally.n_rows += n_rows;
    *if check.n_refused > 0 { &mut tally.with_refused_rows } else { &mut tally.whole } += 1;
}

/// The most memory that this process ever took, in bytes.
fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("on Linux");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("its peak");
    line.split_whitespace().nth(1).expect("a number").parse::<u64>().expect("a number") << 10
}

#[test]
fn an_upload_of_whatever_kind_is_read_or_refused() {
    let seconds = env::var("ATTUNE_FUZZ").ok().map(|text| text.parse().expect("seconds"));
    let length = seconds.map_or(SHORT, Duration::from_secs);
    let seed = match env::var("ATTUNE_FUZZ_SEED") {
        Ok(seed) => seed.parse().expect("a number"),
        Err(_) => rand::rng().next_u64() >> 11,
    };
    println!("ATTUNE_FUZZ_SEED={seed}");
    let folder = tempfile::tempdir().expect("a folder");
    let mut tally = Tally::default();
    let mut slowest = (Duration::ZERO, 0);
    let mut warm = 0;
    rt::System::new().block_on(async {
        let storage = StorageConfig {
            data_dir: folder.path().to_owned(),
            database_url: None,
            artifacts: None,
            no_migration_copy: false,
        };
        let db = database::open(&storage).await.expect("a database");
        let queue = ImportQueue::new(db, folder.path());
        let started = Instant::now();
        while started.elapsed() < length {
            let n = tally.n_rounds;
            let mut dice = StdRng::seed_from_u64(seed.wrapping_add(n));
            let began = Instant::now();
            let broke = AssertUnwindSafe(round(&queue, &mut dice, &mut tally));
            let done = futures_util::FutureExt::catch_unwind(broke).await;
            assert!(
                done.is_ok(),
                "round {n} of seed {seed} panicked: ATTUNE_FUZZ_SEED={}",
                seed.wrapping_add(n)
            );
            slowest = slowest.max((began.elapsed(), n));
            assert!(slowest.0 < PATIENCE, "round {n} of seed {seed} took {:?}", slowest.0);
            if n == 500 {
                warm = peak();
            }
            if n > 500 && n.is_multiple_of(100) {
                assert!(peak() < warm + MEMORY, "by round {n} of seed {seed}: {} MB", peak() >> 20);
            }
        }
    });
    println!("{tally:?}; slowest {slowest:?}; {} MB at the most", peak() >> 20);
    let left: Vec<_> = fs::read_dir(folder.path().join("imports")).expect("it").flatten().collect();
    assert!(left.is_empty(), "files stay: {left:?}");
    for (what, n) in [
        ("no form", tally.no_form),
        ("a form without a file", tally.refused_form),
        ("a file that is refused", tally.refused_file),
        ("a file with rows that are refused", tally.with_refused_rows),
        ("a good file", tally.whole),
    ] {
        assert!(n > 0, "no round met {what}: {tally:?}");
    }
}
