//! Learning rates over a run, as transformers' `get_scheduler` gives them.

use entity::run_config::LrScheduler;
use std::f64::consts::PI;

/// The learning rate of each step.
#[derive(Clone, Copy, Debug)]
pub struct RateSchedule {
    pub kind: LrScheduler,
    /// The highest learning rate.
    pub peak: f64,
    pub warmup_steps: u64,
    pub n_steps: u64,
}

impl RateSchedule {
    /// The learning rate that step `step`, counted from 0, is taken with. It rises from 0 over the
    /// warm-up, so that the first step of a warm-up moves nothing.
    pub fn learning_rate(&self, step: u64) -> f64 {
        if step < self.warmup_steps {
            return self.peak * step as f64 / self.warmup_steps as f64;
        }
        let after_warmup = self.n_steps.saturating_sub(self.warmup_steps).max(1) as f64;
        let progress = ((step - self.warmup_steps) as f64 / after_warmup).min(1.0);
        self.peak
            * match self.kind {
                LrScheduler::Linear => 1.0 - progress,
                LrScheduler::Cosine => 0.5 * (1.0 + (PI * progress).cos()),
                LrScheduler::Constant => 1.0,
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
        let warmup = golden["warmup_steps"].as_u64().unwrap();
        for (name, kind, warmup_steps) in [
            ("linear", LrScheduler::Linear, warmup),
            ("linear_no_warmup", LrScheduler::Linear, 0),
            ("cosine", LrScheduler::Cosine, warmup),
            ("constant", LrScheduler::Constant, 0),
            ("constant_with_warmup", LrScheduler::Constant, warmup),
        ] {
            let schedule = RateSchedule { kind, peak: 1.0, warmup_steps, n_steps };
            let expected = numbers(&golden[name]);
            assert_eq!(expected.len() as u64, n_steps);
            for (step, expected) in expected.into_iter().enumerate() {
                let rate = schedule.learning_rate(step as u64);
                assert!((rate - expected).abs() < 1e-8, "{name}, step {step}: {rate} ≠ {expected}");
            }
        }
    }
}
