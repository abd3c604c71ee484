//! The lines of a file of rows, one at a time: packed with gzip or not, UTF-8 or UTF-16, with a byte
//! order mark or none, lines ended by LF or CRLF, the last one by nothing. Memory is bounded by the
//! length of a line.

use crate::data::import::limits::ImportLimits;
use encoding_rs::{Encoding, UTF_16BE, UTF_16LE};
use encoding_rs_io::DecodeReaderBytesBuilder;
use entity::{message, message::KeyedMessage};
use flate2::bufread::MultiGzDecoder;
use std::io::{self, BufRead, BufReader, Read};

/// What UTF-16 that is broken is read as.
const REPLACED: char = '\u{FFFD}';

/// A line that is not blank, by its number from 1.
#[derive(Debug, PartialEq, Eq)]
pub struct FileLine {
    pub number: u64,
    /// Without its end; or why it is no text.
    pub text: Result<String, KeyedMessage>,
}

/// Reads a file of rows. The first error is about the file as a whole, and the last that is said.
pub struct FileLines {
    reader: BufReader<Box<dyn Read + Send>>,
    limits: ImportLimits,
    is_utf16: bool,
    number: u64,
    n_bytes: u64,
    is_done: bool,
    line: Vec<u8>,
}

impl FileLines {
    /// Reads what `file` holds, from where it stands.
    pub fn open(
        file: impl Read + Send + 'static,
        limits: ImportLimits,
    ) -> Result<Self, KeyedMessage> {
        let mut file = BufReader::new(file);
        let first = file.fill_buf().map_err(|error| unreadable(0, &error))?;
        if let Some(format) = other_format(first) {
            return Err(message!(
                "import-other-format",
                "this is a file of {format}; save its rows as JSON Lines: a JSON object in every line",
                format = format
            ));
        }
        let mut unpacked: BufReader<Box<dyn Read + Send>> = if first.starts_with(&[0x1f, 0x8b]) {
            BufReader::new(Box::new(MultiGzDecoder::new(file)))
        } else {
            BufReader::new(Box::new(file))
        };
        let first = unpacked.fill_buf().map_err(|error| unreadable(1, &error))?;
        let is_utf16 = first.starts_with(b"\xff\xfe") || first.starts_with(b"\xfe\xff");
        let unmarked = unmarked_utf16(first);
        let text = DecodeReaderBytesBuilder::new()
            .encoding(unmarked)
            .bom_sniffing(true)
            .strip_bom(true)
            .utf8_passthru(true)
            .build(unpacked);
        Ok(Self {
            reader: BufReader::new(Box::new(text)),
            limits,
            is_utf16: is_utf16 || unmarked.is_some(),
            number: 0,
            n_bytes: 0,
            is_done: false,
            line: Vec::new(),
        })
    }

    /// How many lines were read, blank ones too.
    pub fn n_read(&self) -> u64 {
        self.number
    }

    fn next_line(&mut self) -> Result<Option<FileLine>, KeyedMessage> {
        loop {
            let Some(is_whole) = self.read_line()? else { return Ok(None) };
            let text = if is_whole { self.text() } else { Err(self.limits.line_too_long()) };
            if text.as_ref().is_ok_and(|text| text.trim().is_empty()) {
                continue;
            }
            return Ok(Some(FileLine { number: self.number, text }));
        }
    }

    /// Reads the next line into `self.line`; none at the end, false when it is too long to be kept.
    fn read_line(&mut self) -> Result<Option<bool>, KeyedMessage> {
        let number = self.number + 1;
        self.line.clear();
        let most = self.limits.line_bytes + 2; // with its end
        let mut reader = (&mut self.reader).take(most);
        let n =
            reader.read_until(b'\n', &mut self.line).map_err(|error| unreadable(number, &error))?;
        if n == 0 {
            return Ok(None);
        }
        self.number = number;
        self.count(n as u64)?;
        if self.number > self.limits.lines {
            return Err(self.limits.too_many_lines());
        }
        let ended = self.line.ends_with(b"\n");
        for end in [b'\n', b'\r'] {
            self.line.pop_if(|last| *last == end);
        }
        let fits = self.line.len() as u64 <= self.limits.line_bytes;
        if !ended && n as u64 == most {
            self.skip_line()?;
        }
        Ok(Some(fits))
    }

    fn skip_line(&mut self) -> Result<(), KeyedMessage> {
        loop {
            let buffer = self.reader.fill_buf().map_err(|error| unreadable(self.number, &error))?;
            if buffer.is_empty() {
                return Ok(());
            }
            let end = buffer.iter().position(|byte| *byte == b'\n');
            let n = end.map_or(buffer.len(), |end| end + 1);
            self.reader.consume(n);
            self.count(n as u64)?;
            if end.is_some() {
                return Ok(());
            }
        }
    }

    fn count(&mut self, n: u64) -> Result<(), KeyedMessage> {
        self.n_bytes += n;
        if self.n_bytes > self.limits.text_bytes {
            Err(self.limits.text_too_large())
        } else {
            Ok(())
        }
    }

    fn text(&mut self) -> Result<String, KeyedMessage> {
        match String::from_utf8(std::mem::take(&mut self.line)) {
            Ok(text) if self.is_utf16 && text.contains(REPLACED) => {
                Err(message!("import-not-utf16", "it is not UTF-16 text throughout"))
            }
            Ok(text) => Ok(text),
            Err(_) => {
                Err(message!("import-not-utf8", "it is not UTF-8 text; save the file as UTF-8"))
            }
        }
    }
}

impl Iterator for FileLines {
    type Item = Result<FileLine, KeyedMessage>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_done {
            return None;
        }
        let next = self.next_line().transpose();
        self.is_done = !matches!(next, Some(Ok(_)));
        next
    }
}

/// UTF-16 that says so by nothing but the zeros beside its first letter, which is a brace.
fn unmarked_utf16(first: &[u8]) -> Option<&'static Encoding> {
    match first {
        [b'{' | b'[', 0, ..] => Some(UTF_16LE),
        [0, b'{' | b'[', ..] => Some(UTF_16BE),
        _ => None,
    }
}

/// What is no file of lines, by its first bytes.
fn other_format(first: &[u8]) -> Option<&'static str> {
    const KNOWN: [(&[u8], &str); 7] = [
        (b"PK\x03\x04", "zip / xlsx"),
        (b"PAR1", "Parquet"),
        (b"ARROW1", "Arrow"),
        (b"\x28\xb5\x2f\xfd", "zstd"),
        (b"\xfd7zXZ\0", "xz"),
        (b"BZh", "bzip2"),
        (b"%PDF", "PDF"),
    ];
    KNOWN.iter().find(|(begins, _)| first.starts_with(begins)).map(|(_, name)| *name)
}

fn unreadable(line: u64, error: &io::Error) -> KeyedMessage {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => message!(
            "import-cut-off",
            "the compressed file ends too early, in line {line}; send it again",
            line = line
        ),
        io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => message!(
            "import-damaged",
            "the compressed file is damaged, in line {line}; send it again",
            line = line
        ),
        _ => message!(
            "import-unreadable",
            "line {line} cannot be read: {why}",
            line = line,
            why = KeyedMessage::from(error)
        ),
    }
}
