//! Reads a file, encodes its rows on all processors, and counts what was left out.

use super::{AnswerPair, Columns, DataError, LoadedRows, RowCounts, columns, jsonl};
use crate::{errors::message_of, job::Report, tokenizer::Tokenizer};
use entity::{
    message,
    message::KeyedMessage,
    report::{LogLevel, RunReport},
    row_use::{LeftOutReason, RowUse},
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
    /// 0 where the row names none.
    pub(super) margin: f64,
}

impl EncodedRow {
    pub(super) fn is_longer_than(&self, max_length: usize) -> bool {
        self.ids.iter().any(|ids| ids.len() > max_length)
    }

    pub(super) fn into_pair(self) -> AnswerPair {
        let [chosen, rejected] = <[Vec<i64>; 2]>::try_from(self.ids).expect("two answers");
        AnswerPair { index: self.index, chosen, rejected, margin: self.margin }
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
        let (mut rows, mut counts) = (Vec::new(), RowCounts { of_file, ..RowCounts::default() });
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
            for (row, mut encoded) in encoded.into_iter().enumerate() {
                encoded.margin = columns::margin(&chunk[row].columns).map_err(at(row))?;
                let known = |ids: &Vec<i64>| self.tokenizer.check_embedded(ids);
                encoded.ids.iter().try_for_each(known).map_err(at(row))?;
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
                margin: 0.0,
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
        let n_identical = of_file.n_left_out_for(LeftOutReason::Identical) as usize;
        match (rows.is_empty(), of_file.rows as usize) {
            (true, 0) => return Err(DataError::NoRows { file }),
            (true, rows) if n_identical == rows => {
                return Err(DataError::AllIdentical { file, rows });
            }
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
        let n_dropped = of_file.n_left_out() as usize - n_identical;
        if n_dropped > 0 {
            let dropped = message!(
                "data-dropped",
                "{file}: {n} of {rows} rows dropped, empty or too long for max_length {max_length}",
                file = self.name(),
                n = n_dropped,
                rows = of_file.rows,
                max_length = max_length
            );
            self.tell(LogLevel::Warning, dropped);
        }
        if n_identical > 0 {
            let identical = message!(
                "data-identical",
                "{file}: {n} of {rows} pairs left out: both of their answers are the same, which teaches nothing",
                file = self.name(),
                n = n_identical,
                rows = of_file.rows
            );
            self.tell(LogLevel::Warning, identical);
        }
        if counts.unused_margins > 0 {
            let unused = message!(
                "data-margin-unused",
                "{file}: {n} of {rows} pairs have a `margin`, which DPO does not use; `trainer reward` does",
                file = self.name(),
                n = counts.unused_margins,
                rows = of_file.rows
            );
            self.tell(LogLevel::Warning, unused);
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
