//! Which prompts each rollout batch answers: a function of the configuration and the number of
//! prompts alone, so that a resumed run goes on where it was.

use crate::{math::schedule::RateSchedule, run::row_use::tell_unreached};
use entity::run_config::RolloutSettings;
use std::collections::BTreeSet;
use trainer_base::{
    batches::RowBatches,
    job::Report,
    random::permutation,
    rows::{LoadedRows, PromptIds},
};

/// Derived from the configuration once.
#[derive(Debug)]
pub(crate) struct RolloutPlan {
    /// Rollout batches in all.
    pub(crate) n_steps: u64,
    batches: RowBatches,
    n_prompts: u64,
    /// Prompts of a whole rollout batch.
    rollout: u64,
    /// Answers to each prompt.
    n_answers: u64,
    /// Prompts over the whole run, where a number of answers was asked for.
    asked: Option<u64>,
    shuffle: bool,
    seed: u64,
}

/// A prompt on its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PromptTurn {
    pub(crate) prompt: usize,
    /// Stands for this prompt in this epoch in the key of each draw.
    pub(crate) key: u64,
}

impl RolloutPlan {
    /// `max_steps` counts rollout batches and goes before `episodes`, and that before `epochs`.
    pub(crate) fn new(settings: &RolloutSettings, n_prompts: usize) -> Self {
        let optimisation = &settings.optimisation;
        let batches = RowBatches::new(n_prompts, optimisation);
        let mut plan = Self {
            n_steps: batches.n_steps,
            batches,
            n_prompts: n_prompts as u64,
            rollout: settings.n_prompts() as u64,
            n_answers: settings.n_answers as u64,
            asked: None,
            shuffle: optimisation.shuffle,
            seed: optimisation.seed,
        };
        if settings.episodes > 0 && optimisation.max_steps == 0 {
            let asked = (settings.episodes as u64).div_ceil(plan.n_answers);
            let (epochs, rest) = (asked / plan.n_prompts, asked % plan.n_prompts);
            plan.n_steps = epochs * plan.batches.steps_per_epoch + rest.div_ceil(plan.rollout);
            plan.asked = Some(asked);
        }
        plan
    }

    /// The prompts of a rollout batch. Each epoch sees every prompt once; its last batch, and the
    /// run's, may be smaller.
    pub(crate) fn turns(&self, step: u64) -> Vec<PromptTurn> {
        let n = (self.prompts_before(step + 1) - self.prompts_before(step)) as usize;
        let epoch = step / self.batches.steps_per_epoch;
        let key = |prompt: usize| epoch * self.n_prompts + prompt as u64;
        let prompts = self.batches.of_step(step).concat();
        prompts.into_iter().take(n).map(|prompt| PromptTurn { prompt, key: key(prompt) }).collect()
    }

    fn prompts_before(&self, step: u64) -> u64 {
        let (epoch, within) =
            (step / self.batches.steps_per_epoch, step % self.batches.steps_per_epoch);
        let prompts = epoch * self.n_prompts + within * self.rollout;
        self.asked.map_or(prompts, |asked| prompts.min(asked))
    }

    /// Answers before a step.
    pub(crate) fn episodes_before(&self, step: u64) -> u64 {
        self.prompts_before(step) * self.n_answers
    }

    /// How the learning rate goes, a step being a rollout batch.
    pub(crate) fn rates(&self, settings: &RolloutSettings) -> RateSchedule {
        RateSchedule::new(&settings.optimisation, settings.learning_rate, self.n_steps)
    }

    /// Tells which prompts the run does not come to.
    pub(crate) fn tell_unreached(&self, loaded: &LoadedRows<PromptIds>, report: &mut Report) {
        if self.n_steps >= self.batches.steps_per_epoch {
            return;
        }
        let mut places: BTreeSet<usize> = loaded.rows.iter().map(|prompt| prompt.index).collect();
        for turn in (0..self.n_steps).flat_map(|step| self.turns(step)) {
            places.remove(&loaded.rows[turn.prompt].index);
        }
        tell_unreached(&mut loaded.counts.of_file.clone(), &places, report);
    }

