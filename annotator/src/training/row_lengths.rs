//! How long rows are in a model's tokens, as the trainer will read them, counted within bounds.

use crate::data::scratch;
use entity::{message::KeyedMessage, report::RunReport, run_config::LossOn};
use serde_json::Value;
use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader, Read},
    ops::ControlFlow,
    path::Path,
    time::{Duration, Instant},
};
use trainer_base::{
    errors::message_of,
    memory::{RowLength, RowLengths},
    rows::{self, DataError, LoadedRows, LongPrompts},
    tokenizer::Tokenizer,
};

/// Rows to learn from that are counted: the first, whose order has nothing to do with them.
pub const MOST_ROWS: u64 = 4000;

/// Held-out rows that are counted.
const MOST_HELD_OUT: u64 = 500;

/// Rows and bytes that are encoded between two looks at the clock.
const ROWS_AT_ONCE: u64 = 64;
const BYTES_AT_ONCE: usize = 256 << 10;

/// Bytes of a row that is counted, and of all of them.
const MOST_OF_A_ROW: usize = 1 << 20;
const MOST_BYTES: usize = 32 << 20;

/// Time for a file.
const PATIENCE: Duration = Duration::from_secs(8);

/// What a file of rows, or the beginning of one, is to training.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CountedRows {
    /// Rows that were read.
    pub n_read: u64,
    /// Of those that are used.
    pub lengths: Vec<RowLength>,
    /// Used ones that are cut at the end.
    pub cut: u64,
    /// Too long, empty, or a pair of the same answer twice.
    pub left_out: u64,
    /// Used ones that are read as several sequences.
    pub split: u64,
}

/// The settings that decide what is read of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadingSettings {
    /// Tokens of a sequence at the most.
    pub max_length: usize,
    /// For SFT.
    pub loss_on: LossOn,
}

impl ReadingSettings {
    /// Of a run's settings; none where they bound no sequence.
    pub fn of(config: &Value) -> Option<Self> {
        let loss_on = config.get("loss_on").cloned().map(serde_json::from_value);
        Some(Self {
            max_length: config.get("max_length")?.as_u64()? as usize,
            loss_on: loss_on.and_then(Result::ok).unwrap_or_default(),
        })
    }
}

/// Why rows could not be counted.
#[derive(Clone, Debug, PartialEq)]
pub enum CountError {
    /// A run with this model would end with this, too.
    Unreadable(KeyedMessage),
    /// A row is larger than what is looked at before a run.
    TooLarge,
}

/// Reads a file of rows as a kind of run does.
pub type ReadRows = fn(&Path, &Tokenizer, &ReadingSettings) -> Result<CountedRows, DataError>;

/// What the rows loaders say is for the log of a run.
pub fn unheard(_: RunReport) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// The lengths of what was loaded.
pub fn lengths<T>(loaded: Result<LoadedRows<T>, DataError>) -> Result<CountedRows, DataError>
where
    for<'a> RowLength: From<&'a T>,
{
    match loaded {
        Ok(LoadedRows { rows, counts }) => Ok(CountedRows {
            n_read: counts.of_file.rows,
            lengths: rows.iter().map(RowLength::from).collect(),
            cut: counts.of_file.cut,
            left_out: counts.of_file.n_left_out(),
            split: counts.of_file.split,
        }),
        // A part of the rows, that is; the others may be of use.
        Err(DataError::NothingLeft { rows, .. } | DataError::AllIdentical { rows, .. }) => {
            let n_read = rows as u64;
            Ok(CountedRows { n_read, left_out: n_read, ..CountedRows::default() })
        }
        Err(error) => Err(error),
    }
}

/// [`ReadRows`] for prompts; those that are too long count as left out.
pub fn prompt_lengths(
    file: &Path,
    tokenizer: &Tokenizer,
    reading: &ReadingSettings,
) -> Result<CountedRows, DataError> {
    let max_length = reading.max_length;
    lengths(rows::load_prompts(file, tokenizer, max_length, LongPrompts::Drop, &mut unheard))
}

impl CountedRows {
    /// Of all sequences of the used rows.
    pub fn n_tokens(&self) -> u64 {
        self.lengths.iter().map(RowLength::tokens).sum()
    }

    /// Those among them that are learnt.
    pub fn n_learnt(&self) -> u64 {
        self.lengths.iter().map(RowLength::learnt).sum()
    }

