//! Which rows an optimiser step sees: a pure function of the configuration and the step's number,
//! so that a resumed run needs to know no more than how many steps are done.

use crate::random;
use entity::run_config::OptimiserSettings;

/// The walk through the rows of a dataset.
#[derive(Debug)]
pub struct RowBatches {
    n_rows: usize,
    batch_size: usize,
    grad_accum: usize,
    seed: Option<u64>,
    /// Rows that follow each other in every order; none where each stands for itself.
    groups: Option<Vec<Vec<usize>>>,
    /// Optimiser steps in all.
    pub n_steps: u64,
    /// Optimiser steps of one pass over the rows.
    pub steps_per_epoch: u64,
}

impl RowBatches {
    /// A step is `batch_size × grad_accum` rows; the last of an epoch has what is left and never
    /// reaches into the next epoch (transformers: `num_update_steps_per_epoch`).
    pub fn new(n_rows: usize, config: &OptimiserSettings) -> Self {
        let steps_per_epoch = n_rows.div_ceil(config.batch_size).div_ceil(config.grad_accum) as u64;
        let n_steps = match config.max_steps {
            0 => (config.epochs * steps_per_epoch as f64).ceil() as u64,
            max_steps => max_steps as u64,
        };
        Self {
            n_rows,
            batch_size: config.batch_size,
            grad_accum: config.grad_accum,
            seed: config.shuffle.then_some(config.seed),
            groups: None,
            n_steps,
            steps_per_epoch,
        }
    }

    /// The same walk where the rows of each group follow each other, so that most of them are seen in one
    /// step; `groups` are the rows of each, which are every row once. A step has as many rows as otherwise.
    pub fn in_groups(groups: Vec<Vec<usize>>, config: &OptimiserSettings) -> Self {
        let n_rows = groups.iter().map(Vec::len).sum();
        Self { groups: Some(groups), ..Self::new(n_rows, config) }
    }

    /// The micro-batches of step `step`, counted from 0.
    pub fn of_step(&self, step: u64) -> Vec<Vec<usize>> {
        let (epoch, step) = (step / self.steps_per_epoch, step % self.steps_per_epoch);
        let rows = self.batch_size * self.grad_accum;
        let start = step as usize * rows;
        let order = self.order(epoch);
        order[start..self.n_rows.min(start + rows)]
            .chunks(self.batch_size)
            .map(<[_]>::to_vec)
            .collect()
    }

