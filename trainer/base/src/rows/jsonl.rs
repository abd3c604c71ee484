//! JSON Lines files read row by row, plain or gzipped.

use super::DataError;
use entity::{json_problem, message, message::KeyedMessage, unique_json::UniqueJson};
use flate2::read::MultiGzDecoder;
use serde_json::{Map, Value};
use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// One row, and where it stands.
#[derive(Debug)]
pub(super) struct JsonLine {
    /// 1-based, blank lines counted.
    pub number: usize,
    pub columns: Map<String, Value>,
}

/// Bytes that a line may have: a whole book in one row, and not what a compressed file of a few
/// megabytes can grow to.
const MOST_OF_A_LINE: u64 = 256 << 20;

/// The rows of a file in order. After an error the file is at its end.
pub(super) struct RowReader {
    file: PathBuf,
    lines: Box<dyn BufRead>,
    number: usize,
    n_blank: usize,
    n_bytes: u64,
    n_bytes_read: Arc<AtomicU64>,
    most_of_a_line: u64,
    is_done: bool,
}

impl RowReader {
    pub(super) fn open(file: &Path) -> Result<Self, DataError> {
        Self::open_within(file, MOST_OF_A_LINE)
    }

    /// [`Self::open`] with another longest line.
    pub(super) fn open_within(file: &Path, most_of_a_line: u64) -> Result<Self, DataError> {
        let cannot_open = |source: io::Error| DataError::Open { file: file.to_path_buf(), source };
        let opened = File::open(file).map_err(cannot_open)?;
        let n_bytes = opened.metadata().map_err(cannot_open)?.len();
        let n_bytes_read = Arc::new(AtomicU64::new(0));
        let counted = CountedFile { inner: opened, n_bytes_read: n_bytes_read.clone() };
        let mut bytes = BufReader::new(counted);
        let is_gzip = bytes.fill_buf().map_err(cannot_open)?.starts_with(&[0x1f, 0x8b]);
        let lines: Box<dyn BufRead> = if is_gzip {
            Box::new(BufReader::new(MultiGzDecoder::new(bytes)))
        } else {
            Box::new(bytes)
        };
        let file = file.to_path_buf();
        Ok(Self {
            file,
            lines,
            number: 0,
            n_blank: 0,
            n_bytes,
            n_bytes_read,
            most_of_a_line,
            is_done: false,
        })
    }

    /// Blank lines seen so far.
    pub(super) fn n_blank(&self) -> usize {
        self.n_blank
    }

    /// The part of the file that was read, 0 to 1.
    pub(super) fn fraction(&self) -> f64 {
        self.n_bytes_read.load(Ordering::Relaxed) as f64 / self.n_bytes.max(1) as f64
    }

    fn next_line(&mut self) -> Result<Option<JsonLine>, DataError> {
        let mut bytes = Vec::new();
        loop {
            bytes.clear();
            self.number += 1;
            let mut line = (&mut self.lines).take(self.most_of_a_line + 1);
            let read = line.read_until(b'\n', &mut bytes);
            let n = read.map_err(|error| {
                let cut = error.kind() == io::ErrorKind::UnexpectedEof;
                self.problem(if cut {
                    message!("data-cut-off", "the compressed file ends too early")
                } else {
                    KeyedMessage::from(&error)
                })
            })?;
            if n == 0 {
                return Ok(None);
            }
            if n as u64 > self.most_of_a_line {
                return Err(self.problem(message!(
                    "data-long-line",
                    "the line has more than {most} MB: a file of rows has a line break after each of them",
                    most = self.most_of_a_line >> 20
                )));
            }
            let text = match self.number {
                1 => bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes),
                _ => &bytes,
            };
            if !text.trim_ascii().is_empty() {
                return self.parse(text.trim_ascii_end()).map(Some);
            }
            self.n_blank += 1;
        }
    }

    fn parse(&self, text: &[u8]) -> Result<JsonLine, DataError> {
        match serde_json::from_slice::<UniqueJson>(text) {
            Ok(UniqueJson(Value::Object(columns))) => Ok(JsonLine { number: self.number, columns }),
            Ok(UniqueJson(other)) => {
                let found = json_problem::kind(&other);
                let wanted =
                    message!("data-no-object", "expected an object, found {found}", found = found);
                Err(self.problem(wanted))
            }
            Err(error) => {
                let why = json_problem::in_a_row(text, &error);
                Err(self.problem(message!("row-not-json", "not JSON: {why}", why = why)))
            }
        }
    }

    fn problem(&self, problem: KeyedMessage) -> DataError {
        DataError::Line { file: self.file.clone(), line: self.number, problem }
    }
}

impl Iterator for RowReader {
    type Item = Result<JsonLine, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_done {
            return None;
        }
        let next = self.next_line().transpose();
        self.is_done = !matches!(next, Some(Ok(_)));
        next
    }
}

/// Counts the bytes that leave the disk, so that progress is known for compressed files too.
struct CountedFile {
    inner: File,
    n_bytes_read: Arc<AtomicU64>,
}

impl Read for CountedFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.n_bytes_read.fetch_add(n as u64, Ordering::Relaxed);
        Ok(n)
    }
}
