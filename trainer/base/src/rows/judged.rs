//! Rows for `trainer eval --reward`: pairs, and answers, which two models gave to the same prompts.

use super::{
    AnswerPair, Columns, DataError, LoadedRows, RowFile, columns, common_prefix,
    files::{line_of_row, problem_of_row},
    label,
    loader::RowLoader,
    prompt_and_whole_texts,
    to_score::{PromptRows, samples},
    usable_pair, whole_texts,
};
use crate::{job::Report, tokenizer::Tokenizer};
use entity::{message, message::KeyedMessage, row_use::LeftOutReason};
use std::{
    cell::RefCell,
    collections::{HashMap, VecDeque},
    path::Path,
};

/// What a reward model is judged by, or judges.
#[derive(Clone, Debug, PartialEq)]
pub enum JudgedRow {
    Pair(AnswerPair),
    Answers(PromptAnswers),
}

/// A file's answers to one prompt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PromptAnswers {
    /// The 0-based row of this file.
    pub index: usize,
    /// The 0-based row of the prompt in its own file, or in this one where it stands beside its answer.
    pub prompt: usize,
    pub prompt_ids: Vec<i64>,
    /// Whole sequences; none where one of them is too long.
    pub answers: Option<Vec<AnsweredSequence>>,
}

/// A prompt with an answer behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnsweredSequence {
    pub ids: Vec<i64>,
    /// Tokens of the answer.
    pub length: usize,
}

/// What a row is, before it is encoded.
enum RowKind {
    Pair,
    /// To a prompt of its own.
    Answer,
    /// To the prompt of that row in the file of prompts.
    Samples(usize),
}

/// Pairs as for a reward model's training, one answer as for SFT, or the output of `trainer sample` beside
/// the `prompts` that it answers. Pairs that are too long or of two equal answers are left out; answers that
/// are too long are counted as left out and stay as rows without answers.
pub fn load_judged<'a>(
    file: impl Into<RowFile<'a>>,
    prompts: Option<&PromptRows>,
    tokenizer: &Tokenizer,
    max_length: usize,
    report: &mut Report,
) -> Result<LoadedRows<JudgedRow>, DataError> {
    // From where a row is read to where it is built.
    let kinds = RefCell::new(VecDeque::new());
    let texts = |columns: &Columns| {
        let samples = samples(columns)?;
        let (kind, texts) = match samples {
            Some(samples) => {
                (RowKind::Samples(samples.index), samples.prompt_and_texts(prompts, tokenizer)?)
            }
            None if columns::is_pair(columns) => {
                label::refuse_of_pair(columns)?;
                (RowKind::Pair, whole_texts(&columns::pair(columns)?, columns, tokenizer)?)
            }
            None => {
                let row = columns::pair_or_answered(columns)?;
                (RowKind::Answer, prompt_and_whole_texts(&row, columns, tokenizer)?)
            }
        };
        kinds.borrow_mut().push_back(kind);
        Ok(texts)
    };
    RowLoader { file: file.into(), tokenizer, max_length, report }.load(texts, |row, counts| {
        let kind = kinds.borrow_mut().pop_front().expect("a kind for each row");
        let prompt = match kind {
            RowKind::Pair => {
                let pair = usable_pair(row, max_length, counts);
                return Ok(pair.map(JudgedRow::Pair).into_iter().collect());
            }
            RowKind::Answer => row.index,
            RowKind::Samples(prompt) => prompt,
        };
        let is_long = row.is_longer_than(max_length);
        if is_long {
            counts.of_file.leave_out(row.index as u64, LeftOutReason::TooLong);
        }
        let index = row.index;
        let mut ids = row.ids.into_iter();
        let prompt_ids = ids.next().expect("a prompt");
        let sequence = |ids: Vec<i64>| AnsweredSequence {
            length: ids.len() - common_prefix(&prompt_ids, &ids),
            ids,
        };
        let answers = (!is_long).then(|| ids.map(sequence).collect());
        Ok(vec![JudgedRow::Answers(PromptAnswers { index, prompt, prompt_ids, answers })])
    })
}

/// The answers of two files to one prompt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MatchedAnswers {
    pub ours: Vec<AnsweredSequence>,
    pub theirs: Vec<AnsweredSequence>,
}

/// Answers of two files, prompt by prompt in the order of the first; prompts of which one file has an answer
/// that is too long are left out. An error names the row that has no counterpart, or another prompt.
pub fn matched_answers(
    (our_file, ours): (&Path, Vec<PromptAnswers>),
    (their_file, theirs): (&Path, Vec<PromptAnswers>),
) -> Result<Vec<MatchedAnswers>, DataError> {
    by_prompt(our_file, &ours)?;
    let mut their_rows = by_prompt(their_file, &theirs)?;
    let mut matched = Vec::new();
    for own in ours {
        let Some(other) = their_rows.remove(&own.prompt) else {
            return Err(problem_of_row(our_file, own.index, unanswered(their_file)));
        };
        if other.prompt_ids != own.prompt_ids {
            let differs = message!(
                "eval-other-prompt",
                "it answers another prompt than line {line} of {file}, and answers are compared prompt by prompt; both files have to answer the same prompts in the same order",
                line = line_of_row(our_file, own.index),
                file = our_file.display()
            );
            return Err(problem_of_row(their_file, other.index, differs));
        }
        if let (Some(ours), Some(theirs)) = (own.answers, &other.answers) {
            matched.push(MatchedAnswers { ours, theirs: theirs.clone() });
        }
    }
    match their_rows.into_values().map(|row| row.index).min() {
        Some(index) => Err(problem_of_row(their_file, index, unanswered(our_file))),
        None => Ok(matched),
    }
}

fn unanswered(file: &Path) -> KeyedMessage {
    message!(
        "eval-unanswered",
        "{file} has no answer to its prompt, and answers are compared prompt by prompt: both files have to answer the same prompts",
        file = file.display()
    )
}

/// An error where two rows answer one prompt.
fn by_prompt<'a>(
    file: &Path,
    rows: &'a [PromptAnswers],
) -> Result<HashMap<usize, &'a PromptAnswers>, DataError> {
    let mut known: HashMap<usize, &PromptAnswers> = HashMap::new();
    for row in rows {
        if let Some(before) = known.insert(row.prompt, row) {
            let twice = message!(
                "eval-answered-twice",
                "line {line} answers the same prompt (`index` {index}): put all answers to a prompt into one row",
                line = line_of_row(file, before.index),
                index = row.prompt
            );
            return Err(problem_of_row(file, row.index, twice));
        }
    }
    Ok(known)
}
