//! Kahneman–Tversky optimisation: a policy learns from answers that are good or bad, each by itself
//! (Ethayarajh et al. 2024; TRL: `KTOTrainer`, loss `kto`).
//!
//! An answer is good by how much likelier it became than where the run began, beyond z: how far the
//! policy has gone in general, which is measured on prompts with answers of other rows. As in DPO, the
//! reference is the model that the run starts from and speaks once.

mod statistics;

use super::preference::{self, AnswerForward, PreferenceMethod, PreferencePaths, TwoLogprobs};
use crate::{
    math::ops,
    model::Transformer,
    run::{
        environment::ComputeEnvironment,
        identity::hash_of_sequences,
        session::{EVALUATION_COST, TrainingSession},
    },
};
use anyhow::Result;
use entity::{
    message,
    report::LogLevel,
    run_config::{KtoConfig, LoraSettings, OptimiserSettings},
};
use serde_json::{Map, Value};
use statistics::{AnswerStatistics, HeldOutAnswers, metrics_of};
use tch::Tensor;
use trainer_base::{
    evaluation::DPO_LEARNING_COST,
    job::{Report, VerbOutcome},
    progress::say,
    rows::{self, LabelledAnswer},
    settings::KtoPaths,
    tokenizer::Tokenizer,
};

/// Trains a policy on answers with a label and writes it as a Hugging Face folder.
pub fn run(paths: &KtoPaths, config: &KtoConfig, report: &mut Report) -> Result<VerbOutcome> {
    let (device, dtype) = (config.optimisation.device, config.optimisation.dtype);
    let Some(environment) = ComputeEnvironment::start(device, dtype, report)? else {
        return Ok(VerbOutcome::Stopped);
    };
    let tokenizer = Tokenizer::load(&paths.model)?;
    let max_length = rows::longest_sequence(&paths.model, config.max_length, report)?;
    let batch_size = config.optimisation.batch_size;
    let answers =
        rows::load_run_rows(&paths.data, paths.eval_data.as_deref(), report, |file, report| {
            rows::load_labelled(file, &tokenizer, max_length, batch_size, report)
        })?;
    warn_of_weights(&answers.learnt.rows, config, report);
    let paths = PreferencePaths { model: &paths.model, out: &paths.out, start: paths.start };
    preference::run(config, &paths, &environment, answers, report)
}

/// Says so where there is one side alone, or one counts for more than the paper advises:
/// λ_D n_D / (λ_U n_U) from 1 to 4/3 (eq. 8).
fn warn_of_weights(answers: &[LabelledAnswer], config: &KtoConfig, report: &mut Report) {
    let n_good = answers.iter().filter(|answer| answer.is_good).count();
    let n_bad = answers.len() - n_good;
    let (good, bad) =
        (config.desirable_weight * n_good as f64, config.undesirable_weight * n_bad as f64);
    let is_balanced = (0.99..=1.34).contains(&(good / bad));
    if n_good == 0 || n_bad == 0 {
        let alone = message!(
            "kto-one-side",
            "of {rows} answers {good} are good: KTO learns from both sides, and with one alone it drifts; add answers of the other",
            rows = answers.len(),
            good = n_good
        );
        return say(report, LogLevel::Warning, alone);
    }
    let has_weights = config.desirable_weight > 0.0 && config.undesirable_weight > 0.0;
    if is_balanced || !has_weights {
        return;
    }
    let advised = config.undesirable_weight * n_bad as f64 / n_good as f64;
    let unbalanced = message!(
        "kto-weights",
        "{good} answers are good and {bad} are bad; for both sides to weigh alike, set --desirable-weight to about {weight}",
        good = n_good,
        bad = n_bad,
        weight = format!("{:.2}", 1.15 * advised)
    );
    say(report, LogLevel::Warning, unbalanced);
}

impl PreferenceMethod for KtoConfig {
    const KIND: &'static str = "kto";
    type Row = LabelledAnswer;
    type Statistics = AnswerStatistics;
    type HeldOut = HeldOutAnswers;

    fn optimisation(&self) -> &OptimiserSettings {
        &self.optimisation
    }

    fn lora(&self) -> &LoraSettings {
        &self.lora
    }

    fn peak_rate(&self) -> f64 {
        self.peak_learning_rate()
    }

    fn eval_every(&self) -> usize {
        self.eval_every
    }

    fn hash_of_rows(answers: &[LabelledAnswer]) -> String {
        let told: Vec<i64> = answers
            .iter()
            .flat_map(|answer| [answer.prompt_len as i64, i64::from(answer.is_good)])
            .collect();
        let texts = answers.iter().flat_map(|answer| [answer.ids.as_slice(), &answer.mismatched]);
        hash_of_sequences(texts.chain([told.as_slice()]))
    }

    fn n_tokens(answer: &LabelledAnswer) -> u64 {
        answer.ids.len() as u64
    }

