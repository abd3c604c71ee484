//! Proximal policy optimisation of a policy against a reward model.
//!
//! Schulman et al. 2017 as it is done for language models (Ziegler et al. 2019, Ouyang et al. 2022,
//! Huang et al. 2024 "The N+ implementation details of RLHF with PPO"), with TRL's names and
//! statistics. Read [`train`] top to bottom; its phases:
//!
//! 1. Roll out: the policy answers a batch of prompts.
//! 2. Score: the reward model reads each answer at its last token.
//! 3. Shape the rewards: −β KL to the reference at each token, the score on the last one.
//! 4. Advantages: generalised advantage estimation, whitened over the batch.
//! 5. Update: clipped policy and value losses, epochs × minibatches, a step for each minibatch.
//! 6. Report.
//!
//! Where Attune differs from TRL 1.9's `PPOTrainer`, on purpose:
//!
//! - The score sits on the response's last token (the papers), not on the padding after it, and
//!   the value loss covers the response's tokens only.
//! - Old log-probabilities come from a full forward pass, the same code as the update's, so the
//!   first ratio is 1; TRL takes those of the decoding loop.
//! - `minibatches` are optimiser steps. TRL's `num_mini_batches` does not add steps when gradients
//!   are accumulated.
//! - Statistics are means over response tokens, not over padding.
//! - Gradients are clipped (`max_grad_norm`), policy and value model each by its own norm: a value
//!   model that still errs much does not shorten the policy's steps. `grad_norm` is of both
//!   together, before clipping, the mean over the batch's steps.
//! - Logits are divided by the temperature, not by the temperature + 1e-7.

use crate::{
    answer::{
        generate::{self, AnswerRequest, Completion, FinishReason, SamplingSettings},
        sample,
        show::{ShowSchedule, ShownPrompts},
    },
    math::{ops, optimizer::AdamW, schedule::RateSchedule},
    model::{Transformer, head},
    run::{environment::ComputeEnvironment, evaluation::EvaluationSchedule},
};
use anyhow::ensure;
use entity::message;
use entity::{report::RunReport, run_config::PpoConfig};
use held_out::HeldOut;
use models::PpoModels;
use plan::{PromptTurn, RolloutPlan};
use rollout::{RolloutBatch, UpdateTargets};
use run::PpoRun;
use statistics::{UpdateStatistics, UpdateSums};
use std::{
    ops::{ControlFlow, Range},
    path::Path,
};
use tch::{Kind, Tensor};
use trainer_base::errors::WithMessage;
use trainer_base::{
    job::{Report, VerbOutcome},
    random,
    rows::{self, LoadedRows, LongPrompts, PromptIds, TrainingExample},
    settings::PpoPaths,
    tokenizer::Tokenizer,
};

mod held_out;
mod models;
mod plan;
mod rollout;
mod run;
mod score;
mod statistics;
#[cfg(test)]
mod tests;

/// Sequences decoded at once in a rollout.
const SLOTS: usize = 64;

/// Improves the policy and writes it to `paths.out`.
pub fn run(
    paths: &PpoPaths,
    config: &PpoConfig,
    report: &mut Report,
) -> anyhow::Result<VerbOutcome> {
    let (device, dtype) = (config.optimisation.device, config.optimisation.dtype);
    let Some(environment) = ComputeEnvironment::start(device, dtype, report)? else {
        return Ok(VerbOutcome::Stopped);
    };
    score::ensure_same_vocabulary(&paths.policy, &paths.reward)?;
    let tokenizer = Tokenizer::load(&paths.policy)?;
    let mut load = |file: &Path| {
        rows::load_prompts(file, &tokenizer, config.max_length, LongPrompts::Drop, report)
    };
    let prompts = load(&paths.prompts)?;
    let held_out = match &paths.eval_prompts {
        Some(file) => load(file)?.rows,
        None => Vec::new(),
    };
    let lengths = prompts.rows.iter().collect();
    environment.tell_forecast(&[&paths.policy, &paths.reward], config, &lengths, report);
    let models = PpoModels::load(paths, config, &environment)?;
    for prompts in [&prompts.rows, &held_out] {
        sample::ensure_they_fit(prompts, config.response_length, &models.policy)?;
    }
    let mut ppo = Ppo::new(models, tokenizer, config);
    train(&mut ppo, &prompts, &held_out, paths, report)
}

