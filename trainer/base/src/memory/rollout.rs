//! What methods take whose policy learns from answers of its own.

use super::{
    BatchLoad, MemoryEstimate, MemoryNeeds, ModelInMemory, RowLengths, Worst, batches, largest,
    learning::LearningModel,
};
use entity::run_config::{
    Dtype, GrpoConfig, PpoConfig, RlooConfig, RolloutConfig, RolloutSettings,
};

/// Sequences that a rollout decodes at once (`engine::SLOTS`).
const SLOTS: u64 = 64;

impl MemoryNeeds for PpoConfig {
    /// Wants the policy and its reward model.
    fn memory(
        &self,
        models: &[ModelInMemory],
        dtype: Option<Dtype>,
        rows: Option<&RowLengths>,
    ) -> Option<MemoryEstimate> {
        let [policy, reward] = models else { return None };
        Some(ppo([*policy, *reward], self, dtype.unwrap_or(self.optimisation.dtype), rows))
    }
}

impl MemoryNeeds for GrpoConfig {
    /// Wants the policy, and its reward model if it has one.
    fn memory(
        &self,
        models: &[ModelInMemory],
        dtype: Option<Dtype>,
        rows: Option<&RowLengths>,
    ) -> Option<MemoryEstimate> {
        policy_alone(models, &self.rollouts(), dtype, rows)
    }
}

impl MemoryNeeds for RlooConfig {
    /// Wants the policy, and its reward model if it has one.
    fn memory(
        &self,
        models: &[ModelInMemory],
        dtype: Option<Dtype>,
        rows: Option<&RowLengths>,
    ) -> Option<MemoryEstimate> {
        policy_alone(models, &self.rollouts(), dtype, rows)
    }
}

/// Policy and value model learn, one after the other; reference and reward model stay as they are.
fn ppo(
    [policy, reward]: [ModelInMemory; 2],
    config: &PpoConfig,
    dtype: Dtype,
    rows: Option<&RowLengths>,
) -> MemoryEstimate {
    let settings = &config.optimisation;
    let rows = rows.map(|rows| rows.answered(config.response_length as u64));
    let max_length = config.max_length + config.response_length;
    let worst = Worst { sequences_per_row: 1, max_length, has_head: true };
    let batches = batches(policy, settings, worst, rows.as_ref(), 1);
    let shares_base = reward.shares_base;
    let [policy, value] =
        [policy, reward].map(|model| LearningModel::new(model, &config.lora, settings));
    let gradients = [policy, value].map(|model| model.gradients());
    let all_gradients = gradients[0] + gradients[1];
    // Both models' gradients are gathered over the batches of a minibatch.
    let is_gathered = settings.grad_accum > config.minibatches;
    largest(dtype, |precision| {
        let step = |load: &BatchLoad| {
            let learns = if is_gathered {
                let policy = policy.step(load, precision);
                all_gradients + policy.max(value.saved(load, precision))
            } else {
                let value = gradients[0] + value.saved(load, precision);
                policy.step(load, precision).max(value).max(all_gradients)
            };
            let slots = SLOTS.min(settings.batch_size as u64 * settings.grad_accum as u64);
            learns.max(policy.whole.decoded(slots, load.longest, precision))
        };
        let load = batches.iter().max_by_key(|load| step(load)).expect("a batch");
        let held = |model: LearningModel| model.weights(precision) + model.twin(precision);
        let once = if shares_base { value.frozen_base(precision) } else { 0 };
        MemoryEstimate {
            weights: precision.process() + all_gradients + held(policy) + held(value) - once,
            batch: step(load) - all_gradients.min(step(load)),
            n_sequences: load.n_sequences,
            length: load.longest,
        }
    })
}

/// The policy learns; the reward model stays as it is, and so does the reference where there is one.
///
/// A step goes over several micro-batches, whose gradients are gathered.
fn policy_alone(
    models: &[ModelInMemory],
    rollouts: &RolloutSettings,
    dtype: Option<Dtype>,
    rows: Option<&RowLengths>,
) -> Option<MemoryEstimate> {
    let (&policy, reward) = models.split_first()?;
    let settings = &rollouts.optimisation;
    let rows = rows.map(|rows| rows.answered(rollouts.answer_length as u64));
    let max_length = rollouts.max_length + rollouts.answer_length;
    let worst = Worst { sequences_per_row: 1, max_length, has_head: true };
    let batches = batches(policy, settings, worst, rows.as_ref(), rollouts.n_answers);
    let policy = LearningModel::new(policy, &rollouts.lora, settings);
    let is_beside = |model: &&ModelInMemory| !(policy.has_adapters() && model.shares_base);
    let gradients = policy.gradients();
    let slots = SLOTS.min(rollouts.n_prompts().saturating_mul(rollouts.n_answers) as u64);
    Some(largest(dtype.unwrap_or(settings.dtype), |precision| {
        // The policy as it was when the run began: throughout, or while it answers the held-out prompts.
        let twin = policy.twin(precision);
        let (held, for_a_while) = if rollouts.has_reference { (twin, 0) } else { (0, twin) };
        let step = |load: &BatchLoad| {
            let learns = policy.step(load, precision).max(policy.at_end(load, precision));
            let answers = policy.whole.decoded(slots, load.longest, precision) + for_a_while;
            learns.max(answers.saturating_sub(gradients))
        };
        let load = batches.iter().max_by_key(|load| step(load)).expect("a batch");
        MemoryEstimate {
            weights: precision.process()
                + gradients
                + policy.weights(precision)
                + held
                + reward.iter().filter(is_beside).map(|model| model.frozen(precision)).sum::<u64>(),
            batch: step(load),
            n_sequences: load.n_sequences,
            length: load.longest,
        }
    }))
}
