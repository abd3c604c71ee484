//! `trainer eval`: a model judged on a file of rows by what training measures on held-out ones: a language
//! model's loss and perplexity, a reward model's accuracy on pairs, and answers by a reward model's scores.

mod answers;
mod language;
mod pairs;

use crate::{answer::score::load_reward_model, run::environment::ComputeEnvironment};
use anyhow::{Result, bail};
use entity::{message, message::KeyedMessage, report::LogLevel};
use serde_json::{Map, Value};
use std::path::Path;
use trainer_base::{
    job::{Report, VerbOutcome},
    progress::say,
    rows::{self, AnswerPair, JudgedRow, PromptAnswers, PromptRows},
    settings::{EvalConfig, EvalPaths, EvalSubject},
    tokenizer::Tokenizer,
};

/// Judges what the flags name, and says it in sentences and in the summary.
pub fn run(paths: &EvalPaths, config: &EvalConfig, report: &mut Report) -> Result<VerbOutcome> {
    let subject = paths.subject(config.loss_on).map_err(KeyedMessage::technical)?;
    let measure = &config.measure;
    let Some(environment) = ComputeEnvironment::start(measure.device, measure.dtype, report)?
    else {
        return Ok(VerbOutcome::Stopped);
    };
    match subject {
        EvalSubject::Language(model) => {
            language::judge(model, &paths.data, config, &environment, report)
        }
        EvalSubject::Reward(reward) => by_reward_model(reward, paths, config, &environment, report),
    }
}

/// Pairs, by which the reward model is judged, or answers, which it judges.
fn by_reward_model(
    reward: &Path,
    paths: &EvalPaths,
    config: &EvalConfig,
    environment: &ComputeEnvironment,
    report: &mut Report,
) -> Result<VerbOutcome> {
    let model = load_reward_model(reward, environment)?;
    let tokenizer = Tokenizer::load(reward)?;
    let batch_size = config.measure.batch_size;
    let max_length = rows::longest_sequence(reward, config.measure.max_length, report)?;
    let prompts = paths.prompts.as_deref().map(PromptRows::read).transpose()?;
    let mut read = |file: &Path| -> Result<RowsOfOneKind> {
        let rows = rows::load_judged(file, prompts.as_ref(), &tokenizer, max_length, report)?.rows;
        of_one_kind(file, rows)
    };
    let ours = read(&paths.data)?;
    let theirs =
        paths.against.as_deref().map(|file| anyhow::Ok((file, read(file)?))).transpose()?;
    match (ours, theirs) {
        (RowsOfOneKind::Pairs(pairs), None) => pairs::judge(&model, &pairs, batch_size, report),
        (RowsOfOneKind::Answers(answers), None) => {
            answers::judge(&model, &paths.data, answers, batch_size, report)
        }
        (RowsOfOneKind::Answers(ours), Some((file, RowsOfOneKind::Answers(theirs)))) => {
            let files = [paths.data.as_path(), file];
            let matched = rows::matched_answers((files[0], ours), (files[1], theirs))?;
            answers::compare(&model, files, &matched, batch_size, report)
        }
        (ours, Some((against, _))) => {
            let is_ours = matches!(ours, RowsOfOneKind::Pairs(_));
            let file = if is_ours { paths.data.as_path() } else { against };
            bail!(message!(
                "eval-pairs-against",
                "{file} has pairs, and --against compares answers of two models: give the answers of both (trainer sample writes some), or judge the reward model by the pairs without --against",
                file = file.display()
            ))
        }
    }
}

/// The rows of a file, which are all pairs or all answers.
enum RowsOfOneKind {
    Pairs(Vec<AnswerPair>),
    Answers(Vec<PromptAnswers>),
}

/// An error that names the first row that is another kind of thing than those before.
fn of_one_kind(file: &Path, rows: Vec<JudgedRow>) -> Result<RowsOfOneKind> {
    let (mut pairs, mut answers) = (Vec::new(), Vec::new());
    for row in rows {
        let index = match row {
            JudgedRow::Pair(pair) => {
                pairs.push(pair);
                pairs[pairs.len() - 1].index
            }
            JudgedRow::Answers(row) => {
                answers.push(row);
                answers[answers.len() - 1].index
            }
        };
        if !pairs.is_empty() && !answers.is_empty() {
            let mixed = message!(
                "eval-two-kinds",
                "pairs (`chosen` and `rejected`) and answers are judged each by themselves: put them into two files"
            );
            return Err(rows::problem_of_row(file, index, mixed).into());
        }
    }
    let is_pairs = answers.is_empty();
    Ok(if is_pairs { RowsOfOneKind::Pairs(pairs) } else { RowsOfOneKind::Answers(answers) })
}

/// A number of the metrics for a sentence; "?" where there is none.
fn number(metrics: &Map<String, Value>, name: &str) -> String {
    metrics.get(name).and_then(Value::as_f64).map_or_else(|| "?".into(), |n| format!("{n:.4}"))
}

/// A part of 1 as a percentage.
fn percent(metrics: &Map<String, Value>, name: &str) -> String {
    let part = metrics.get(name).and_then(Value::as_f64);
    part.map_or_else(|| "?".into(), |part| format!("{:.1}", 100.0 * part))
}

fn tell(report: &mut Report, message: KeyedMessage) {
    say(report, LogLevel::Info, message);
}

/// The last part of a path, by which a file is called in sentences.
fn name_of(file: &Path) -> String {
    file.file_name().unwrap_or(file.as_os_str()).to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests;
