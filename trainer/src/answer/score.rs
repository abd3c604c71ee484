//! `trainer score`: a reward model's scores of answers.

use crate::{
    answer::logprobs::{create, demand_numbers, unwritten},
    model::Transformer,
    run::environment::ComputeEnvironment,
};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::io::Write;
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
    let model = Transformer::load_frozen(&paths.model, environment.kind, environment.device)?;
    ensure!(
        model.score_head.is_some(),
        "{} is a language model; scores come from a reward model, which `trainer reward` makes",
        paths.model.display()
    );
    let tokenizer = Tokenizer::load(&paths.model)?;
    let max_length = rows::longest_sequence(&paths.model, config.max_length, report)?;
    let rows = rows::load_to_score(&paths.data, &tokenizer, max_length, report)?.rows;
    let mut out = create(&paths.out)?;

    let _guard = tch::no_grad_guard();
    let n_tokens: usize = rows.iter().flat_map(sequences).map(<[i64]>::len).sum();
    let mut progress = RunProgress::new(rows.len() as u64, n_tokens as f64);
    let (mut n_done, mut n_pairs, mut n_right) = (0, 0u64, 0.0);
    for rows in rows.chunks(config.batch_size) {
        let all: Vec<&[i64]> = rows.iter().flat_map(sequences).collect();
        let scores = Vec::<f32>::try_from(model.sequence_scores(&all))?;
        demand_numbers(&scores)?;
        let mut scores = scores.into_iter();
        let mut next = || scores.next().expect("a score per sequence");
        for row in rows {
            let line = match row {
                RowToScore::Answer { index, .. } => json!({"index": index, "score": next()}),
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
    let mut last = serde_json::Map::new();
    if n_pairs > 0 {
        last.insert("accuracy".into(), Value::from(n_right / n_pairs as f64));
    }
    Ok(VerbOutcome::Finished(progress.summary("score", n_done, last)))
}

/// One sequence, or both of a pair.
fn sequences(row: &RowToScore) -> impl Iterator<Item = &[i64]> {
    let (first, second) = match row {
        RowToScore::Answer { ids, .. } => (ids.as_slice(), None),
        RowToScore::Pair(pair) => (pair.chosen.as_slice(), Some(pair.rejected.as_slice())),
    };
    std::iter::once(first).chain(second)
}
