//! Answers by the scores of a reward model: those of one model, or of two to the same prompts.

use super::{name_of, number, percent, tell};
use crate::{
    algorithms::answer_gain::{self, MeasuredAnswer, insert},
    answer::score::{best_of_several, scores},
    math::statistics::{mean_estimate, mean_of, wilson_interval},
    model::Transformer,
};
use anyhow::{Result, ensure};
use entity::message;
use serde_json::{Map, Value, json};
use std::{collections::HashMap, path::Path};
use trainer_base::{
    job::{Report, VerbOutcome},
    progress::RunProgress,
    rows::{AnsweredSequence, MatchedAnswers, PromptAnswers},
};

/// The mean score of a file's answers, and of the best of several to each prompt.
pub(super) fn judge(
    model: &Transformer,
    file: &Path,
    rows: Vec<PromptAnswers>,
    batch_size: usize,
    report: &mut Report,
) -> Result<VerbOutcome> {
    let answers: Vec<Vec<AnsweredSequence>> =
        rows.into_iter().filter_map(|row| row.answers).collect();
    ensure_any(file, answers.len())?;
    let sequences: Vec<&AnsweredSequence> = answers.iter().flatten().collect();
    let Some((scores, progress)) = score(model, &sequences, batch_size, report)? else {
        return Ok(VerbOutcome::Stopped);
    };
    let mut scores = scores.into_iter();
    let of_prompts: Vec<Vec<f64>> =
        answers.iter().map(|answers| scores.by_ref().take(answers.len()).collect()).collect();
    let means: Vec<MeasuredAnswer> =
        answers.iter().zip(&of_prompts).map(|(answers, scores)| mean(answers, scores)).collect();
    let mut metrics = answer_gain::alone(&means);
    let of_means: Vec<f64> = means.iter().map(|answer| answer.score).collect();
    insert(&mut metrics, "eval_score", mean_estimate(&of_means));
    let best = best_of_several(&of_prompts);
    let told = message!(
        "eval-scores",
        "{file}: the answers to {prompts} prompts score {score} on average (95 % interval {low} to {high}), with {length} tokens each",
        file = name_of(file),
        prompts = answers.len(),
        score = number(&metrics, "eval_score"),
        low = number(&metrics, "eval_score_low"),
        high = number(&metrics, "eval_score_high"),
        length = number(&metrics, "eval_length")
    );
    tell(report, told);
    for (name, score) in best.iter().skip(1) {
        let told = message!(
            "eval-best-of",
            "the best of {k} answers is expected to score {score}",
            k = name.trim_start_matches("best_of_"),
            score = format!("{:.4}", score.as_f64().unwrap_or(f64::NAN))
        );
        tell(report, told);
    }
    metrics.extend(best);
    Ok(VerbOutcome::Finished(progress.summary("eval", answers.len() as u64, metrics)))
}

/// How often the answers of the first file score higher than those of the second, and by how much.
pub(super) fn compare(
    model: &Transformer,
    [ours, theirs]: [&Path; 2],
    matched: &[MatchedAnswers],
    batch_size: usize,
    report: &mut Report,
) -> Result<VerbOutcome> {
    ensure_any(ours, matched.len())?;
    let sequences: Vec<&AnsweredSequence> =
        matched.iter().flat_map(|both| both.ours.iter().chain(&both.theirs)).collect();
    let Some((scores, progress)) = score(model, &sequences, batch_size, report)? else {
        return Ok(VerbOutcome::Stopped);
    };
    let mut scores = scores.into_iter();
    let mut next = |n: usize| -> Vec<f64> { scores.by_ref().take(n).collect() };
    let (mut now, mut before, mut wins) = (Vec::new(), Vec::new(), Vec::new());
    for MatchedAnswers { ours, theirs } in matched {
        let (own, others) = (next(ours.len()), next(theirs.len()));
        wins.push(win_share(&own, &others));
        now.push(mean(ours, &own));
        before.push(mean(theirs, &others));
    }
    let metrics = comparison(&before, &now, &wins);
    say_all(&metrics, [ours, theirs].map(name_of), report);
    Ok(VerbOutcome::Finished(progress.summary("eval", matched.len() as u64, metrics)))
}

/// Metrics of answers beside others to the same prompts: what part of them wins, with Wilson's interval over
/// the prompts, and by how much they score higher, with Student's t interval of the differences.
pub(super) fn comparison(
    theirs: &[MeasuredAnswer],
    ours: &[MeasuredAnswer],
    wins: &[f64],
) -> Map<String, Value> {
    let mut metrics = answer_gain::beside(theirs, ours);
    let n_won: f64 = wins.iter().sum();
    let (low, high) = wilson_interval(n_won, wins.len() as f64);
    let mean_of_theirs =
        |of: fn(&MeasuredAnswer) -> f64| mean_of(&theirs.iter().map(of).collect::<Vec<f64>>());
    metrics.extend([
        ("eval_win_rate".to_owned(), json!(n_won / wins.len() as f64)),
        ("eval_win_rate_low".to_owned(), json!(low)),
        ("eval_win_rate_high".to_owned(), json!(high)),
        ("eval_score_against".to_owned(), json!(mean_of_theirs(|answer| answer.score))),
        ("eval_length_against".to_owned(), json!(mean_of_theirs(|answer| answer.length))),
    ]);
    metrics
}

