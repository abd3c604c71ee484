//! Rows for KTO: answers that are good or bad, each by itself.

use super::{
    Columns, ComparedRow, DataError, LoadedRows, RowFile, columns, common_prefix, label,
    loader::RowLoader, prompt_and_whole_texts,
};
use crate::{job::Report, tokenizer::Tokenizer};
use entity::row_use::LeftOutReason;
use std::hash::{DefaultHasher, Hash, Hasher};

/// An answer that somebody found good or bad.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelledAnswer {
    /// The 0-based row of the data file.
    pub index: usize,
    /// The prompt and the answer, whole.
    pub ids: Vec<i64>,
    /// Where the answer starts; at least 1: nothing predicts the first token.
    pub prompt_len: usize,
    pub is_good: bool,
    /// The prompt with the answer of another row, from which is learnt how far the policy has gone.
    pub mismatched: Vec<i64>,
}

impl ComparedRow for LabelledAnswer {
    fn place(&self) -> usize {
        self.index
    }

    fn sequences(&self) -> [&[i64]; 2] {
        [&self.ids, &[]]
    }
}

/// Answers with a `label`, or pairs, of which the chosen answer is good and the other one bad: all
/// chosen answers come first then, and the rejected ones after them (TRL: `unpair_preference_dataset`).
///
/// Sequences longer than `max_length` are cut at the end; a row whose prompt alone fills it is dropped.
/// Within each `batch_size` rows every prompt gets the answer of the row before, too (TRL:
/// `KL_completion_ids`), but never one to the same prompt, which TRL does not look at.
pub fn load_labelled<'a>(
    file: impl Into<RowFile<'a>>,
    tokenizer: &Tokenizer,
    max_length: usize,
    batch_size: usize,
    report: &mut Report,
) -> Result<LoadedRows<LabelledAnswer>, DataError> {
    let texts = |columns: &Columns| {
        label::refuse_of_pair(columns)?;
        prompt_and_whole_texts(&columns::pair_or_labelled(columns)?, columns, tokenizer)
    };
    let loaded = RowLoader { file: file.into(), tokenizer, max_length, report }.load(
        texts,
        |row, counts| {
            let (index, label) = (row.index, row.facts.label);
            let mut ids = row.ids.into_iter();
            let prompt = ids.next().expect("a prompt");
            let answers: Vec<LabelledAnswer> = ids
                .zip([label != Some(false), false])
                .map(|(ids, is_good)| {
                    let prompt_len = common_prefix(&prompt, &ids);
                    LabelledAnswer { index, ids, prompt_len, is_good, mismatched: Vec::new() }
                })
                .collect();
            let reason = if answers.iter().any(|answer| answer.prompt_len >= max_length) {
                Some(LeftOutReason::TooLong)
            } else if answers.iter().any(|answer| answer.prompt_len >= answer.ids.len()) {
                Some(LeftOutReason::Empty)
            } else if let [good, bad] = answers.as_slice() {
                // What told them apart was cut off, or there was nothing.
                let is_alike = good.ids.iter().take(max_length).eq(bad.ids.iter().take(max_length));
                let reason = match good.ids == bad.ids {
                    true => LeftOutReason::Identical,
                    false => LeftOutReason::TooLong,
                };
                is_alike.then_some(reason)
            } else {
                None
            };
            if let Some(reason) = reason {
                counts.of_file.leave_out(index as u64, reason);
                return Ok(Vec::new());
            }
            counts.of_file.cut +=
                u64::from(answers.iter().any(|answer| answer.ids.len() > max_length));
            // The place among all: of a pair the bad side comes behind every good one.
            Ok(answers.into_iter().enumerate().collect())
        },
    )?;
    let LoadedRows { rows: mut placed, counts } = loaded;
    placed.sort_by_key(|(place, _)| *place);
    let mut rows: Vec<LabelledAnswer> = placed.into_iter().map(|(_, answer)| answer).collect();
    mismatch(&mut rows, batch_size, max_length);
    Ok(LoadedRows { rows, counts })
}

/// Gives every prompt the answer of another one, and cuts: the nearest before it within its group, of
/// which the first comes after the last, else the nearest in the file. Where all rows share a prompt, it
/// is the answer of the row before.
fn mismatch(rows: &mut [LabelledAnswer], batch_size: usize, max_length: usize) {
    let n = rows.len();
    let (prompts, answers): (Vec<u64>, Vec<Vec<i64>>) = rows
        .iter()
        .map(|row| {
            let (prompt, answer) = row.ids.split_at(row.prompt_len);
            let mut hasher = DefaultHasher::new();
            prompt.hash(&mut hasher);
            (hasher.finish(), answer.to_vec())
        })
        .unzip();
    let has_others = prompts.iter().any(|prompt| *prompt != prompts[0]);
    for (place, row) in rows.iter_mut().enumerate() {
        let first = place - place % batch_size;
        let size = batch_size.min(n - first);
        let in_group = (1..=size).map(|back| first + (place - first + size - back) % size);
        let in_file = (1..=n).map(|back| (place + n - back) % n);
        let mut before = in_group.chain(in_file);
        let other = before.find(|other| has_others && prompts[*other] != prompts[place]);
        let other = other.unwrap_or((place + n - 1) % n);
        row.mismatched = [&row.ids[..row.prompt_len], &answers[other]].concat();
        row.mismatched.truncate(max_length);
        row.ids.truncate(max_length);
        row.prompt_len = row.prompt_len.max(1);
    }
}
