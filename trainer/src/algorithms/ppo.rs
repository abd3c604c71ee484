//! Proximal policy optimisation of a policy against a reward model.
//!
//! Schulman et al. 2017 as it is done for language models (Ziegler et al. 2019, Ouyang et al. 2022,
//! Huang et al. 2024 "The N+ implementation details of RLHF with PPO"), with TRL's names and
//! statistics. Read [`train`] top to bottom; its phases:
//!
//! 1. Roll out: the policy answers a batch of prompts, and the reward model reads each answer at its
//!    last token.
//! 2. Shape the rewards: −β KL to the reference at each token, the score on the last one. With
//!    `adaptive_kl_target` β follows the KL from batch to batch.
//! 3. Advantages: generalised advantage estimation, whitened over the batch.
//! 4. Update: clipped policy and value losses, epochs × minibatches, a step for each minibatch; with
//!    `target_kl` none any more once the policy is too far from the one that answered.
//! 5. Report.
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
//!
//! The stop by KL is Stable-Baselines3's (`PPO.train`), as in Spinning Up and, until TRL 0.11, in its
//! `PPOTrainer` (`early_stopping`): a minibatch whose approximate KL is above 1.5 × `target_kl` is not
//! learnt, by policy or value model, nor is what is left of the passes. Two things differ: the KL is k2,
//! which TRL reports as `approxkl` (theirs is k3, the same to second order), and the first minibatch of
//! a batch is always learnt (its ratios are 1, but where adapters drop inputs).

use super::rollout::{
    RolloutInputs,
    answers::ScoredAnswers,
    engine::{RolloutEngine, answer_hidden},
    ensure_finite,
    learner::{LearningState, restore_model, save_model},
    read_inputs,
    rules::AnswerRules,
    run::RolloutRun,
};
use crate::{
    math::{
        ops::{self, ClipRange},
        optimizer::AdamW,
    },
    model::{Transformer, head},
    run::environment::ComputeEnvironment,
};
use anyhow::Result;
use entity::{
    message,
    message::KeyedMessage,
    run_config::{PpoConfig, RolloutConfig},
};
use kl_controller::KlController;
use serde_json::json;
use statistics::{UpdateStatistics, UpdateSums};
use std::{
    ops::{ControlFlow, Range},
    path::Path,
};
use targets::{RolloutBatch, UpdateTargets};
use tch::{Kind, Tensor};
use trainer_base::{
    errors::WithMessage,
    job::{Report, VerbOutcome},
    random,
    rows::TrainingExample,
    settings::RolloutPaths,
    tokenizer::Tokenizer,
};

mod kl_controller;
mod statistics;
mod targets;
#[cfg(test)]
mod tests;

/// How many times `target_kl` the KL may be, as in Stable-Baselines3.
const KL_LEEWAY: f64 = 1.5;

/// Improves the policy and writes it to `paths.out`.
pub fn run(paths: &RolloutPaths, config: &PpoConfig, report: &mut Report) -> Result<VerbOutcome> {
    reward_folder(paths)?;
    let inputs = match read_inputs("ppo", paths, config, report)? {
        ControlFlow::Continue(inputs) => inputs,
        ControlFlow::Break(outcome) => return Ok(outcome),
    };
    let RolloutInputs { environment, tokenizer, rows } = inputs;
    let mut ppo = Ppo::load(paths, config, tokenizer, &environment)?;
    let run = RolloutRun::open("ppo", config, &mut ppo, &rows, paths, report)?;
    let Some(run) = run else { return Ok(VerbOutcome::Stopped) };
    train(&mut ppo, run, report)
}

/// From where the value model starts.
fn reward_folder(paths: &RolloutPaths) -> Result<&Path, KeyedMessage> {
    paths.reward.as_deref().ok_or_else(|| {
        message!(
            "ppo-needs-reward-model",
            "PPO needs a reward model, from which its value model starts: give --reward; trainer grpo and trainer rloo learn by rules alone"
        )
    })
}

