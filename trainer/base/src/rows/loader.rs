//! Reads a file, encodes its rows on all processors, and counts what was left out.

use super::{
    AnswerPair, Columns, DataError, LoadedRows, RowCounts, RowFile, columns, jsonl, label, solution,
};
use crate::{errors::message_of, job::Report, tokenizer::Tokenizer};
use entity::{
    message,
    message::KeyedMessage,
    report::{LogLevel, RunReport},
    row_use::{LeftOutReason, RowUse},
};
use std::{
    ops::Range,
    time::{Duration, Instant},
};

/// What is learnt of a text, for those who learn; stretches are bytes of a text, then places of its ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum LearntPart {
    /// What goes beyond the text before it, which is its prompt.
    BehindPrompt,
    Everything,
    Stretches(Vec<Range<usize>>),
    /// Stretches, as far as they go beyond the prompt.
    StretchesBehindPrompt(Vec<Range<usize>>),
}

/// A text to encode.
pub(super) struct TextToEncode {
    pub(super) text: String,
    /// Rendered by the chat template, which wrote the special tokens itself.
    pub(super) is_conversation: bool,
    pub(super) learnt: LearntPart,
}

impl TextToEncode {
    pub(super) fn plain(text: String) -> Self {
        Self { text, is_conversation: false, learnt: LearntPart::BehindPrompt }
    }

    pub(super) fn of_conversation(text: String) -> Self {
        Self { is_conversation: true, ..Self::plain(text) }
    }

    pub(super) fn learning(self, learnt: LearntPart) -> Self {
        Self { learnt, ..self }
    }
}

/// A row whose texts are encoded, in the order in which they were given.
pub(super) struct EncodedRow {
    pub(super) index: usize,
    pub(super) ids: Vec<Vec<i64>>,
    /// What is learnt of each text.
    pub(super) learnt: Vec<LearntPart>,
    pub(super) is_conversation: bool,
    pub(super) facts: RowFacts,
}

/// What a row says besides its texts.
#[derive(Clone, Debug, Default)]
pub(super) struct RowFacts {
    /// 0 where the row names none.
    pub(super) margin: f64,
    /// Whether the answer is good, if the row says so.
    pub(super) label: Option<bool>,
    /// Which prompt a pair is about, if the row says so.
    pub(super) prompt: Option<u64>,
    /// What an answer to the prompt is to come to.
    pub(super) solution: Option<String>,
}

impl RowFacts {
    fn of(columns: &Columns) -> Result<Self, KeyedMessage> {
        Ok(Self {
            margin: columns::margin(columns)?,
            label: label::of(columns),
            prompt: columns::prompt_of_pair(columns),
            solution: solution::of(columns),
        })
    }
}

impl EncodedRow {
    pub(super) fn is_longer_than(&self, max_length: usize) -> bool {
        self.ids.iter().any(|ids| ids.len() > max_length)
    }

    pub(super) fn into_pair(self) -> AnswerPair {
        let Self { index, ids, facts: RowFacts { margin, prompt, .. }, .. } = self;
        let [chosen, rejected] = <[Vec<i64>; 2]>::try_from(ids).expect("two answers");
        AnswerPair { index, chosen, rejected, margin, prompt }
    }
}

impl LearntPart {
    fn has_stretches(&self) -> bool {
        matches!(self, Self::Stretches(_) | Self::StretchesBehindPrompt(_))
    }

    /// Stretches of bytes become those of the tokens that they touch, given the bytes of each token.
    fn put_in_tokens(&mut self, offsets: &[(usize, usize)]) {
        let (Self::Stretches(stretches) | Self::StretchesBehindPrompt(stretches)) = self else {
            return;
        };
        let mut after = 0;
        for stretch in stretches {
            // Tokens come in the order of the text, and so do stretches.
            let from = after + offsets[after..].partition_point(|(_, end)| *end <= stretch.start);
            let n = offsets[from..].partition_point(|(start, _)| *start < stretch.end);
            after = from + if stretch.start < stretch.end { n } else { 0 };
            *stretch = from..after;
        }
    }
}