/// The part of all pairs of an own and another answer in which the own one scores higher; a tie is half a win.
pub(super) fn win_share(own: &[f64], others: &[f64]) -> f64 {
    let won = |one: &f64, other: &f64| if one == other { 0.5 } else { f64::from(one > other) };
    let pairs = own.iter().flat_map(|one| others.iter().map(move |other| won(one, other)));
    pairs.sum::<f64>() / (own.len() * others.len()) as f64
}

fn say_all(metrics: &Map<String, Value>, [ours, theirs]: [String; 2], report: &mut Report) {
    let rate = message!(
        "eval-win-rate",
        "{ours} wins against {theirs} on {rate} % of {prompts} prompts (95 % interval {low} to {high} %; a tie counts as half)",
        ours = ours,
        theirs = theirs,
        rate = percent(metrics, "eval_win_rate"),
        prompts = metrics["eval_prompts"].as_u64().unwrap_or(0),
        low = percent(metrics, "eval_win_rate_low"),
        high = percent(metrics, "eval_win_rate_high")
    );
    tell(report, rate);
    if let Some([gain, low, high]) = bounds(metrics, "eval_gain") {
        let told = message!(
            "eval-gain",
            "its score is higher by {gain} on average (95 % interval {low} to {high}, prompt by prompt)",
            gain = gain,
            low = low,
            high = high
        );
        tell(report, told);
    }
    if let Some([gain, low, high]) = bounds(metrics, "eval_gain_same_length") {
        let told = message!(
            "eval-gain-same-length",
            "where the answers are of the same length, by {gain} (95 % interval {low} to {high})",
            gain = gain,
            low = low,
            high = high
        );
        tell(report, told);
    }
    let lengths = message!(
        "eval-lengths",
        "answers of {ours} have {own} tokens on average, those of {theirs} {others}",
        ours = ours,
        own = number(metrics, "eval_length"),
        theirs = theirs,
        others = number(metrics, "eval_length_against")
    );
    tell(report, lengths);
}

/// A number with its bounds for a sentence, if there is one.
fn bounds(metrics: &Map<String, Value>, name: &str) -> Option<[String; 3]> {
    metrics
        .contains_key(name)
        .then(|| ["", "_low", "_high"].map(|end| number(metrics, &format!("{name}{end}"))))
}

/// An error where no prompt is left.
fn ensure_any(file: &Path, n_prompts: usize) -> Result<()> {
    ensure!(
        n_prompts > 0,
        message!(
            "eval-nothing-left",
            "{file}: no prompt is left whose answers are all short enough; raise --max-length",
            file = file.display()
        )
    );
    Ok(())
}

fn mean(answers: &[AnsweredSequence], scores: &[f64]) -> MeasuredAnswer {
    let n = answers.len() as f64;
    MeasuredAnswer {
        score: scores.iter().sum::<f64>() / n,
        length: answers.iter().map(|answer| answer.length as f64).sum::<f64>() / n,
    }
}

/// The scores of sequences, so many in a forward pass, and how that went; none when asked to stop.
///
/// The same sequence is scored once: beside others in a batch its score would be another in the last bits, and
/// no tie with itself.
fn score(
    model: &Transformer,
    sequences: &[&AnsweredSequence],
    batch_size: usize,
    report: &mut Report,
) -> Result<Option<(Vec<f64>, RunProgress)>> {
    let _guard = tch::no_grad_guard();
    let (mut known, mut distinct) = (HashMap::new(), Vec::new());
    for sequence in sequences {
        known.entry(sequence.ids.as_slice()).or_insert_with(|| {
            distinct.push(sequence.ids.as_slice());
            distinct.len() - 1
        });
    }
    let n_tokens: usize = distinct.iter().map(|ids| ids.len()).sum();
    let mut progress = RunProgress::new(distinct.len() as u64, n_tokens as f64);
    let mut found = Vec::new();
    for ids in distinct.chunks(batch_size) {
        found.extend(scores(model, ids)?.into_iter().map(f64::from));
        let tokens = ids.iter().map(|ids| ids.len() as u64).sum();
        if progress.advance(found.len() as u64, tokens as f64, tokens, report).is_break() {
            return Ok(None);
        }
    }
    let of_all = sequences.iter().map(|sequence| found[known[sequence.ids.as_slice()]]).collect();
    Ok(Some((of_all, progress)))
}