/// The algorithm.
fn train(ppo: &mut Ppo, mut run: RolloutRun, report: &mut Report) -> Result<VerbOutcome> {
    let config = ppo.config;
    for step in run.steps() {
        let learning_rate = run.learning_rate(step);

        // 1. Roll out: the policy answers a batch of prompts, and the reward model reads each answer at
        //    its last token.
        let answers = run.roll_out(&ppo.engine, step, report)?;
        let Some(answers) = answers else { return run.stop(ppo) };

        // 2. Shape the rewards: −β KL to the reference at each token, the score on the last one.
        // 3. Advantages, whitened over the batch, and returns.
        let rollout = ppo.measure(answers);
        let targets = rollout.targets(config, ppo.kl.coefficient());
        if run.advance(0, report).is_break() {
            return run.stop(ppo);
        }

        // 4. Update: passes over the batch, an optimiser step of both models for each minibatch.
        let mut statistics = UpdateStatistics::default();
        let n = rollout.answers.n_answers();
        let mut n_ahead = n * config.ppo_epochs;
        'passes: for pass in 0..config.ppo_epochs {
            for responses in run.minibatches(step, pass, n, config.minibatches) {
                let flow = ppo
                    .update(&rollout, &targets, &responses, learning_rate, &mut statistics)
                    .with_message(|| message!("at-step", "step {step}", step = step + 1))?;
                if flow.is_break() {
                    // What is passed over is no work that is still to come.
                    let _ = run.advance(n_ahead, report);
                    break 'passes;
                }
                n_ahead -= responses.len();
                // A stop waits for the end of the batch: checkpoints lie between batches.
                let _ = run.advance(responses.len(), report);
            }
        }

        // 5. Report; a checkpoint when it is time, or when the answer is to stop.
        let mut metrics = statistics.metrics(&rollout, &targets, config);
        metrics.insert("lr".into(), json!(learning_rate));
        metrics.extend(rollout.answers.sampling_metrics(&rollout.logprobs));
        ppo.kl.follow(rollout.kl(&targets), n);
        if run.finish_step(ppo, &rollout.answers, metrics, report)?.is_break() {
            return Ok(VerbOutcome::Stopped);
        }
    }
    run.finish(ppo, report)
}

/// What a run holds in memory: policy and value model learn.
struct Ppo<'a> {
    config: &'a PpoConfig,
    engine: RolloutEngine,
    value: Transformer,
    policy_optimizer: AdamW,
    value_optimizer: AdamW,
    kl: KlController,
    /// Optimiser steps taken.
    n_updates: u64,
}

impl<'a> Ppo<'a> {
    /// The reference is the policy as it was, the value model starts as the reward model. Where adapters
    /// learn, each pair has its base in memory once, and both have one where it is the same folder.
    fn load(
        paths: &RolloutPaths,
        config: &'a PpoConfig,
        tokenizer: Tokenizer,
        environment: &ComputeEnvironment,
    ) -> Result<Self> {
        let (lora, optimisation) = (&config.lora, &config.optimisation);
        let folder = reward_folder(paths)?;
        let policy =
            environment.load_to_train(&paths.policy, lora, optimisation)?.expect_language()?;
        let value = Transformer::load_to_train_beside(&policy, folder, lora, optimisation.seed)?;
        let (reference, reward) = (Some(policy.as_it_began()?), value.as_it_began()?);
        let settings = config.rollouts();
        let (reward, rules) = (Some(reward), AnswerRules::new(&settings)?);
        let engine = RolloutEngine { policy, reference, reward, rules, tokenizer, settings };
        engine.expect_reward_model()?;
        Ok(Self::new(engine, value, config))
    }

    fn new(engine: RolloutEngine, value: Transformer, config: &'a PpoConfig) -> Self {
        let optimizer =
            |model: &Transformer| AdamW::new(model.trainable(), config.optimisation.weight_decay);
        let (policy_optimizer, value_optimizer) = (optimizer(&engine.policy), optimizer(&value));
        let kl = KlController::new(config);
        Self { config, engine, value, policy_optimizer, value_optimizer, kl, n_updates: 0 }
    }

    /// Log-probabilities and values of the answers before the update, by policy, reference and value
    /// model.
    fn measure(&self, answers: ScoredAnswers) -> RolloutBatch {
        let (engine, sequences) = (&self.engine, &answers.sequences);
        let reference = engine.reference.as_ref().expect("PPO holds on to its reference");
        RolloutBatch {
            logprobs: engine.logprobs(&engine.policy, sequences),
            ref_logprobs: engine.logprobs(reference, sequences),
            values: self.values(sequences),
            answers,
        }
    }

    /// The value before each answer token, without gradient: (N).
    fn values(&self, sequences: &[TrainingExample]) -> Tensor {
        let _no_grad = tch::no_grad_guard();
        self.engine.over_micro_batches(sequences, |sequences| {
            self.values_of(&answer_hidden(&self.value, sequences).0)
        })
    }

    /// Up to which approximate KL from the policy that answered a minibatch is learnt.
    fn most_kl(&self) -> f64 {
        let target = self.config.target_kl;
        if target > 0.0 { KL_LEEWAY * target } else { f64::INFINITY }
    }

