//! Group relative policy optimisation of a policy against a reward model, without a value model.
//!
//! Shao et al. 2024 ("DeepSeekMath", §4.1), with what has become usual since: a loss that is a mean over
//! all tokens and an upper clip range of its own (DAPO, Yu et al. 2025), scores that are not divided by
//! their deviation (Dr. GRPO, Liu et al. 2025). Names, defaults and statistics are those of TRL's
//! `GRPOTrainer`. Read [`train`] top to bottom; its phases:
//!
//! 1. Roll out: the policy answers each prompt of a batch several times, and the reward model reads each
//!    answer at its last token.
//! 2. Advantages: each score beside those of the other answers to the same prompt.
//! 3. Update: clipped policy loss, and β KL to the reference in it; an optimiser step for each pass.
//! 4. Report.
//!
//! Where Attune differs from TRL 1.16's `GRPOTrainer`, on purpose:
//!
//! - A rollout batch is counted in prompts, and a pass over all of it is one optimiser step.
//! - The mean over tokens is over those of the whole step. TRL's bnpo is a mean over each micro-batch, so
//!   that its loss depends on how the memory cuts a step; here it is another name of dapo.
//! - The old log-probabilities are those of the first pass over a batch, whose ratios are therefore 1;
//!   with dropout in adapters they come from a forward pass of their own.
//! - `objective/kl` is there, too: k1 summed over each answer, as PPO reports it.

use super::rollout::{
    RolloutInputs,
    answers::ScoredAnswers,
    engine::{RolloutEngine, answer_hidden},
    learner::PolicyLearner,
    read_inputs,
    run::RolloutRun,
    statistics::{StepStatistics, StepSums},
};
use crate::{
    math::ops::{self, ClipRange},
    model::head,
};
use anyhow::Result;
use entity::{
    message,
    run_config::{GrpoConfig, GrpoLoss, RolloutConfig},
};
use serde_json::{Map, Value, json};
use std::ops::{ControlFlow, Range};
use tch::{Kind, Tensor};
use trainer_base::{
    errors::WithMessage,
    job::{Report, VerbOutcome},
    settings::RolloutPaths,
};

#[cfg(test)]
mod tests;

/// Improves the policy and writes it to `paths.out`.
pub fn run(paths: &RolloutPaths, config: &GrpoConfig, report: &mut Report) -> Result<VerbOutcome> {
    let inputs = match read_inputs("grpo", paths, config, report)? {
        ControlFlow::Continue(inputs) => inputs,
        ControlFlow::Break(outcome) => return Ok(outcome),
    };
    let RolloutInputs { environment, tokenizer, rows } = inputs;
    let engine = RolloutEngine::load(paths, config.rollouts(), tokenizer, &environment)?;
    let mut grpo = Grpo { config, learner: PolicyLearner::new(engine) };
    let run = RolloutRun::open("grpo", config, &mut grpo.learner, &rows, paths, report)?;
    let Some(run) = run else { return Ok(VerbOutcome::Stopped) };
    train(&mut grpo, run, report)
}

/// The algorithm.
fn train(grpo: &mut Grpo, mut run: RolloutRun, report: &mut Report) -> Result<VerbOutcome> {
    let config = grpo.config;
    for step in run.steps() {
        let learning_rate = run.learning_rate(step);

        // 1. Roll out: the policy answers each prompt several times, and the reward model reads each
        //    answer at its last token.
        let answers = run.roll_out(&grpo.learner.engine, step, report)?;
        let Some(answers) = answers else { return run.stop(&grpo.learner) };

        // 2. Advantages: each score beside those of the other answers to the same prompt.
        let mut targets = grpo.targets(&answers);
        if run.advance(0, report).is_break() {
            return run.stop(&grpo.learner);
        }

        // 3. Update: passes over the batch, an optimiser step for each.
        let mut statistics = StepStatistics::default();
        for _ in 0..config.num_iterations {
            let logprobs = grpo
                .update(&answers, &targets, learning_rate, &mut statistics)
                .with_message(|| message!("at-step", "step {step}", step = step + 1))?;
            targets.old.get_or_insert(logprobs);
            // A stop waits for the end of the batch: checkpoints lie between batches.
            let _ = run.advance(answers.n_answers(), report);
        }

        // 4. Report; a checkpoint when it is time, or when the answer is to stop.
        let n = config.num_generations;
        let mut metrics = statistics.metrics(&answers, &answers.scores, n);
        metrics.extend(targets.divergence(&answers));
        metrics.extend(targets.old.iter().flat_map(|old| answers.sampling_metrics(old)));
        if run.finish_step(&grpo.learner, &answers, metrics, report)?.is_break() {
            return Ok(VerbOutcome::Stopped);
        }
    }
    run.finish(&mut grpo.learner, report)
}

/// What a run holds in memory: the policy learns.
struct Grpo<'a> {
    config: &'a GrpoConfig,
    learner: PolicyLearner,
}