    /// The micro-batches of the whole run, in order.
    pub fn micro_batches(&self) -> impl Iterator<Item = Vec<usize>> + '_ {
        let n_epochs = self.n_steps.div_ceil(self.steps_per_epoch.max(1));
        (0..n_epochs).flat_map(|epoch| {
            let n_steps = self.steps_per_epoch.min(self.n_steps - epoch * self.steps_per_epoch);
            let n_rows = n_steps as usize * self.batch_size * self.grad_accum;
            let mut order = self.order(epoch);
            order.truncate(n_rows);
            let batch_size = self.batch_size;
            let n_batches = order.len().div_ceil(batch_size);
            (0..n_batches).map(move |batch| {
                let start = batch * batch_size;
                order[start..order.len().min(start + batch_size)].to_vec()
            })
        })
    }

    /// What the whole run makes of its rows, if `of` says what one of them is, each time that it is seen.
    pub fn sum(&self, of: impl Fn(usize) -> f64) -> f64 {
        let epochs = self.n_steps / self.steps_per_epoch.max(1);
        let steps_more = self.n_steps - epochs * self.steps_per_epoch;
        let n_more = steps_more as usize * self.batch_size * self.grad_accum;
        let more = if n_more > 0 { self.order(epochs) } else { Vec::new() };
        epochs as f64 * (0..self.n_rows).map(&of).sum::<f64>()
            + more.into_iter().take(n_more).map(&of).sum::<f64>()
    }

    /// The rows that no step sees: none, unless the run ends within its first pass.
    pub fn unreached(&self) -> Vec<usize> {
        if self.n_steps >= self.steps_per_epoch {
            return Vec::new();
        }
        let n_seen = self.n_steps as usize * self.batch_size * self.grad_accum;
        self.order(0).split_off(n_seen)
    }

    /// Rows of a pass.
    pub fn n_rows(&self) -> usize {
        self.n_rows
    }

    /// Passes over the rows after `n_steps` steps (transformers' `epoch`).
    pub fn epochs_after(&self, n_steps: u64) -> f64 {
        n_steps as f64 / self.steps_per_epoch as f64
    }

    /// Every row once, group after group; in the file's order, or one that belongs to seed and epoch.
    fn order(&self, epoch: u64) -> Vec<usize> {
        let n = self.groups.as_ref().map_or(self.n_rows, Vec::len);
        let order = match self.seed {
            Some(seed) => random::permutation(n, &[seed, epoch]),
            None => (0..n).collect(),
        };
        match &self.groups {
            None => order,
            Some(groups) => order.into_iter().flat_map(|group| groups[group].clone()).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batches(n_rows: usize, config: OptimiserSettings) -> RowBatches {
        RowBatches::new(n_rows, &config)
    }

    fn config(
        batch_size: usize,
        grad_accum: usize,
        epochs: f64,
        shuffle: bool,
    ) -> OptimiserSettings {
        OptimiserSettings {
            batch_size,
            grad_accum,
            epochs,
            shuffle,
            ..OptimiserSettings::default()
        }
    }

    #[test]
    fn the_last_partial_step_of_an_epoch_is_kept() {
        let batches = batches(11, config(2, 3, 2.0, false));
        assert_eq!((batches.steps_per_epoch, batches.n_steps), (2, 4));
        assert_eq!(batches.of_step(0), [[0, 1], [2, 3], [4, 5]]);
        assert_eq!(batches.of_step(1), [vec![6, 7], vec![8, 9], vec![10]]);
        assert_eq!(batches.of_step(2), batches.of_step(0));
        let all: Vec<_> = (0..4).flat_map(|step| batches.of_step(step)).collect();
        assert_eq!(batches.micro_batches().collect::<Vec<_>>(), all);
    }

    #[test]
    fn a_sum_is_over_the_rows_that_the_steps_see() {
        for (epochs, max_steps) in [(1.0, 0), (2.5, 0), (1.0, 1), (1.0, 5)] {
            let settings = OptimiserSettings { max_steps, ..config(2, 3, epochs, true) };
            let batches = batches(11, settings);
            let seen = batches.micro_batches().flatten().map(|row| row as f64);
            assert_eq!(batches.sum(|row| row as f64), seen.sum::<f64>());
        }
    }

    #[test]
    fn a_part_of_an_epoch_is_rounded_up_to_a_step_and_max_steps_overrides() {
        assert_eq!(batches(100, config(10, 1, 0.25, false)).n_steps, 3);
        let max = OptimiserSettings { max_steps: 7, ..config(10, 1, 3.0, false) };
        assert_eq!(batches(100, max).n_steps, 7);
    }

    #[test]
    fn a_run_that_ends_within_its_first_pass_does_not_come_to_every_row() {
        let batches = batches(11, OptimiserSettings { max_steps: 2, ..config(2, 2, 1.0, true) });
        let mut all = batches.unreached();
        assert_eq!(all.len(), 3);
        all.extend((0..2).flat_map(|step| batches.of_step(step).concat()));
        all.sort_unstable();
        assert_eq!(all, (0..11).collect::<Vec<_>>());
        assert!(super::tests::batches(11, config(2, 2, 1.0, true)).unreached().is_empty());
    }

    #[test]
    fn a_shuffled_epoch_has_every_row_once_in_an_order_of_its_own() {
        let batches = batches(50, config(7, 1, 2.0, true));
        let epoch = |epoch: u64| -> Vec<usize> {
            let steps = epoch * batches.steps_per_epoch..(epoch + 1) * batches.steps_per_epoch;
            steps.flat_map(|step| batches.of_step(step).concat()).collect()
        };
        let (first, second) = (epoch(0), epoch(1));
        assert_ne!(first, second);
        assert_eq!(first, epoch(0));
        for mut rows in [first, second] {
            rows.sort_unstable();
            assert_eq!(rows, (0..50).collect::<Vec<_>>());
        }
    }

    #[test]
    fn the_rows_of_a_group_follow_each_other_and_groups_of_one_row_change_nothing() {
        let settings = config(4, 1, 2.0, true);
        let groups = vec![vec![0, 3, 5], vec![1], vec![2, 4], vec![6]];
        let grouped = RowBatches::in_groups(groups.clone(), &settings);
        let epoch = |epoch: u64| {
            (0..2).flat_map(|step| grouped.of_step(2 * epoch + step).concat()).collect::<Vec<_>>()
        };
        assert_ne!(epoch(0), epoch(1));
        for order in [epoch(0), epoch(1)] {
            let place = |row: &usize| order.iter().position(|other| other == row).unwrap();
            for group in &groups {
                assert!(
                    group.windows(2).all(|two| place(&two[1]) == place(&two[0]) + 1),
                    "{order:?}"
                );
            }
            assert_eq!(order.iter().collect::<std::collections::BTreeSet<_>>().len(), 7);
        }
        let alone = RowBatches::in_groups((0..11).map(|row| vec![row]).collect(), &settings);
        let (plain, steps) = (batches(11, settings), 0..6);
        assert!(steps.into_iter().all(|step| alone.of_step(step) == plain.of_step(step)));
    }
}
