//! A language model by its loss on rows, the tokens that SFT would learn.

use super::{number, tell};
use crate::{
    algorithms::{answer_gain::insert, sft::MeasuredRows},
    answer::logprobs::demand_numbers,
    math::statistics::Estimate,
    model::Transformer,
    run::environment::ComputeEnvironment,
};
use anyhow::{Result, ensure};
use entity::message;
use serde_json::{Map, Value, json};
use std::path::Path;
use trainer_base::{
    job::{Report, VerbOutcome},
    model_config::{ModelConfig, ModelPurpose},
    progress::RunProgress,
    rows::{self, SupervisedExample},
    settings::EvalConfig,
    tokenizer::Tokenizer,
};

/// The mean loss per token that would be learnt, with Student's t interval over the rows, and its exponential,
/// the perplexity.
pub(super) fn judge(
    folder: &Path,
    data: &Path,
    config: &EvalConfig,
    environment: &ComputeEnvironment,
    report: &mut Report,
) -> Result<VerbOutcome> {
    refuse_reward_model(folder)?;
    let tokenizer = Tokenizer::load(folder)?;
    let max_length = rows::longest_sequence(folder, config.measure.max_length, report)?;
    let examples = rows::load_measured(data, &tokenizer, max_length, config.loss_on, report)?.rows;
    let model = Transformer::load_frozen(folder, environment.kind, environment.device)?
        .expect_language()?;
    let n_tokens: usize = examples.iter().map(|example| example.ids.len()).sum();
    let mut progress = RunProgress::new(examples.len() as u64, n_tokens as f64);
    let (mut measured, mut n_done) = (MeasuredRows::default(), 0);
    for examples in examples.chunks(config.measure.batch_size) {
        let examples: Vec<&SupervisedExample> = examples.iter().collect();
        measured.add(&model, &examples);
        n_done += examples.len() as u64;
        let tokens = examples.iter().map(|example| example.ids.len() as u64).sum();
        if progress.advance(n_done, tokens as f64, tokens, report).is_break() {
            return Ok(VerbOutcome::Stopped);
        }
    }
    let metrics = metrics(&measured)?;
    let told = message!(
        "eval-perplexity",
        "perplexity {perplexity} (95 % interval {low} to {high}), mean loss {loss} over {tokens} tokens of {rows} rows",
        perplexity = number(&metrics, "eval_perplexity"),
        low = number(&metrics, "eval_perplexity_low"),
        high = number(&metrics, "eval_perplexity_high"),
        loss = number(&metrics, "eval_loss"),
        tokens = measured.n_tokens_and_rows().0,
        rows = measured.n_tokens_and_rows().1
    );
    tell(report, told);
    Ok(VerbOutcome::Finished(progress.summary("eval", n_done, metrics)))
}

/// Before anything is read that takes long.
fn refuse_reward_model(folder: &Path) -> Result<()> {
    ensure!(
        ModelConfig::read(folder)?.purpose == ModelPurpose::Language,
        message!(
            "eval-model-is-reward",
            "{folder} is a reward model, which has no perplexity: give it as --reward, and as --data pairs (`chosen` and `rejected`) or answers that it is to judge",
            folder = folder.display()
        )
    );
    Ok(())
}

fn metrics(measured: &MeasuredRows) -> Result<Map<String, Value>> {
    let mut metrics = measured.metrics();
    let loss = metrics["eval_loss"].as_f64().unwrap_or(f64::NAN);
    demand_numbers(&[loss as f32])?;
    let estimate = measured.loss_estimate();
    insert(&mut metrics, "eval_loss", estimate);
    metrics.insert("eval_perplexity".into(), json!(loss.exp()));
    let of_loss = |Estimate { value, low, high }: Estimate| Estimate {
        value: value.exp(),
        low: low.exp(),
        high: high.exp(),
    };
    insert(&mut metrics, "eval_perplexity", estimate.map(of_loss));
    let (n_tokens, n_rows) = measured.n_tokens_and_rows();
    metrics.insert("eval_tokens".into(), json!(n_tokens));
    metrics.insert("eval_rows".into(), json!(n_rows));
    Ok(metrics)
}
