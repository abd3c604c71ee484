//! REINFORCE with a leave-one-out baseline, of a policy against a reward model, without a value model.
//!
//! Ahmadian et al. 2024 ("Back to Basics"), with the names, defaults and statistics of TRL's
//! `RLOOTrainer`. An answer is one action: its probability is the product of its tokens', its KL from the
//! reference a part of its reward. Read [`train`] top to bottom; its phases:
//!
//! 1. Roll out: the policy answers each prompt of a batch several times, and the reward model reads each
//!    answer at its last token.
//! 2. Advantages: the score less β KL, beside the mean of the other answers to the same prompt.
//! 3. Update: clipped policy loss of whole answers; an optimiser step for each pass.
//! 4. Report.
//!
//! Where Attune differs from TRL 1.16's `RLOOTrainer`, on purpose:
//!
//! - A rollout batch is counted in prompts, and a pass over all of it is one optimiser step.
//! - `objective/kl` is there, too: k1 summed over each answer, as PPO reports it. `kl` is its mean over
//!   tokens.

use super::rollout::{
    RolloutInputs,
    answers::{ScoredAnswers, floats},
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
    run_config::{KlEstimator, RlooConfig, RolloutConfig},
};
use serde_json::{Map, Value, json};
use std::ops::ControlFlow;
use tch::{Kind, Tensor};
use trainer_base::{
    errors::WithMessage,
    job::{Report, VerbOutcome},
    settings::RolloutPaths,
};

#[cfg(test)]
mod tests;

/// Improves the policy and writes it to `paths.out`.
pub fn run(paths: &RolloutPaths, config: &RlooConfig, report: &mut Report) -> Result<VerbOutcome> {
    let inputs = match read_inputs("rloo", paths, config, report)? {
        ControlFlow::Continue(inputs) => inputs,
        ControlFlow::Break(outcome) => return Ok(outcome),
    };
    let RolloutInputs { environment, tokenizer, rows } = inputs;
    let engine = RolloutEngine::load(paths, config.rollouts(), tokenizer, &environment)?;
    let mut rloo = Rloo { config, learner: PolicyLearner::new(engine) };
    let run = RolloutRun::open("rloo", config, &mut rloo.learner, &rows, paths, report)?;
    let Some(run) = run else { return Ok(VerbOutcome::Stopped) };
    train(&mut rloo, run, report)
}

/// The algorithm.
fn train(rloo: &mut Rloo, mut run: RolloutRun, report: &mut Report) -> Result<VerbOutcome> {
    let config = rloo.config;
    for step in run.steps() {
        let learning_rate = run.learning_rate(step);

        // 1. Roll out: the policy answers each prompt several times, and the reward model reads each
        //    answer at its last token.
        let answers = run.roll_out(&rloo.learner.engine, step, report)?;
        let Some(answers) = answers else { return run.stop(&rloo.learner) };

        // 2. Advantages: the score less β KL, beside the mean of the other answers to the same prompt.
        let looked_at = rloo.look_at(&answers);
        let targets = rloo.targets(&answers, &looked_at);
        if run.advance(0, report).is_break() {
            return run.stop(&rloo.learner);
        }

        // 3. Update: passes over the batch, an optimiser step for each.
        let mut statistics = StepStatistics::default();
        for _ in 0..config.num_iterations {
            rloo.update(&answers, &targets, learning_rate, &mut statistics)
                .with_message(|| message!("at-step", "step {step}", step = step + 1))?;
            // A stop waits for the end of the batch: checkpoints lie between batches.
            let _ = run.advance(answers.n_answers(), report);
        }

        // 4. Report; a checkpoint when it is time, or when the answer is to stop.
        let n = config.num_generations;
        let mut metrics = statistics.metrics(&answers, &targets.rewards, n);
        metrics.extend(looked_at.divergence(&answers));
        metrics.extend(answers.sampling_metrics(&looked_at.old));
        if run.finish_step(&rloo.learner, &answers, metrics, report)?.is_break() {
            return Ok(VerbOutcome::Stopped);
        }
    }
    run.finish(&mut rloo.learner, report)
}

/// What a run holds in memory: the policy learns.
struct Rloo<'a> {
    config: &'a RlooConfig,
    learner: PolicyLearner,
}

/// What the models say of a batch of answers before the update: all (N).
struct RolloutLogprobs {
    /// log π_old of each token drawn.
    old: Tensor,
    /// log π_ref of each token drawn, where the policy is held to a reference.
    reference: Option<Tensor>,
}