    /// The batch's responses, in an order of this pass's own, shared out over `n` minibatches of
    /// nearly equal size. Fewer where there are not as many responses.
    pub(crate) fn minibatches(
        &self,
        step: u64,
        pass: usize,
        n_responses: usize,
        n: usize,
    ) -> Vec<Vec<usize>> {
        // Another stream than the epochs' orders, whose keys have two parts.
        let order = if self.shuffle {
            permutation(n_responses, &[self.seed, step, pass as u64])
        } else {
            (0..n_responses).collect()
        };
        let n = n.min(n_responses);
        (0..n).map(|i| order[i * n_responses / n..(i + 1) * n_responses / n].to_vec()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use entity::run_config::{GrpoConfig, PpoConfig, RolloutConfig};

    fn plan(n_prompts: usize, edit: impl FnOnce(&mut PpoConfig)) -> RolloutPlan {
        let mut config = PpoConfig::default();
        config.optimisation.batch_size = 2;
        config.optimisation.grad_accum = 2;
        edit(&mut config);
        RolloutPlan::new(&config.rollouts(), n_prompts)
    }

    fn prompts(plan: &RolloutPlan, step: u64) -> Vec<usize> {
        plan.turns(step).iter().map(|turn| turn.prompt).collect()
    }

    #[test]
    fn an_epoch_answers_every_prompt_once_and_keeps_the_last_partial_batch() {
        let plan = plan(10, |config| config.optimisation.epochs = 2.0);
        assert_eq!(plan.n_steps, 6);
        let sizes: Vec<_> = (0..6).map(|step| plan.turns(step).len()).collect();
        assert_eq!(sizes, [4, 4, 2, 4, 4, 2]);
        let epochs = [0..3, 3..6]
            .map(|steps| steps.flat_map(|step| prompts(&plan, step)).collect::<Vec<_>>());
        assert_ne!(epochs[0], epochs[1]);
        for mut epoch in epochs {
            epoch.sort_unstable();
            assert_eq!(epoch, (0..10).collect::<Vec<_>>());
        }
        let before: Vec<_> = (0..=6).map(|step| plan.episodes_before(step)).collect();
        assert_eq!(before, [0, 4, 8, 10, 14, 18, 20]);
    }

    #[test]
    fn unshuffled_prompts_come_in_the_files_order_and_each_turn_draws_afresh() {
        let plan = plan(3, |config| {
            config.optimisation.shuffle = false;
            config.optimisation.max_steps = 2;
        });
        assert_eq!((prompts(&plan, 0), prompts(&plan, 1)), (vec![0, 1, 2], vec![0, 1, 2]));
        assert_ne!(plan.turns(0)[0].key, plan.turns(1)[0].key);
    }

    #[test]
    fn the_number_of_episodes_is_kept_exactly() {
        for episodes in 1..40 {
            let plan = plan(10, |config| config.episodes = episodes);
            let answered: usize = (0..plan.n_steps).map(|step| plan.turns(step).len()).sum();
            assert_eq!(answered, episodes);
            assert!((0..plan.n_steps).all(|step| !plan.turns(step).is_empty()));
        }
    }

    #[test]
    fn every_answer_to_a_prompt_counts() {
        let mut config = GrpoConfig { num_generations: 3, ..GrpoConfig::default() };
        config.optimisation.batch_size = 4;
        config.optimisation.epochs = 1.0;
        let plan = RolloutPlan::new(&config.rollouts(), 10);
        assert_eq!(
            (0..=3).map(|step| plan.episodes_before(step)).collect::<Vec<_>>(),
            [0, 12, 24, 30]
        );
        assert_eq!(plan.turns(2).len(), 2);
    }

    #[test]
    fn minibatches_share_out_every_response_and_none_is_empty() {
        let plan = plan(10, |_| {});
        for (n_responses, n, sizes) in
            [(8, 2, vec![4, 4]), (7, 3, vec![2, 2, 3]), (2, 4, vec![1, 1])]
        {
            let parts = plan.minibatches(0, 0, n_responses, n);
            assert_eq!(parts.iter().map(Vec::len).collect::<Vec<_>>(), sizes);
            let mut all = parts.concat();
            all.sort_unstable();
            assert_eq!(all, (0..n_responses).collect::<Vec<_>>());
        }
        assert_ne!(plan.minibatches(0, 0, 8, 1), plan.minibatches(0, 1, 8, 1));
    }
}
