//! When held-out rows are measured.

/// How often between start and end, where nothing else was asked for.
const MEASURED: u64 = 10;

/// Time of a forward pass, as a part of forward and backward.
pub const EVALUATION_COST: f64 = 1.0 / 3.0;

/// Time of a step of DPO beside forward and backward: the head runs once more, to know the loss first.
pub const DPO_LEARNING_COST: f64 = 1.05;

/// Held-out prompts that a policy is measured on, the first of the file, whose order has nothing to do
/// with them; and the work of one answer that is measured and not learnt from, as a part of one pass over
/// a response.
pub const MOST_MEASURED: usize = 256;
pub const MEASURING_COST: f64 = 0.5;

/// Pairs whose answers tell how the scores of a reward model are spread.
pub const MOST_SCORED: usize = 512;

/// The steps after which held-out rows are measured: a function of the step alone, so that a run that
/// goes on measures as one that was never stopped.
#[derive(Clone, Copy, Debug)]
pub struct EvaluationSchedule {
    every: u64,
    n_steps: u64,
}

impl EvaluationSchedule {
    /// Every so many steps; with 0 about [`MEASURED`] times, spread evenly.
    pub fn new(every: usize, n_steps: u64) -> Self {
        Self { every: every as u64, n_steps: n_steps.max(1) }
    }

    /// Whether they are to be measured after `step` steps: before the first and after the last always.
    pub fn is_due(&self, step: u64) -> bool {
        let part = |step: u64| step * MEASURED / self.n_steps;
        step == 0
            || step == self.n_steps
            || match self.every {
                0 => part(step) != part(step - 1),
                every => step.is_multiple_of(every),
            }
    }

    /// How often in the whole run.
    pub fn n_evaluations(&self) -> u64 {
        match self.every {
            0 => 1 + self.n_steps.min(MEASURED),
            every => 2 + (self.n_steps - 1) / every,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due(every: usize, n_steps: u64) -> Vec<u64> {
        let schedule = EvaluationSchedule::new(every, n_steps);
        let due: Vec<u64> = (0..=n_steps).filter(|step| schedule.is_due(*step)).collect();
        assert_eq!(due.len() as u64, schedule.n_evaluations(), "{every} of {n_steps}");
        due
    }

    #[test]
    fn held_out_rows_are_measured_ten_times_unless_something_else_is_asked_for() {
        assert_eq!(due(0, 135), [0, 14, 27, 41, 54, 68, 81, 95, 108, 122, 135]);
        assert_eq!(due(0, 10), (0..=10).collect::<Vec<_>>());
        assert_eq!(due(0, 3), [0, 1, 2, 3]);
        assert_eq!(due(0, 1), [0, 1]);
        assert_eq!(due(40, 135), [0, 40, 80, 120, 135]);
        assert_eq!(due(1000, 135), [0, 135]);
    }
}