/// The algorithm.
fn train(
    ppo: &mut Ppo,
    loaded: &LoadedRows<PromptIds>,
    held_out: &[PromptIds],
    paths: &PpoPaths,
    report: &mut Report,
) -> anyhow::Result<VerbOutcome> {
    let (config, prompts) = (ppo.config, &loaded.rows);
    let plan = RolloutPlan::new(config, prompts.len());
    let schedule = schedule(config, &plan);
    let evaluations = EvaluationSchedule::new(config.eval_every, plan.n_steps);
    let n_measured = held_out::measured(held_out).len() as u64 * evaluations.n_evaluations();
    let mut run = PpoRun::open(ppo, prompts, paths, &plan, n_measured, report)?;
    plan.tell_unreached(loaded, report);
    let mut showing = ShowSchedule::new(plan.n_steps);
    let held_out = HeldOut::open(ppo, held_out, evaluations, &mut run, report)?;
    let Some(held_out) = held_out else { return run.stop(ppo) };
    if run.step() == 0 {
        if !held_out.is_empty() && run.report_start(held_out.at_start(), report).is_break() {
            return Ok(VerbOutcome::Stopped);
        }
        let examples = ppo.show(prompts, 0, &mut showing, &mut run)?;
        if examples.into_iter().try_for_each(&mut *report).is_break() {
            return Ok(VerbOutcome::Stopped);
        }
    }
    for step in run.step()..plan.n_steps {
        let learning_rate = schedule.learning_rate(step);

        // 1. Roll out: the policy answers a batch of prompts.
        let turns = plan.turns(step);
        let asked: Vec<&PromptIds> = turns.iter().map(|turn| &prompts[turn.prompt]).collect();
        let tick = &mut || run.advance(0, 0, report);
        let answers = ppo.answer(&ppo.models.policy, &turns, &asked, tick);
        let Some(completions) = answers else { return run.stop(ppo) };

        // 2. Score: the reward model reads each answer at its last token.
        let scores = ppo.score(&asked, &completions)?;

        // 3. Shape the rewards: −β KL to the reference at each token, the score on the last one.
        // 4. Advantages, whitened over the batch, and returns.
        let rollout = ppo.measure(&asked, &completions, scores);
        let targets = rollout.targets(config);
        if run.advance(0, 0, report).is_break() {
            return run.stop(ppo);
        }

        // 5. Update: passes over the batch, an optimiser step of both models for each minibatch.
        let mut statistics = UpdateStatistics::default();
        for pass in 0..config.ppo_epochs {
            for responses in plan.minibatches(step, pass, asked.len(), config.minibatches) {
                ppo.update(&rollout, &targets, &responses, learning_rate, &mut statistics)
                    .with_message(|| message!("at-step", "step {step}", step = step + 1))?;
                // A stop waits for the end of the batch: checkpoints lie between batches.
                let _ = run.advance(responses.len(), 0, report);
            }
        }

        // 6. Report; a checkpoint when it is time, or when the answer is to stop.
        let mut metrics = run.metrics(&plan, learning_rate);
        metrics.extend(statistics.metrics(&rollout, &targets, &completions, config));
        // A stop while it is measured leaves the numbers out; what the batch taught is kept.
        let measured = held_out.measure(ppo, step + 1, &mut run, report)?;
        metrics.extend(measured.unwrap_or_default());
        let is_due = showing.is_due(step + 1);
        let examples =
            if is_due { ppo.show(prompts, step + 1, &mut showing, &mut run)? } else { Vec::new() };
        if run.finish_step(ppo, metrics, examples, rollout.n_tokens(), report)?.is_break() {
            return Ok(VerbOutcome::Stopped);
        }
    }
    run.finish(ppo)
}