    /// Values of hidden states of the value model: (n, D) → (n). It begins as the reward model, and is read on
    /// the same scale as that.
    fn values_of(&self, hidden: &Tensor) -> Tensor {
        let scores = self.value.scores(hidden);
        match self.engine.normalisation() {
            None => scores,
            Some(spread) => (scores - spread.mean) / spread.std,
        }
    }

    /// Phase 4: one optimiser step of both models on some of the rollout's responses.
    ///
    /// The losses are means over the minibatch's tokens, in however many micro-batches these are. No step
    /// is taken, and a break is returned, where the policy has left the one that answered.
    fn update(
        &mut self,
        rollout: &RolloutBatch,
        targets: &UpdateTargets,
        minibatch: &[usize],
        learning_rate: f64,
        statistics: &mut UpdateStatistics,
    ) -> Result<ControlFlow<()>> {
        for (model, number) in [(&self.engine.policy, 0), (&self.value, 1)] {
            let key = [self.config.optimisation.seed, self.n_updates, number];
            model.draw_dropout_from(random::bits(&key));
        }
        let n_tokens = rollout.places(minibatch).numel() as f64;
        let clip = ClipRange { low: self.config.cliprange, high: self.config.cliprange };
        let mut sums = UpdateSums::default();
        for responses in minibatch.chunks(self.config.optimisation.batch_size) {
            let sequences: Vec<_> =
                responses.iter().map(|&i| &rollout.answers.sequences[i]).collect();
            let places = rollout.places(responses);
            let of = |values: &Tensor| values.index_select(0, &places); // (n)

            let (hidden, ids) = answer_hidden(&self.engine.policy, &sequences);
            let (old, advantages) = (of(&rollout.logprobs), of(&targets.advantages));
            let gradient = |rows: Range<i64>, logprobs: &Tensor| {
                let narrow = |x: &Tensor| x.narrow(0, rows.start, rows.end - rows.start);
                let logprobs = logprobs.detach().set_requires_grad(true);
                let (old, advantages) = (narrow(&old), narrow(&advantages));
                let loss = ops::policy_loss(&logprobs, &old, &advantages, clip);
                sums.add_policy(&loss, &(logprobs.detach() - old));
                (loss.per_token.sum(Kind::Float) / n_tokens).backward();
                logprobs.grad()
            };
            let tokens = head::logprobs_backward(
                &self.engine.policy,
                &hidden,
                &ids,
                self.config.temperature,
                gradient,
            )?;
            sums.add_entropy(&tokens.entropy);
            self.policy_optimizer.gather_gradients()?;

            let (hidden, _) = answer_hidden(&self.value, &sequences);
            let values = self.values_of(&hidden);
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
        let is_first = statistics.is_empty();
        let is_beyond = statistics.measure(&sums, n_tokens) > self.most_kl();
        if is_beyond && !is_first {
            self.policy_optimizer.forget_gradients()?;
            self.value_optimizer.forget_gradients()?;
            return Ok(ControlFlow::Break(()));
        }
        let max_norm = self.config.optimisation.max_grad_norm;
        let policy_norm = self.policy_optimizer.clip_gradients(max_norm)?;
        let value_norm = self.value_optimizer.clip_gradients(max_norm)?;
        let norm = policy_norm.hypot(value_norm);
        ensure_finite(norm)?;
        self.policy_optimizer.step(learning_rate)?;
        self.value_optimizer.step(learning_rate)?;
        self.n_updates += 1;
        statistics.add(sums, n_tokens, norm);
        Ok(ControlFlow::Continue(()))
    }
}

impl LearningState for Ppo<'_> {
    fn engine(&self) -> &RolloutEngine {
        &self.engine
    }

    fn engine_mut(&mut self) -> &mut RolloutEngine {
        &mut self.engine
    }

    fn n_updates(&self) -> u64 {
        self.n_updates
    }

    fn save(&self, folder: &Path) -> Result<()> {
        save_model(&self.engine.policy, &self.policy_optimizer, "policy", folder)?;
        save_model(&self.value, &self.value_optimizer, "value", folder)?;
        self.kl.save(folder)
    }

    fn restore(&mut self, folder: &Path, n_updates: u64) -> Result<()> {
        let policy = &self.engine.policy;
        restore_model(policy, &mut self.policy_optimizer, "policy", folder, n_updates)?;
        restore_model(&self.value, &mut self.value_optimizer, "value", folder, n_updates)?;
        self.kl.restore(folder)?;
        self.n_updates = n_updates;
        Ok(())
    }
}