/// Rows that are read, then encoded together, and bytes of them after which no more are added.
const ROWS_AT_ONCE: usize = 1024;
const BYTES_AT_ONCE: usize = 32 << 20;

/// Rows that were read: the texts of each, with the number of its line, and what it says besides.
#[derive(Default)]
struct ReadRows {
    texts: Vec<Vec<TextToEncode>>,
    numbers: Vec<usize>,
    facts: Vec<RowFacts>,
}

/// A file on its way to token ids.
pub(super) struct RowLoader<'a, 'b> {
    pub(super) file: RowFile<'a>,
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
        let mut lines = jsonl::RowReader::open(self.file.path)?;
        let of_file =
            RowUse { file: self.name(), max_length: self.max_length as u64, ..RowUse::default() };
        let (mut rows, mut counts) = (Vec::new(), RowCounts { of_file, ..RowCounts::default() });
        let mut told = Instant::now();
        loop {
            let ReadRows { texts: wanted, numbers, facts } = self.some(&mut lines, &texts)?;
            if numbers.is_empty() {
                break;
            }
            let n_rows = counts.of_file.rows as usize;
            let at = |row: usize| self.at(numbers[row]);
            let encoded = self.encode(n_rows, wanted).map_err(at(0))?;
            counts.of_file.used += numbers.len() as u64;
            for (row, (mut encoded, facts)) in encoded.into_iter().zip(facts).enumerate() {
                encoded.facts = facts;
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

    /// The next rows; none at the end of the file.
    fn some(
        &self,
        lines: &mut jsonl::RowReader,
        texts: impl Fn(&Columns) -> Result<Vec<TextToEncode>, KeyedMessage>,
    ) -> Result<ReadRows, DataError> {
        let (mut read, mut n_bytes) = (ReadRows::default(), 0);
        while read.numbers.len() < ROWS_AT_ONCE && n_bytes < BYTES_AT_ONCE {
            let Some(line) = lines.next().transpose()? else { break };
            let texts = texts(&line.columns).map_err(self.at(line.number))?;
            n_bytes += texts.iter().map(|text| text.text.len()).sum::<usize>();
            read.texts.push(texts);
            read.numbers.push(line.number);
            read.facts.push(RowFacts::of(&line.columns).map_err(self.at(line.number))?);
        }
        Ok(read)
    }

    /// What is wrong with a line, as an error that names it.
    fn at(&self, line: usize) -> impl FnOnce(KeyedMessage) -> DataError + use<> {
        let file = self.file.path.to_path_buf();
        move |problem| DataError::Line { file, line, problem }
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
                learnt: texts.iter().map(|text| text.learnt.clone()).collect(),
                is_conversation: texts.iter().any(|text| text.is_conversation),
                facts: RowFacts::default(),
            })
            .collect();
        let (mut places, mut batches) = ([Vec::new(), Vec::new()], [Vec::new(), Vec::new()]);
        let (mut marked, mut marked_texts) = (Vec::new(), Vec::new());
        for (row, texts) in rows.into_iter().enumerate() {
            for (place, text) in texts.into_iter().enumerate() {
                if text.learnt.has_stretches() {
                    marked.push((row, place));
                    marked_texts.push(text.text);
                    continue;
                }
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
        // Only the template's texts have stretches.
        let ids = self.tokenizer.encode_batch_with_offsets(marked_texts);
        for ((row, place), (ids, offsets)) in
            marked.into_iter().zip(ids.map_err(|error| message_of(&error))?)
        {
            encoded[row].learnt[place].put_in_tokens(&offsets);
            encoded[row].ids[place] = ids;
        }
        Ok(encoded)
    }

    fn finish<T>(mut self, rows: Vec<T>, counts: RowCounts) -> Result<LoadedRows<T>, DataError> {
        let (file, max_length) = (self.file.path.to_path_buf(), self.max_length);
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
        self.file.name.clone()
    }

    /// A stop asked for here is asked for again at the first step.
    fn tell(&mut self, level: LogLevel, message: KeyedMessage) {
        let _ = (self.report)(RunReport::Log { level, message });
    }
}
