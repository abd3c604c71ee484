//! How much a file of rows may hold, and the sentences that tell it, each with its number.

use entity::{message, message::KeyedMessage};
use std::time::Duration;

const MB: u64 = 1 << 20;

/// The most that is read. A file is read as a stream, so none of it is a matter of memory but the
/// length of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImportLimits {
    /// Of the file as it is sent, compressed or not.
    pub file_bytes: u64,
    /// Of what is in it when it is unpacked.
    pub text_bytes: u64,
    /// Of one line, without its end.
    pub line_bytes: u64,
    /// Lines, the empty ones too.
    pub lines: u64,
    /// For how long nothing of the file may arrive.
    pub silence: Duration,
}

/// A prompt and an answer, each as long as a form takes them (a million characters of up to four
/// bytes), come back as they were exported.
const LINE_BYTES: u64 = 8 * MB;

impl ImportLimits {
    /// What somebody sends to the web app.
    pub const UPLOAD: Self = Self {
        file_bytes: 32 * MB,
        text_bytes: 256 * MB,
        line_bytes: LINE_BYTES,
        lines: 1_000_000,
        silence: Duration::from_secs(30),
    };

    /// What somebody at a shell names: their own machine, their own time.
    pub const SHELL: Self = Self {
        file_bytes: u64::MAX,
        text_bytes: 64 * 1024 * MB,
        line_bytes: LINE_BYTES,
        lines: 100_000_000,
        silence: Duration::MAX,
    };

    pub fn file_too_large(&self) -> KeyedMessage {
        message!(
            "import-file-too-large",
            "the file is larger than {megabytes} MB; send it in parts",
            megabytes = self.file_bytes / MB
        )
    }

    pub fn text_too_large(&self) -> KeyedMessage {
        message!(
            "import-text-too-large",
            "unpacked, the file is larger than {megabytes} MB; send it in parts",
            megabytes = self.text_bytes / MB
        )
    }

    pub fn too_many_lines(&self) -> KeyedMessage {
        message!(
            "import-too-many-lines",
            "the file has more than {n} lines; send it in parts",
            n = self.lines
        )
    }

    pub fn line_too_long(&self) -> KeyedMessage {
        message!(
            "import-line-too-long",
            "the line is longer than {megabytes} MB",
            megabytes = self.line_bytes / MB
        )
    }
}
