//! `trainer score`: a reward model's scores of answers, and of how much the best of several is better.

use crate::{
    answer::logprobs::{create, demand_numbers, unwritten},
    math::statistics::best_of,
    model::Transformer,
    run::environment::ComputeEnvironment,
};
use anyhow::{Context, Result, ensure};
use entity::message;
use serde_json::{Map, Value, json};
use std::{io::Write, path::Path};
use trainer_base::{
    job::{Report, VerbOutcome},
    progress::RunProgress,
    rows::{self, RowToScore},
    settings::{MeasureConfig, ScorePaths},
    tokenizer::Tokenizer,
};

/// Writes a score per answer; of pairs also says how often the chosen one's is higher.
pub fn run(paths: &ScorePaths, config: &MeasureConfig, report: &mut Report) -> Result<VerbOutcome> {
    let Some(environment) = ComputeEnvironment::start(config.device, config.dtype, report)? else {
        return Ok(VerbOutcome::Stopped);
    };
    let model = load_reward_model(&paths.model, &environment)?;
    let tokenizer = Tokenizer::load(&paths.model)?;
    let max_length = rows::longest_sequence(&paths.model, config.max_length, report)?;
    let prompts = paths.prompts.as_deref();
    let rows = rows::load_to_score(&paths.data, prompts, &tokenizer, max_length, report)?.rows;
    let mut out = create(&paths.out)?;

    let _guard = tch::no_grad_guard();
    let n_tokens: usize = rows.iter().flat_map(sequences).map(<[i64]>::len).sum();
    let mut progress = RunProgress::new(rows.len() as u64, n_tokens as f64);
    let (mut n_done, mut n_pairs, mut n_right) = (0, 0u64, 0.0);
    let mut of_prompts: Vec<Vec<f64>> = Vec::new();
    for rows in rows.chunks(config.batch_size) {
        let all: Vec<&[i64]> = rows.iter().flat_map(sequences).collect();
        let mut scores = scores(&model, &all)?.into_iter();
        let mut next = || scores.next().expect("a score per sequence");
        for row in rows {
            let line = match row {
                RowToScore::Answer { index, .. } => json!({"index": index, "score": next()}),
                RowToScore::Answers { index, ids } => {
                    let scores: Vec<f32> = ids.iter().map(|_| next()).collect();
                    of_prompts.push(scores.iter().copied().map(f64::from).collect());
                    json!({"index": index, "scores": scores})
                }
                RowToScore::Pair(pair) => {
                    let (chosen, rejected) = (next(), next());
                    n_pairs += 1;
                    // A tie is right as often as a coin, as everywhere here.
                    n_right += if chosen == rejected { 0.5 } else { f64::from(chosen > rejected) };
                    json!({"index": pair.index, "chosen": chosen, "rejected": rejected})
                }
            };
            writeln!(out, "{line}").with_context(|| unwritten(&paths.out))?;
        }
        n_done += rows.len() as u64;
        let tokens = all.iter().map(|ids| ids.len() as u64).sum();
        if progress.advance(n_done, tokens as f64, tokens, report).is_break() {
            return Ok(VerbOutcome::Stopped);
        }
    }
    out.flush().with_context(|| unwritten(&paths.out))?;
    let mut last = best_of_several(&of_prompts);
    if n_pairs > 0 {
        last.insert("accuracy".into(), Value::from(n_right / n_pairs as f64));
    }
    Ok(VerbOutcome::Finished(progress.summary("score", n_done, last)))
}

/// The model in a folder, which has to be a reward model.
pub(crate) fn load_reward_model(
    folder: &Path,
    environment: &ComputeEnvironment,
) -> Result<Transformer> {
    let model = Transformer::load_frozen(folder, environment.kind, environment.device)?;
    ensure!(
        model.score_head.is_some(),
        message!(
            "score-language-model",
            "{folder} is a language model; scores come from a reward model, which `trainer reward` makes",
            folder = folder.display()
        )
    );
    Ok(model)
}

/// Scores of whole sequences, in one forward pass.
pub(crate) fn scores(model: &Transformer, sequences: &[&[i64]]) -> Result<Vec<f32>> {
    let scores = Vec::<f32>::try_from(model.sequence_scores(sequences))?;
    demand_numbers(&scores)?;
    Ok(scores)
}

/// `best_of_k` for k = 1, 2, 4, … as far as every prompt has answers: the mean over the prompts of what
/// the best of k answers is expected to score (1: the mean score).
pub(crate) fn best_of_several(of_prompts: &[Vec<f64>]) -> Map<String, Value> {
    let fewest = of_prompts.iter().map(Vec::len).min().unwrap_or(0);
    let numbers = std::iter::successors(Some(1), |k| Some(k * 2)).take_while(|k| *k <= fewest);
    let mean = |k: usize| {
        let best: Option<f64> = of_prompts.iter().map(|scores| best_of(k, scores)).sum();
        Some((format!("best_of_{k}"), json!(best? / of_prompts.len() as f64)))
    };
    numbers.filter_map(mean).collect()
}

/// One sequence, both of a pair, or all answers to a prompt.
fn sequences(row: &RowToScore) -> impl Iterator<Item = &[i64]> {
    let (few, many): (Vec<&[i64]>, &[Vec<i64>]) = match row {
        RowToScore::Answer { ids, .. } => (vec![ids], &[]),
        RowToScore::Pair(pair) => (vec![&pair.chosen, &pair.rejected], &[]),
        RowToScore::Answers { ids, .. } => (Vec::new(), ids),
    };
    few.into_iter().chain(many.iter().map(Vec::as_slice))
}
