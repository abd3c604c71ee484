//! Learning rates over a run, as transformers' `get_scheduler` gives them.

use entity::run_config::{LrScheduler, OptimiserSettings};
use std::f64::consts::PI;

/// The part of a run over which the rate of [`LrScheduler::Wsd`] falls, unless its steps are given: the
/// tenth that MiniCPM (Hu et al. 2024) found to be enough.
const DECAYING: u64 = 10;

/// The learning rate of each step.
#[derive(Clone, Copy, Debug)]
pub struct RateSchedule {
    pub kind: LrScheduler,
    /// The highest learning rate.
    pub peak: f64,
    pub warmup_steps: u64,
    pub n_steps: u64,
    /// The last steps, over which the rate of [`LrScheduler::Wsd`] falls.
    pub decay_steps: u64,
}

impl RateSchedule {
    /// Of a run of `n_steps` steps.
    pub fn new(settings: &OptimiserSettings, peak: f64, n_steps: u64) -> Self {
        let warmup_steps = settings.warmup_steps as u64;
        let asked = match settings.decay_steps {
            0 => n_steps.div_ceil(DECAYING),
            steps => steps as u64,
        };
        let decay_steps = asked.min(n_steps.saturating_sub(warmup_steps));
        Self { kind: settings.lr_scheduler, peak, warmup_steps, n_steps, decay_steps }
    }

    /// The learning rate that step `step`, counted from 0, is taken with. It rises from 0 over the
    /// warm-up, so that the first step of a warm-up moves nothing.
    pub fn learning_rate(&self, step: u64) -> f64 {
        if step < self.warmup_steps {
            return self.peak * step as f64 / self.warmup_steps as f64;
        }
        let after = |begin: u64| {
            let steps = self.n_steps.saturating_sub(begin).max(1) as f64;
            (step.saturating_sub(begin) as f64 / steps).min(1.0)
        };
        let half_cosine = |progress: f64| 0.5 * (1.0 + (PI * progress).cos());
        self.peak
            * match self.kind {
                LrScheduler::Linear => 1.0 - after(self.warmup_steps),
                LrScheduler::Cosine => half_cosine(after(self.warmup_steps)),
                LrScheduler::Constant => 1.0,
                LrScheduler::Wsd => half_cosine(after(self.n_steps - self.decay_steps)),
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{fixture, numbers};

    #[test]
    fn every_kind_follows_transformers() {
        // trainer/fixtures/make_ops.py: transformers.get_scheduler, factors of the learning rate
        let golden = &fixture("ops.json")["schedules"];
        let n_steps = golden["steps"].as_u64().unwrap();
        let warmup = golden["warmup_steps"].as_u64().unwrap() as usize;
        for (name, lr_scheduler, warmup_steps, decay_steps) in [
            ("linear", LrScheduler::Linear, warmup, 0),
            ("linear_no_warmup", LrScheduler::Linear, 0, 0),
            ("cosine", LrScheduler::Cosine, warmup, 0),
            ("constant", LrScheduler::Constant, 0, 0),
            ("constant_with_warmup", LrScheduler::Constant, warmup, 0),
            ("warmup_stable_decay", LrScheduler::Wsd, warmup, 4),
            ("warmup_stable_decay_no_warmup", LrScheduler::Wsd, 0, 4),
            ("warmup_stable_decay_one", LrScheduler::Wsd, warmup, 0),
            ("warmup_stable_decay_no_stable", LrScheduler::Wsd, warmup, 99),
        ] {
            let settings =
                OptimiserSettings { lr_scheduler, warmup_steps, decay_steps, ..Default::default() };
            let schedule = RateSchedule::new(&settings, 1.0, n_steps);
            let expected = numbers(&golden[name]);
            assert_eq!(expected.len() as u64, n_steps);
            for (step, expected) in expected.into_iter().enumerate() {
                let rate = schedule.learning_rate(step as u64);
                assert!((rate - expected).abs() < 1e-8, "{name}, step {step}: {rate} ≠ {expected}");
            }
        }
    }
}
