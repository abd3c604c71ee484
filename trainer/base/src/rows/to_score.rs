//! Rows for `trainer score`: answers, pairs, and what `trainer sample` writes, whose answers are to the
//! prompts of another file.

use super::{
    AnswerPair, Columns, DataError, LoadedRows, RowFile,
    columns::{self, AnsweredPrompt, RowContent},
    jsonl,
    loader::{RowLoader, TextToEncode},
    prompt_text, whole_texts,
};
use crate::{job::Report, tokenizer::Tokenizer};
use entity::{json_problem::kind, message, message::KeyedMessage, row_use::LeftOutReason};
use serde_json::{Value, json};
use std::{cell::RefCell, collections::VecDeque, mem, path::Path};

/// What a reward model is asked to score.
#[derive(Clone, Debug, PartialEq)]
pub enum RowToScore {
    /// One whole sequence.
    Answer {
        /// The 0-based row of the data file.
        index: usize,
        ids: Vec<i64>,
    },
    Pair(AnswerPair),
    /// Whole sequences that share a prompt.
    Answers {
        /// The 0-based row of the prompt in its file.
        index: usize,
        ids: Vec<Vec<i64>>,
    },
}

/// Pairs, or one answer as for SFT, or the output of `trainer sample` beside the file of `prompts` that it
/// answers. Over-long rows are dropped.
pub fn load_to_score<'a>(
    file: impl Into<RowFile<'a>>,
    prompts: Option<&Path>,
    tokenizer: &Tokenizer,
    max_length: usize,
    report: &mut Report,
) -> Result<LoadedRows<RowToScore>, DataError> {
    let prompts = prompts.map(PromptRows::read).transpose()?;
    // Which row of the prompts each row answers, if it is one of samples: from where a row is read to
    // where it is built.
    let answered = RefCell::new(VecDeque::new());
    let texts = |columns: &Columns| {
        let samples = samples(columns)?;
        answered.borrow_mut().push_back(samples.as_ref().map(|samples| samples.index));
        match samples {
            Some(samples) => samples.texts(prompts.as_ref(), tokenizer),
            None => whole_texts(&columns::pair_or_answered(columns)?, columns, tokenizer),
        }
    };
    RowLoader { file: file.into(), tokenizer, max_length, report }.load(texts, |mut row, counts| {
        let answered = answered.borrow_mut().pop_front().flatten();
        if row.is_longer_than(max_length) {
            counts.of_file.leave_out(row.index as u64, LeftOutReason::TooLong);
            return Ok(Vec::new());
        }
        Ok(vec![match (answered, row.ids.len()) {
            (Some(index), _) => RowToScore::Answers { index, ids: row.ids },
            (None, 1) => RowToScore::Answer { index: row.index, ids: mem::take(&mut row.ids[0]) },
            _ => RowToScore::Pair(row.into_pair()),
        }])
    })
}

/// The prompts of a file by their rows, each with the columns that its chat template reads.
pub struct PromptRows(Vec<(RowContent, Columns)>);

impl PromptRows {
    /// Reads what `trainer sample` answered.
    pub fn read(file: &Path) -> Result<Self, DataError> {
        let mut rows = Vec::new();
        for line in jsonl::RowReader::open(file)? {
            let line = line?;
            let at = |problem| DataError::Line { file: file.into(), line: line.number, problem };
            let prompt = columns::prompt(&line.columns).map_err(at)?;
            let template = ["tools", "chat_template_kwargs"];
            let of_template = |(name, _): &(String, Value)| template.contains(&name.as_str());
            rows.push((prompt, line.columns.into_iter().filter(of_template).collect()));
        }
        Ok(Self(rows))
    }
}

/// Answers to one prompt, as `trainer sample` writes them.
pub(super) struct PromptSamples {
    /// The 0-based row of the prompt in its file.
    pub(super) index: usize,
    /// Text, and whether it came to its end.
    answers: Vec<(String, bool)>,
}

/// None of a row without `completions`.
pub(super) fn samples(columns: &Columns) -> Result<Option<PromptSamples>, KeyedMessage> {
    let completions = match columns.get("completions") {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Array(completions)) if !completions.is_empty() => completions,
        Some(other) => {
            return Err(message!(
                "columns-bad-completions",
                "`completions` is {found}; expected a list of answers, as `trainer sample` writes it",
                found = kind(other)
            ));
        }
    };
    let index = columns.get("index").and_then(Value::as_u64).ok_or_else(|| {
        message!(
            "columns-no-index",
            "`completions` has no `index` beside it, the number of the prompt's row counted from 0"
        )
    })?;
    let answer = |completion: &Value| {
        let text = completion.as_str().or_else(|| completion["text"].as_str())?;
        Some((text.to_owned(), completion["finish_reason"] != "length"))
    };
    let answers =
        completions.iter().map(answer).collect::<Option<Vec<_>>>().ok_or_else(|| {
            message!("columns-no-text", "an answer of `completions` has no `text`")
        })?;
    Ok(Some(PromptSamples { index: index as usize, answers }))
}

impl PromptSamples {
    /// What was asked.
    fn prompt<'a>(
        &self,
        prompts: Option<&'a PromptRows>,
    ) -> Result<&'a (RowContent, Columns), KeyedMessage> {
        let prompts = prompts.ok_or_else(|| {
            message!(
                "columns-no-prompts",
                "`completions` are answers to the prompts of another file; name it by --prompts"
            )
        })?;
        prompts.0.get(self.index).ok_or_else(|| {
            message!(
                "columns-unknown-index",
                "`index` is {index}, and the file of prompts has {n} rows: is it the one that was answered?",
                index = self.index,
                n = prompts.0.len()
            )
        })
    }

    /// What was asked by itself, before [`Self::texts`].
    pub(super) fn prompt_and_texts(
        self,
        prompts: Option<&PromptRows>,
        tokenizer: &Tokenizer,
    ) -> Result<Vec<TextToEncode>, KeyedMessage> {
        let (prompt, columns) = self.prompt(prompts)?;
        let mut texts = vec![prompt_text(prompt, columns, tokenizer)?];
        texts.extend(self.texts(prompts, tokenizer)?);
        Ok(texts)
    }

    /// A finished answer as any other that is scored; one that was cut off as it is.
    fn texts(
        self,
        prompts: Option<&PromptRows>,
        tokenizer: &Tokenizer,
    ) -> Result<Vec<TextToEncode>, KeyedMessage> {
        let (prompt, columns) = self.prompt(prompts)?;
        let whole = |(text, is_finished): (String, bool)| {
            if !is_finished {
                let asked = prompt_text(prompt, columns, tokenizer)?;
                return Ok(TextToEncode { text: asked.text + &text, ..asked });
            }
            let answer = match prompt {
                RowContent::Plain(_) => RowContent::Plain(text),
                RowContent::Messages(_) => {
                    RowContent::Messages(vec![json!({"role": "assistant", "content": text})])
                }
            };
            let row = AnsweredPrompt { prompt: prompt.clone(), answers: vec![answer] };
            Ok(whole_texts(&row, columns, tokenizer)?.remove(0))
        };
        self.answers.into_iter().map(whole).collect()
    }
}