fn schedule(config: &PpoConfig, plan: &RolloutPlan) -> RateSchedule {
    RateSchedule {
        kind: config.optimisation.lr_scheduler,
        peak: config.peak_learning_rate(),
        warmup_steps: config.optimisation.warmup_steps as u64,
        n_steps: plan.n_steps,
    }
}

/// What a run holds in memory.
struct Ppo<'a> {
    config: &'a PpoConfig,
    tokenizer: Tokenizer,
    models: PpoModels,
    policy_optimizer: AdamW,
    value_optimizer: AdamW,
    /// Optimiser steps taken.
    n_updates: u64,
}

impl<'a> Ppo<'a> {
    fn new(models: PpoModels, tokenizer: Tokenizer, config: &'a PpoConfig) -> Self {
        let optimizer =
            |model: &Transformer| AdamW::new(model.trainable(), config.optimisation.weight_decay);
        let (policy_optimizer, value_optimizer) =
            (optimizer(&models.policy), optimizer(&models.value));
        Self { config, tokenizer, models, policy_optimizer, value_optimizer, n_updates: 0 }
    }

    /// Phase 1: one answer of the policy, or of the model that it was, to each prompt; none when
    /// `tick`, called at every token, says to stop.
    fn answer(
        &self,
        model: &Transformer,
        turns: &[PromptTurn],
        asked: &[&PromptIds],
        tick: &mut dyn FnMut() -> ControlFlow<()>,
    ) -> Option<Vec<Completion>> {
        let requests: Vec<AnswerRequest> = turns
            .iter()
            .zip(asked)
            .map(|(turn, prompt)| AnswerRequest { ids: &prompt.ids, n: 1, key: turn.key })
            .collect();
        let settings = SamplingSettings {
            max_new_tokens: self.config.response_length,
            temperature: self.config.temperature,
            top_p: 1.0,
            slots: SLOTS,
            seed: self.config.optimisation.seed,
            stop_ids: self.tokenizer.eos_ids(),
        };
        let answers = generate::generate_while(model, &requests, &settings, tick)?;
        Some(answers.concat())
    }

    /// Phase 2: the reward model's score of each answer, less the penalty.
    fn score(&self, asked: &[&PromptIds], completions: &[Completion]) -> anyhow::Result<Vec<f32>> {
        let sequences = asked
            .iter()
            .zip(completions)
            .map(|(prompt, answer)| score::ids_to_score(prompt, answer, &self.tokenizer))
            .collect::<anyhow::Result<Vec<_>>>()?;
        let drawn = completions.iter().map(|completion| &completion.token_ids);
        sequences.iter().chain(drawn).try_for_each(|ids| self.models.check_embedded(ids))?;
        let mut scores = self.models.scores(&sequences, self.config.optimisation.batch_size);
        self.penalise(&mut scores, completions);
        Ok(scores)
    }

    /// An answer that did not end by itself loses `missing_eos_penalty`.
    fn penalise(&self, scores: &mut [f32], completions: &[Completion]) {
        for (score, completion) in scores.iter_mut().zip(completions) {
            if completion.finish_reason == FinishReason::Length {
                *score -= self.config.missing_eos_penalty as f32;
            }
        }
    }

    /// Log-probabilities and values of the answers before the update, by policy, reference and value
    /// model.
    fn measure(
        &self,
        asked: &[&PromptIds],
        completions: &[Completion],
        scores: Vec<f32>,
    ) -> RolloutBatch {
        let sequences: Vec<TrainingExample> = asked
            .iter()
            .zip(completions)
            .map(|(prompt, completion)| TrainingExample {
                index: prompt.index,
                ids: [prompt.ids.as_slice(), &completion.token_ids].concat(),
                prompt_len: prompt.ids.len(),
            })
            .collect();
        let PpoModels { policy, reference, value, .. } = &self.models;
        RolloutBatch {
            logprobs: models::logprobs(policy, &sequences, self.config),
            ref_logprobs: models::logprobs(reference, &sequences, self.config),
            values: models::values(value, &sequences, self.config),
            sequences,
            scores,
        }
    }

