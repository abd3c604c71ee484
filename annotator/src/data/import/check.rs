//! The rows of a file, and all that is wrong with it, before anything is stored.

use crate::data::{
    formats::row::ImportRow,
    import::{
        limits::ImportLimits,
        lines::{FileLine, FileLines},
    },
};
use entity::{
    import::RefusedLine,
    message,
    message::{KeyedMessage, MessageArgument},
};
use std::{
    io::Read,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
};
use storage::storable::storable;

/// How many of the lines that were refused are told in full.
pub const TOLD: usize = 100;

/// How much of a name or a value a sentence quotes, in letters.
const QUOTED: usize = 200;

/// A line of a file that is not blank.
#[derive(Debug)]
pub enum FileRow {
    Row { line: u64, row: ImportRow },
    Refused(RefusedLine),
}

/// The rows of a file, in its order. An error is about the file as a whole, and the end.
pub struct FileRows {
    lines: FileLines,
    is_first: bool,
}

impl FileRows {
    pub fn open(
        file: impl Read + Send + 'static,
        limits: ImportLimits,
    ) -> Result<Self, KeyedMessage> {
        Ok(Self { lines: FileLines::open(file, limits)?, is_first: true })
    }

    fn row_of(&mut self, line: FileLine) -> Result<FileRow, KeyedMessage> {
        let FileLine { number, text } = line;
        let is_first = std::mem::take(&mut self.is_first);
        if is_first && let Ok(text) = &text {
            is_of_one_piece(text)?;
        }
        let row = text.and_then(|text| ImportRow::parse(&text).map_err(|why| why.message()));
        Ok(match row {
            Ok(row) => FileRow::Row { line: number, row },
            Err(reason) => {
                FileRow::Refused(RefusedLine { line: number, reason: shortened(reason) })
            }
        })
    }
}

impl Iterator for FileRows {
    type Item = Result<FileRow, KeyedMessage>;

    fn next(&mut self) -> Option<Self::Item> {
        let line = self.lines.next()?;
        Some(line.and_then(|line| self.row_of(line)))
    }
}

/// A file that is JSON and yet has no row in every line, told once and not for each of its lines.
fn is_of_one_piece(first_line: &str) -> Result<(), KeyedMessage> {
    match first_line.trim() {
        list if list.starts_with('[') => Err(message!(
            "import-is-a-list",
            "the file is one JSON list; write each row into a line of its own, without brackets around them and commas between them"
        )),
        "{" => Err(message!(
            "import-is-spread",
            "a row is spread over several lines; write each row into one line of its own"
        )),
        _ => Ok(()),
    }
}

/// Whoever waits for a check sees how far it is, and can end it.
#[derive(Debug, Default)]
pub struct CheckWatch {
    pub stop: AtomicBool,
    pub n_lines: AtomicU64,
}

/// What is in a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileCheck {
    /// Lines, the blank ones too.
    pub n_lines: u64,
    pub n_rows: u64,
    pub n_refused: u64,
    /// The first of those that were refused.
    pub refused: Vec<RefusedLine>,
}

impl FileCheck {
    /// Reads a file through. An error is about the file as a whole. Half of it was read when the
    /// watch was told to stop.
    pub fn of(
        file: impl Read + Send + 'static,
        limits: ImportLimits,
        watch: &CheckWatch,
    ) -> Result<Self, KeyedMessage> {
        let mut rows = FileRows::open(file, limits)?;
        let mut check = Self::default();
        while let Some(row) = rows.next() {
            match row? {
                FileRow::Row { .. } => check.n_rows += 1,
                FileRow::Refused(line) => {
                    check.n_refused += 1;
                    if check.refused.len() < TOLD {
                        check.refused.push(line);
                    }
                }
            }
            watch.n_lines.store(rows.lines.n_read(), Ordering::Relaxed);
            if watch.stop.load(Ordering::Relaxed) {
                break;
            }
        }
        check.n_lines = rows.lines.n_read();
        if check.n_rows + check.n_refused == 0 {
            return Err(message!("import-no-rows", "there are no rows in it"));
        }
        Ok(check)
    }

    /// Counts rows of which nothing came among those that were refused.
    pub fn leave_out(&mut self, lines: impl Iterator<Item = RefusedLine>) {
        for line in lines {
            self.n_refused += 1;
            if self.refused.len() < TOLD {
                self.refused.push(line);
            }
        }
    }

    /// Nothing if the file may be brought in, with what was refused left out or without any such.
    pub fn verdict(&self, leaves_out: bool) -> Result<(), KeyedMessage> {
        if self.n_refused > 0 && !leaves_out {
            return Err(message!(
                "import-rows-refused",
                "{n} of {of} rows cannot be read",
                n = self.n_refused,
                of = self.n_refused + self.n_rows
            ));
        }
        if self.n_rows == 0 {
            return Err(message!("import-all-refused", "none of the rows can be read"));
        }
        Ok(())
    }
}

/// The sentence with no more than the beginning of what it quotes: a name may be as long as a line.
fn shortened(mut message: KeyedMessage) -> KeyedMessage {
    fn short(text: &str) -> String {
        match text.char_indices().nth(QUOTED) {
            Some((end, _)) => storable(format!("{}…", &text[..end])),
            None => storable(text),
        }
    }
    let quotes_much = |argument: &MessageArgument| matches!(argument, MessageArgument::Text(text) if text.chars().count() > QUOTED);
    if message.args.values().any(quotes_much) || message.text.chars().count() > 4 * QUOTED {
        message.text = short(&message.text);
    }
    message.text = storable(message.text);
    for argument in message.args.values_mut() {
        *argument = match std::mem::replace(argument, MessageArgument::Number(0.into())) {
            MessageArgument::Text(text) => MessageArgument::Text(short(&text)),
            MessageArgument::Message(inner) => {
                MessageArgument::Message(Box::new(shortened(*inner)))
            }
            number @ MessageArgument::Number(_) => number,
        };
    }
    message
}

#[cfg(test)]
mod tests;