/// What the update needs of a batch of answers.
struct UpdateTargets {
    /// Score less β KL of each answer.
    rewards: Vec<f32>,
    /// Of each answer: (n)
    advantages: Tensor,
    /// log π_old of each answer: (n)
    old: Tensor,
}

impl RolloutLogprobs {
    /// k1 of each token, where there is a reference: (N).
    fn kl(&self) -> Option<Tensor> {
        let reference = self.reference.as_ref()?;
        Some(ops::kl(KlEstimator::K1, &self.old, reference))
    }

    /// How far the policy is from its reference, in nats per token and per answer, where that is known.
    fn divergence(&self, answers: &ScoredAnswers) -> Map<String, Value> {
        let Some(kl) = self.kl() else { return Map::new() };
        let per_answer = answers.per_answer(&kl);
        let per_token = per_answer * answers.n_answers() as f64 / answers.n_tokens() as f64;
        let metrics = [("kl", per_token), ("objective/kl", per_answer)];
        metrics.into_iter().map(|(name, kl)| (name.to_owned(), json!(kl))).collect()
    }
}

impl Rloo<'_> {
    /// Log-probabilities of the answers before the update, by policy and reference.
    fn look_at(&self, answers: &ScoredAnswers) -> RolloutLogprobs {
        let engine = &self.learner.engine;
        let reference = if self.config.beta > 0.0 { engine.reference.as_ref() } else { None };
        let logprobs = |model| engine.logprobs(model, &answers.sequences);
        RolloutLogprobs { old: logprobs(&engine.policy), reference: reference.map(logprobs) }
    }

    /// Phase 2.
    fn targets(&self, answers: &ScoredAnswers, looked_at: &RolloutLogprobs) -> UpdateTargets {
        let (config, lengths) = (self.config, answers.lengths());
        let mut rewards = answers.scores.clone();
        if let Some(kl) = looked_at.kl() {
            for (reward, kl) in rewards.iter_mut().zip(floats(&ops::answer_sums(&kl, &lengths))) {
                *reward -= config.beta as f32 * kl;
            }
        }
        let mut advantages = ops::leave_one_out(&rewards, config.num_generations);
        if config.normalize_advantages {
            advantages = ops::standardised(&advantages);
        }
        UpdateTargets {
            rewards,
            advantages: Tensor::from_slice(&advantages).to_device(looked_at.old.device()),
            old: ops::answer_sums(&looked_at.old, &lengths),
        }
    }

    /// Phase 3: one optimiser step on all answers, in however many micro-batches.
    fn update(
        &mut self,
        answers: &ScoredAnswers,
        targets: &UpdateTargets,
        learning_rate: f64,
        statistics: &mut StepStatistics,
    ) -> Result<()> {
        self.learner.begin_step();
        let (config, policy) = (self.config, &self.learner.engine.policy);
        let clip = ClipRange { low: config.epsilon, high: config.upper_epsilon() };
        let (lengths, n) = (answers.lengths(), answers.n_answers());
        let mut sums = StepSums::default();
        for start in (0..n).step_by(config.optimisation.batch_size) {
            let picked = start..n.min(start + config.optimisation.batch_size);
            let sequences: Vec<_> = answers.sequences[picked.clone()].iter().collect();
            let of = |values: &Tensor| values.narrow(0, start as i64, sequences.len() as i64);

            // Once without a gradient: only whole answers have a ratio.
            let (hidden, ids) = answer_hidden(policy, &sequences);
            let tokens = head::logprobs(policy, &hidden, &ids, config.temperature);
            let logprobs = tokens.logprobs.set_requires_grad(true);
            let of_answers = ops::answer_sums(&logprobs, &lengths[picked]);
            let advantages = of(&targets.advantages);
            let loss = ops::policy_loss(&of_answers, &of(&targets.old), &advantages, clip);
            sums.add_ratios(&loss, &advantages);
            sums.add_entropy(&tokens.entropy);
            let loss = loss.per_token.sum(Kind::Float) / n as f64;
            sums.add_loss(&loss.detach());
            loss.backward();
            let gradient = logprobs.grad();
            head::logprobs_backward(policy, &hidden, &ids, config.temperature, |rows, _| {
                gradient.narrow(0, rows.start, rows.end - rows.start)
            })?;
            self.learner.optimizer.gather_gradients()?;
        }
        let norm = self.learner.step(learning_rate)?;
        statistics.add(sums, norm);
        Ok(())
    }
}
