//! Why a file of rows cannot be used: the file, the line, and what is wrong with it.

use crate::errors::cannot_read;
use entity::{message, message::KeyedMessage};
use std::{fmt, io, path::PathBuf};

/// What makes a file of rows useless for a run.
#[derive(Debug)]
pub enum DataError {
    Open { file: PathBuf, source: io::Error },
    Line { file: PathBuf, line: usize, problem: KeyedMessage },
    NoRows { file: PathBuf },
    NothingLeft { file: PathBuf, rows: usize, max_length: usize },
    AllIdentical { file: PathBuf, rows: usize },
}

impl DataError {
    /// For whoever has to mend the file.
    pub fn message(&self) -> KeyedMessage {
        match self {
            Self::Open { file, source } => cannot_read(file).because(KeyedMessage::from(source)),
            Self::Line { file, line, problem } => message!(
                "data-line",
                "{file}, line {line}: {problem}",
                file = file.display(),
                line = *line,
                problem = problem
            ),
            Self::NoRows { file } => {
                message!("data-no-rows", "{file} has no rows", file = file.display())
            }
            Self::NothingLeft { file, rows, max_length } => message!(
                "data-nothing-left",
                "{file}: all of its {rows} rows are empty or longer than max_length {max_length}; raise --max-length or shorten the texts",
                file = file.display(),
                rows = *rows,
                max_length = *max_length
            ),
            Self::AllIdentical { file, rows } => message!(
                "data-all-identical",
                "{file}: in all of its {rows} pairs both answers are the same, which teaches nothing",
                file = file.display(),
                rows = *rows
            ),
        }
    }
}

impl fmt::Display for DataError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.message().fmt(f)
    }
}

/// A run that fails because of its data says the message, key and all.
impl From<DataError> for anyhow::Error {
    fn from(error: DataError) -> Self {
        error.message().into()
    }
}