    pub fn row_lengths(&self) -> RowLengths {
        self.lengths.iter().copied().collect()
    }

    fn add(&mut self, other: Self) {
        self.n_read += other.n_read;
        self.lengths.extend(other.lengths);
        self.cut += other.cut;
        self.left_out += other.left_out;
        self.split += other.split;
    }
}

/// `train.jsonl` and `eval.jsonl` of a folder, with the tokenizer of a model's folder.
///
/// Encodes in the thread that calls it, which should end afterwards: the library keeps words for as long
/// as a thread lives.
pub fn count(
    folder: &Path,
    model: &Path,
    read: ReadRows,
    reading: &ReadingSettings,
) -> Result<[CountedRows; 2], CountError> {
    Tokenizer::stay_in_one_thread();
    let unreadable = |error| CountError::Unreadable(message_of(&error));
    let tokenizer = Tokenizer::load(model).map_err(unreadable)?;
    let scratch = scratch::folder().map_err(|error| unreadable(error.into()))?;
    let piece = scratch.path().join("rows.jsonl");
    let count = |name, most| {
        let mut rows = Rows::open(&folder.join(name), most)?;
        let (mut counted, started) = (CountedRows::default(), Instant::now());
        while let Some(bytes) = rows.some()? {
            fs::write(&piece, bytes).map_err(|error| unreadable(error.into()))?;
            counted.add(read(&piece, &tokenizer, reading).map_err(|error| {
                CountError::Unreadable(match error {
                    DataError::Line { problem, .. } => problem,
                    other => other.message(),
                })
            })?);
            if started.elapsed() > PATIENCE {
                break;
            }
        }
        Ok(counted)
    };
    Ok([count("train.jsonl", MOST_ROWS)?, count("eval.jsonl", MOST_HELD_OUT)?])
}

/// The beginning of a file of rows, some of them at a time.
struct Rows {
    lines: BufReader<File>,
    rows_left: u64,
    bytes_left: usize,
}

impl Rows {
    fn open(file: &Path, most: u64) -> Result<Self, CountError> {
        let lines = BufReader::new(File::open(file).map_err(gone)?);
        Ok(Self { lines, rows_left: most, bytes_left: MOST_BYTES })
    }

    /// None at the end of what is looked at.
    fn some(&mut self) -> Result<Option<Vec<u8>>, CountError> {
        let mut bytes = Vec::new();
        for _ in 0..ROWS_AT_ONCE.min(self.rows_left) {
            let before = bytes.len();
            let mut line = (&mut self.lines).take(MOST_OF_A_ROW as u64 + 1);
            let n = line.read_until(b'\n', &mut bytes).map_err(gone)?;
            if n > MOST_OF_A_ROW {
                return Err(CountError::TooLarge);
            }
            if n > self.bytes_left {
                bytes.truncate(before);
                self.rows_left = 0;
                break;
            }
            self.rows_left -= 1;
            self.bytes_left -= n;
            if n == 0 || bytes.len() > BYTES_AT_ONCE {
                break;
            }
        }
        Ok((!bytes.is_empty()).then_some(bytes))
    }
}

fn gone(error: io::Error) -> CountError {
    CountError::Unreadable((&error).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(text: &str, most: u64) -> Result<Vec<usize>, CountError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), text).unwrap();
        let mut rows = Rows::open(file.path(), most)?;
        let mut sizes = Vec::new();
        while let Some(bytes) = rows.some()? {
            sizes.push(bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count());
        }
        Ok(sizes)
    }

    #[test]
    fn rows_are_looked_at_in_pieces_and_no_further_than_is_bounded() {
        assert_eq!(pieces("", 10), Ok(vec![]));
        assert_eq!(pieces("{}\n{}", 10), Ok(vec![2]));
        assert_eq!(pieces(&"{}\n".repeat(150), 140), Ok(vec![64, 64, 12]));
        let large = "x".repeat(200 << 10) + "\n";
        assert_eq!(pieces(&large.repeat(3), 10), Ok(vec![2, 1]));
        assert_eq!(pieces(&large.repeat(200), 200).unwrap().iter().sum::<usize>(), 163);
        let huge = "x".repeat(MOST_OF_A_ROW + 1);
        assert_eq!(pieces(&format!("{{}}\n{huge}\n"), 10), Err(CountError::TooLarge));
    }
}