    /// The mismatched answer is read without a gradient.
    fn work_to_learn(answer: &LabelledAnswer) -> f64 {
        let (own, other) = (answer.ids.len() as f64, answer.mismatched.len() as f64);
        own * DPO_LEARNING_COST + other * EVALUATION_COST
    }

    fn work_to_measure(answer: &LabelledAnswer) -> f64 {
        (answer.ids.len() + answer.mismatched.len()) as f64 * EVALUATION_COST
    }

    /// Of the answer, and of the one that its prompt is mismatched with.
    fn measure(model: &Transformer, answers: &[&LabelledAnswer]) -> Vec<TwoLogprobs> {
        let _guard = tch::no_grad_guard();
        let own = forward(model, answers).logprobs(model);
        let others = measure_mismatched(model, answers);
        own.into_iter().zip(others).map(|(own, other)| [own, other]).collect()
    }

    fn learn(
        &self,
        session: &mut TrainingSession,
        answers: &[&LabelledAnswer],
        said: &[TwoLogprobs],
        n_micro_batches: f64,
    ) -> Result<AnswerStatistics> {
        let model = &session.model;
        let others = measure_mismatched(model, answers);
        let forward = forward(model, answers);
        let own = forward.logprobs(model);
        let policy: Vec<TwoLogprobs> =
            own.iter().zip(others).map(|(&own, other)| [own, other]).collect();
        let judged = JudgedAnswers::new(self, answers, &policy, said);
        let gradients: Vec<f64> =
            judged.gradients.iter().map(|gradient| gradient / n_micro_batches).collect();
        let entropy = forward.backward(model, &gradients)?;
        session.optimizer.gather_gradients()?;
        let JudgedAnswers { loss, z, rewards, .. } = judged;
        Ok(AnswerStatistics::new(answers, &rewards, &own, [loss, z, entropy]))
    }

    fn loss(seen: &AnswerStatistics) -> f64 {
        seen.loss
    }

    fn metrics(seen: &[AnswerStatistics]) -> Map<String, Value> {
        metrics_of(seen)
    }

    fn hold_out(
        &self,
        seen: &mut HeldOutAnswers,
        answers: &[&LabelledAnswer],
        policy: &[TwoLogprobs],
        said: &[TwoLogprobs],
    ) {
        let JudgedAnswers { loss, z, rewards, .. } =
            JudgedAnswers::new(self, answers, policy, said);
        seen.add(answers, &rewards, loss, z);
    }

    fn held_out_metrics(seen: &HeldOutAnswers) -> Map<String, Value> {
        seen.metrics()
    }
}

fn forward(model: &Transformer, answers: &[&LabelledAnswer]) -> AnswerForward {
    let ids: Vec<&[i64]> = answers.iter().map(|answer| answer.ids.as_slice()).collect();
    AnswerForward::new(model, &ids, &prompt_lens(answers))
}

fn measure_mismatched(model: &Transformer, answers: &[&LabelledAnswer]) -> Vec<f64> {
    let _guard = tch::no_grad_guard();
    let ids: Vec<&[i64]> = answers.iter().map(|answer| answer.mismatched.as_slice()).collect();
    AnswerForward::new(model, &ids, &prompt_lens(answers)).logprobs(model)
}

fn prompt_lens(answers: &[&LabelledAnswer]) -> Vec<usize> {
    answers.iter().map(|answer| answer.prompt_len).collect()
}

/// What n answers are worth beside the reference.
struct JudgedAnswers {
    /// The mean, and its gradient by log π of each answer.
    loss: f64,
    gradients: Vec<f64>,
    /// How far the policy has gone from the reference in general: the mean over the mismatched answers,
    /// and at least 0.
    z: f64,
    /// β (log π − log π_ref) of each answer.
    rewards: Vec<f64>,
}

impl JudgedAnswers {
    fn new(
        config: &KtoConfig,
        answers: &[&LabelledAnswer],
        policy: &[TwoLogprobs],
        said: &[TwoLogprobs],
    ) -> Self {
        let gone = |place: usize| -> Vec<f64> {
            policy.iter().zip(said).map(|(policy, said)| policy[place] - said[place]).collect()
        };
        let (own, others) = (gone(0), gone(1));
        let z = (others.iter().sum::<f64>() / others.len() as f64).max(0.0);
        let of_side = |good: f64, bad: f64| {
            let values: Vec<f64> =
                answers.iter().map(|answer| if answer.is_good { good } else { bad }).collect();
            Tensor::from_slice(&values)
        };
        let signs = of_side(1.0, -1.0);
        let weights = of_side(config.desirable_weight, config.undesirable_weight);
        let log_ratios = Tensor::from_slice(&own).set_requires_grad(true);
        let loss = ops::kto(&log_ratios, &signs, &weights, config.beta, z);
        loss.backward();
        Self {
            loss: loss.double_value(&[]),
            gradients: Vec::try_from(log_ratios.grad()).expect("one value per answer"),
            z,
            rewards: own.iter().map(|ratio| config.beta * ratio).collect(),
        }
    }
}

#[cfg(test)]
mod tests;