/// What the update needs of a batch of answers: all (N).
struct UpdateTargets {
    /// Of each token that of its answer.
    advantages: Tensor,
    /// How much a token's loss counts.
    weights: Tensor,
    /// log π_old of each token drawn; none before the first pass, unless that drops inputs of adapters.
    old: Option<Tensor>,
    /// log π_ref of each token drawn, where the policy is held to a reference.
    reference: Option<Tensor>,
}

impl UpdateTargets {
    /// How far the policy is from its reference, in nats per answer, where that is known.
    fn divergence(&self, answers: &ScoredAnswers) -> Map<String, Value> {
        let both = self.old.as_ref().zip(self.reference.as_ref());
        let kl = both.map(|(old, reference)| answers.per_answer(&(old - reference)));
        kl.into_iter().map(|kl| ("objective/kl".to_owned(), json!(kl))).collect()
    }
}

impl Grpo<'_> {
    /// Phase 2.
    fn targets(&self, answers: &ScoredAnswers) -> UpdateTargets {
        let (config, engine) = (self.config, &self.learner.engine);
        let advantages =
            ops::group_advantages(&answers.scores, config.num_generations, config.scale_rewards);
        let reference = if config.beta > 0.0 { engine.reference.as_ref() } else { None };
        let drops = config.lora.is_on() && config.lora.lora_dropout > 0.0;
        let logprobs = |model| engine.logprobs(model, &answers.sequences);
        UpdateTargets {
            advantages: self.of_tokens(answers, &advantages),
            weights: self.of_tokens(answers, &self.weights(&answers.lengths())),
            old: drops.then(|| logprobs(&engine.policy)),
            reference: reference.map(logprobs),
        }
    }

    /// How much each token's loss counts, answer by answer.
    fn weights(&self, lengths: &[i64]) -> Vec<f32> {
        let (n_tokens, n) = (lengths.iter().sum::<i64>() as f64, lengths.len() as f64);
        let most = self.config.max_completion_length as f64;
        let weight = |length: &i64| match self.config.loss_type {
            GrpoLoss::Dapo => 1.0 / n_tokens,
            GrpoLoss::Grpo => 1.0 / (n * *length as f64),
            GrpoLoss::DrGrpo => 1.0 / (n * most),
        };
        lengths.iter().map(|length| weight(length) as f32).collect()
    }

    /// A number of each answer, for each of its tokens: (N).
    fn of_tokens(&self, answers: &ScoredAnswers, values: &[f32]) -> Tensor {
        let tokens: Vec<f32> = values
            .iter()
            .zip(answers.lengths())
            .flat_map(|(value, length)| std::iter::repeat_n(*value, length as usize))
            .collect();
        Tensor::from_slice(&tokens).to_device(self.learner.engine.policy.device)
    }

    /// Phase 3: one optimiser step on all answers, in however many micro-batches, and what log π was
    /// before it: (N).
    fn update(
        &mut self,
        answers: &ScoredAnswers,
        targets: &UpdateTargets,
        learning_rate: f64,
        statistics: &mut StepStatistics,
    ) -> Result<Tensor> {
        self.learner.begin_step();
        let (config, policy) = (self.config, &self.learner.engine.policy);
        let clip = ClipRange { low: config.epsilon, high: config.upper_epsilon() };
        let all: Vec<usize> = (0..answers.n_answers()).collect();
        let (mut sums, mut parts) = (StepSums::default(), Vec::new());
        for picked in all.chunks(config.optimisation.batch_size) {
            let sequences: Vec<_> = picked.iter().map(|&i| &answers.sequences[i]).collect();
            let places = answers.places(picked, policy.device);
            let of = |values: &Tensor| values.index_select(0, &places); // (n)
            let (advantages, weights) = (of(&targets.advantages), of(&targets.weights));
            let (old, reference) =
                (targets.old.as_ref().map(of), targets.reference.as_ref().map(of));

            let (hidden, ids) = answer_hidden(policy, &sequences);
            let gradient = |rows: Range<i64>, logprobs: &Tensor| {
                let narrow = |x: &Tensor| x.narrow(0, rows.start, rows.end - rows.start);
                let old = old.as_ref().map_or_else(|| logprobs.detach(), narrow);
                let logprobs = logprobs.detach().set_requires_grad(true);
                let advantages = narrow(&advantages);
                let loss = ops::policy_loss(&logprobs, &old, &advantages, clip);
                sums.add_ratios(&loss, &advantages);
                let per_token = match &reference {
                    None => loss.per_token,
                    Some(reference) => {
                        let kl = ops::corrected_kl(&logprobs, &old, &narrow(reference));
                        sums.add_kl(&kl.detach());
                        loss.per_token + config.beta * kl
                    }
                };
                let loss = (per_token * narrow(&weights)).sum(Kind::Float);
                sums.add_loss(&loss.detach());
                loss.backward();
                logprobs.grad()
            };
            let tokens =
                head::logprobs_backward(policy, &hidden, &ids, config.temperature, gradient)?;
            sums.add_entropy(&tokens.entropy);
            parts.push(tokens.logprobs);
            self.learner.optimizer.gather_gradients()?;
        }
        let norm = self.learner.step(learning_rate)?;
        statistics.add(sums, norm);
        Ok(Tensor::cat(&parts, 0))
    }
}
