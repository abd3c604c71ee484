//! Reads a file, encodes its rows on all processors, and counts what was left out.

use super::{AnswerPair, Columns, DataError, LoadedRows, RowCounts, jsonl};
use crate::{errors::message_of, job::Report, tokenizer::Tokenizer};
use entity::{
    message,
    message::KeyedMessage,
    report::{LogLevel, RunReport},
    row_use::RowUse,
};
use std::{
    path::Path,
    time::{Duration, Instant},
};

/// A text to encode.
pub(super) struct TextToEncode {
    pub(super) text: String,
    /// Rendered by the chat template, which wrote the special tokens itself.
    pub(super) is_conversation: bool,
}

/// A row whose texts are encoded, in the order in which they were given.
pub(super) struct EncodedRow {
    pub(super) index: usize,
    pub(super) ids: Vec<Vec<i64>>,
    pub(super) is_conversation: bool,
}

impl EncodedRow {
    pub(super) fn is_longer_than(&self, max_length: usize) -> bool {
        self.ids.iter().any(|ids| ids.len() > max_length)
    }

    pub(super) fn into_pair(self) -> AnswerPair {
        let [chosen, rejected] = <[Vec<i64>; 2]>::try_from(self.ids).expect("two answers");
        AnswerPair { index: self.index, chosen, rejected }
    }
}

/// Rows that are read, then encoded together.
const ROWS_AT_ONCE: usize = 1024;

/// A file on its way to token ids.
pub(super) struct RowLoader<'a, 'b> {
    pub(super) file: &'a Path,
    pub(super) tokenizer: &'a Tokenizer,
    pub(super) max_length: usize,
    pub(super) report: &'a mut Report<'b>,
}

impl RowLoader<'_, '_> {
    /// Reads every row: `texts` says what to encode of its columns, `build` what to keep of the ids.
    pub(super) fn load<T>(
        mut self,
        texts: impl Fn(&Columns) -> Result<Vec<TextToEncode>, KeyedMessage>,
        mut build: impl FnMut(EncodedRow, &mut RowCounts) -> Result<Vec<T>, KeyedMessage>,
    ) -> Result<LoadedRows<T>, DataError> {
        let mut lines = jsonl::RowReader::open(self.file)?;
        let of_file =
            RowUse { file: self.name(), max_length: self.max_length as u64, ..RowUse::default() };
        let (mut rows, mut counts) = (Vec::new(), RowCounts { blank: 0, of_file });
        let mut told = Instant::now();
        loop {
            let chunk: Vec<_> = lines.by_ref().take(ROWS_AT_ONCE).collect::<Result<_, _>>()?;
            if chunk.is_empty() {
                break;
            }
            let n_rows = counts.of_file.rows as usize;
            let numbers: Vec<_> = chunk.iter().map(|line| line.number).collect();
            let file = self.file;
            let at = |row: usize| {
                let (file, line) = (file.to_path_buf(), numbers[row]);
                move |problem| DataError::Line { file, line, problem }
            };
            let wanted =
                chunk.iter().enumerate().map(|(row, line)| texts(&line.columns).map_err(at(row)));
            let encoded = self.encode(n_rows, wanted.collect::<Result<_, _>>()?).map_err(at(0))?;
            counts.of_file.used += numbers.len() as u64;
            for (row, encoded) in encoded.into_iter().enumerate() {
                rows.extend(build(encoded, &mut counts).map_err(at(row))?);
            }
            counts.of_file.rows += numbers.len() as u64;
            if told.elapsed() > Duration::from_secs(5) {
                told = Instant::now();
                let percent = (100.0 * lines.fraction()).round() as u64;
                let name = self.name();
                self.tell(
                    LogLevel::Info,
                    message!(
                        "data-tokenising",
                        "{file}: tokenising: {percent} %",
                        file = name,
                        percent = percent
                    ),
                );
            }
        }
        counts.blank = lines.n_blank();
        self.finish(rows, counts)
    }

    /// Encodes the texts of some rows, of which the first is row `first` of the file.
    fn encode(
        &self,
        first: usize,
        rows: Vec<Vec<TextToEncode>>,
    ) -> Result<Vec<EncodedRow>, KeyedMessage> {
        let mut encoded: Vec<_> = rows
            .iter()
            .enumerate()
            .map(|(row, texts)| EncodedRow {
                index: first + row,
                ids: vec![Vec::new(); texts.len()],
                is_conversation: texts.iter().any(|text| text.is_conversation),
            })
            .collect();
        let (mut places, mut batches) = ([Vec::new(), Vec::new()], [Vec::new(), Vec::new()]);
        for (row, texts) in rows.into_iter().enumerate() {
            for (place, text) in texts.into_iter().enumerate() {
                places[usize::from(text.is_conversation)].push((row, place));
                batches[usize::from(text.is_conversation)].push(text.text);
            }
        }
        for ((places, texts), add_special_tokens) in
            places.into_iter().zip(batches).zip([true, false])
        {
            let ids = self.tokenizer.encode_batch(texts, add_special_tokens);
            for ((row, place), ids) in
                places.into_iter().zip(ids.map_err(|error| message_of(&error))?)
            {
                encoded[row].ids[place] = ids;
            }
        }
        Ok(encoded)
    }

    fn finish<T>(mut self, rows: Vec<T>, counts: RowCounts) -> Result<LoadedRows<T>, DataError> {
        let (file, max_length) = (self.file.to_path_buf(), self.max_length);
        let of_file = &counts.of_file;
        match (rows.is_empty(), of_file.rows as usize) {
            (true, 0) => return Err(DataError::NoRows { file }),
            (true, rows) => return Err(DataError::NothingLeft { file, rows, max_length }),
            _ => {}
        }
        let _ = (self.report)(RunReport::Rows { rows: of_file.clone() });
        if of_file.cut > 0 {
            let cut = message!(
                "data-cut",
                "{file}: {n} of {rows} rows cut at the end to max_length {max_length}",
                file = self.name(),
                n = of_file.cut,
                rows = of_file.rows,
                max_length = max_length
            );
            self.tell(LogLevel::Warning, cut);
        }
        if of_file.n_left_out() > 0 {
            let dropped = message!(
                "data-dropped",
                "{file}: {n} of {rows} rows dropped, empty or too long for max_length {max_length}",
                file = self.name(),
                n = of_file.n_left_out(),
                rows = of_file.rows,
                max_length = max_length
            );
            self.tell(LogLevel::Warning, dropped);
        }
        Ok(LoadedRows { rows, counts })
    }

    /// The file as it is called in what is said of it.
    fn name(&self) -> String {
        self.file.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// A stop asked for here is asked for again at the first step.
    fn tell(&mut self, level: LogLevel, message: KeyedMessage) {
        let _ = (self.report)(RunReport::Log { level, message });
    }
}