    /// Phase 5: one optimiser step of both models on some of the rollout's responses.
    ///
    /// The losses are means over the minibatch's tokens, in however many micro-batches these are.
    fn update(
        &mut self,
        rollout: &RolloutBatch,
        targets: &UpdateTargets,
        minibatch: &[usize],
        learning_rate: f64,
        statistics: &mut UpdateStatistics,
    ) -> anyhow::Result<()> {
        for (model, number) in [(&self.models.policy, 0), (&self.models.value, 1)] {
            let key = [self.config.optimisation.seed, self.n_updates, number];
            model.draw_dropout_from(random::bits(&key));
        }
        let n_tokens = rollout.places(minibatch).numel() as f64;
        let mut sums = UpdateSums::default();
        for responses in minibatch.chunks(self.config.optimisation.batch_size) {
            let sequences: Vec<_> = responses.iter().map(|&i| &rollout.sequences[i]).collect();
            let places = rollout.places(responses);
            let of = |values: &Tensor| values.index_select(0, &places); // (n)

            let (hidden, ids) = models::response_hidden(&self.models.policy, &sequences);
            let (old, advantages) = (of(&rollout.logprobs), of(&targets.advantages));
            let gradient = |rows: Range<i64>, logprobs: &Tensor| {
                let narrow = |x: &Tensor| x.narrow(0, rows.start, rows.end - rows.start);
                let logprobs = logprobs.detach().set_requires_grad(true);
                let (old, advantages) = (narrow(&old), narrow(&advantages));
                let loss =
                    ops::ppo_policy_loss(&logprobs, &old, &advantages, self.config.cliprange);
                sums.add_policy(&loss, &(logprobs.detach() - old));
                (loss.per_token.sum(Kind::Float) / n_tokens).backward();
                logprobs.grad()
            };
            let tokens = head::logprobs_backward(
                &self.models.policy,
                &hidden,
                &ids,
                self.config.temperature,
                gradient,
            )?;
            sums.add_entropy(&tokens.entropy);
            self.policy_optimizer.gather_gradients()?;

            let (hidden, _) = models::response_hidden(&self.models.value, &sequences);
            let values = self.models.value.scores(&hidden);
            let loss = ops::ppo_value_loss(
                &values,
                &of(&rollout.values),
                &of(&targets.returns),
                self.config.cliprange_value,
            );
            sums.add_value(&loss);
            (self.config.vf_coef * loss.per_token.sum(Kind::Float) / n_tokens).backward();
            self.value_optimizer.gather_gradients()?;
        }
        let max_norm = self.config.optimisation.max_grad_norm;
        let policy_norm = self.policy_optimizer.clip_gradients(max_norm)?;
        let value_norm = self.value_optimizer.clip_gradients(max_norm)?;
        let norm = policy_norm.hypot(value_norm);
        ensure!(
            norm.is_finite(),
            message!(
                "gradient-no-number",
                "the gradient has the norm {norm}: lower --learning-rate",
                norm = norm.to_string()
            )
        );
        self.policy_optimizer.step(learning_rate)?;
        self.value_optimizer.step(learning_rate)?;
        self.n_updates += 1;
        statistics.add(sums, n_tokens, norm);
        Ok(())
    }

    /// What the policy answers now to the first prompts, with the scores, for a person to read.
    fn show(
        &self,
        prompts: &[PromptIds],
        step: u64,
        showing: &mut ShowSchedule,
        run: &mut PpoRun,
    ) -> anyhow::Result<Vec<RunReport>> {
        let PpoModels { policy, .. } = &self.models;
        let ids = prompts.iter().map(|prompt| prompt.ids.as_slice());
        let shown = ShownPrompts::new(policy, ids, self.config.response_length);
        let (answers, scores) = showing.show(run.progress(), || {
            let answers = shown.answers(policy, &self.tokenizer);
            let asked: Vec<&PromptIds> = prompts.iter().take(shown.len()).collect();
            let scores = self.score(&asked, &answers);
            (answers, scores)
        });
        Ok(shown.events(&self.tokenizer, step, &answers, Some(&scores?)))
    }
}
