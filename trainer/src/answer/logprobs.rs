//! `trainer logprobs`: how likely a model finds given answers, token by token.

use crate::{
    model::{PackedBatch, Transformer, head},
    run::{environment::ComputeEnvironment, failure::NOT_NUMBERS},
};
use anyhow::{Context, Result, ensure};
use serde_json::{Map, json};
use std::{
    fs::File,
    io::{BufWriter, Write},
    path::Path,
};
use trainer_base::{
    job::{Report, VerbOutcome},
    progress::RunProgress,
    rows,
    settings::{LogprobsPaths, MeasureConfig},
    tokenizer::Tokenizer,
};

/// Writes the log-probability of each answer token, at temperature 1.
pub fn run(
    paths: &LogprobsPaths,
    config: &MeasureConfig,
    report: &mut Report,
) -> Result<VerbOutcome> {
    let Some(environment) = ComputeEnvironment::start(config.device, config.dtype, report)? else {
        return Ok(VerbOutcome::Stopped);
    };
    let tokenizer = Tokenizer::load(&paths.model)?;
    let max_length = rows::longest_sequence(&paths.model, config.max_length, report)?;
    let examples = rows::load_examples(&paths.data, &tokenizer, max_length, report)?.rows;
    let model = Transformer::load_frozen(&paths.model, environment.kind, environment.device)?
        .expect_language()?;
    let mut out = create(&paths.out)?;

    let _guard = tch::no_grad_guard();
    let n_tokens: usize = examples.iter().map(|example| example.ids.len()).sum();
    let mut progress = RunProgress::new(examples.len() as u64, n_tokens as f64);
    let mut n_done = 0;
    for examples in examples.chunks(config.batch_size) {
        let sequences: Vec<&[i64]> = examples.iter().map(|e| e.ids.as_slice()).collect();
        let batch = PackedBatch::new(&sequences, model.device);
        let prompt_lengths: Vec<usize> = examples.iter().map(|e| e.prompt_len.max(1)).collect();
        let answers = batch.answers(&prompt_lengths);
        let hidden = model.hidden(&batch).index_select(0, &answers.rows);
        let logprobs =
            Vec::<f32>::try_from(head::logprobs(&model, &hidden, &answers.ids, 1.0).logprobs)?;
        demand_numbers(&logprobs)?;
        let mut rest = logprobs.as_slice();
        for (example, prompt_length) in examples.iter().zip(prompt_lengths) {
            let (prompt, answer) = example.ids.split_at(prompt_length);
            let (logprobs, others) = rest.split_at(answer.len());
            rest = others;
            let line = json!({
                "index": example.index, "prompt_token_ids": prompt, "token_ids": answer,
                "logprobs": logprobs,
            });
            writeln!(out, "{line}").with_context(|| unwritten(&paths.out))?;
        }
        n_done += examples.len() as u64;
        let tokens = sequences.iter().map(|ids| ids.len() as u64).sum();
        if progress.advance(n_done, tokens as f64, tokens, report).is_break() {
            return Ok(VerbOutcome::Stopped);
        }
    }
    out.flush().with_context(|| unwritten(&paths.out))?;
    Ok(VerbOutcome::Finished(progress.summary("logprobs", n_done, Map::new())))
}

/// An error where a model's answer is no number.
pub(crate) fn demand_numbers(found: &[f32]) -> Result<()> {
    ensure!(
        found.iter().all(|number| number.is_finite()),
        "{NOT_NUMBERS}: its weights or the numbers of its config.json are damaged"
    );
    Ok(())
}

pub(crate) fn unwritten(path: &Path) -> String {
    format!("cannot write {}", path.display())
}

pub(crate) fn create(path: &Path) -> Result<BufWriter<File>> {
    let file = File::create(path).with_context(|| unwritten(path))?;
    Ok(BufWriter::new(file))
}
