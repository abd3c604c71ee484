//! A weight of the KL penalty that follows the KL.

use super::*;
use entity::run_config::AdaptiveKl;

fn following(adaptive_kl_target: f64, adaptive_kl_horizon: usize) -> PpoConfig {
    let adaptive_kl = AdaptiveKl { adaptive_kl_target, adaptive_kl_horizon };
    PpoConfig { kl_coef: 0.2, adaptive_kl, ..desk_config() }
}

/// Nats per answer and answers of a batch, and what TRL 0.11 makes of a coefficient of 0.2 after it:
///
/// ```python
/// class AdaptiveKLController:  # trl/trainer/utils.py
///     def __init__(self, init_kl_coef, target, horizon):
///         self.value = init_kl_coef
///         self.target = target
///         self.horizon = horizon
///     def update(self, current, n_steps):
///         target = self.target
///         proportional_error = np.clip(current / target - 1, -0.2, 0.2)
///         mult = 1 + proportional_error * n_steps / self.horizon
///         self.value *= mult
/// controller = AdaptiveKLController(0.2, 6.0, 1000.0)
/// for kl, n in [(0.0, 128), (5.9, 128), (6.5, 64), (30.0, 128), (7.0, 1000), (-2.0, 1000)]:
///     controller.update(kl, n)
///     print((kl, n, float(controller.value)))
/// ```
const BY_TRL: [(f64, usize, f64); 6] = [
    (0.0, 128, 0.19488000000000003),
    (5.9, 128, 0.19446425600000003),
    (6.5, 64, 0.1955013986986667),
    (30.0, 128, 0.20050623450535257),
    (7.0, 1000, 0.2339239402562447),
    (-2.0, 1000, 0.18713915220499577),
];

#[test]
fn the_weight_follows_the_kl_as_trls_controller_does() {
    let mut controller = KlController::new(&following(6.0, 1000));
    for (kl, n, expected) in BY_TRL {
        controller.follow(kl, n);
        assert_eq!(controller.coefficient(), expected, "after a KL of {kl}");
    }
    let mut fixed = KlController::new(&following(0.0, 1000));
    fixed.follow(30.0, 128);
    assert_eq!(fixed.coefficient(), 0.2);
}

#[test]
fn a_checkpoint_holds_the_weight_to_the_bit() {
    let folder = tempfile::tempdir().unwrap();
    let config = following(6.0, 1000);
    let mut controller = KlController::new(&config);
    (0..50).for_each(|i| controller.follow(f64::from(i) / 3.0, 7));
    controller.save(folder.path()).unwrap();
    let mut restored = KlController::new(&config);
    restored.restore(folder.path()).unwrap();
    assert_eq!(restored.coefficient().to_bits(), controller.coefficient().to_bits());
    assert_ne!(restored.coefficient(), 0.2);
    std::fs::write(folder.path().join("kl_controller.json"), "{").unwrap();
    let error = restored.restore(folder.path()).unwrap_err();
    assert!(error.to_string().contains("kl_controller.json"), "{error}");
}

#[test]
fn each_batch_is_shaped_by_the_weight_that_the_batches_before_left() {
    let mut config = following(1e-3, 8);
    config.optimisation.max_steps = 6;
    let (_, events) = Desk::new().run(run, "policy", &config, None);
    let of = |name: &str| metric(&events, name);
    let (kls, weights, episodes) = (of("objective/kl"), of("objective/kl_coef"), of("episode"));
    assert_eq!((kls.len(), weights.len()), (6, 6));
    let (mut expected, mut before) = (0.2, 0.0);
    for (step, kl) in kls.iter().enumerate() {
        assert_eq!(weights[step], expected, "step {step}");
        assert_eq!(of("objective/non_score_reward")[step], -expected * kl);
        expected *= 1.0 + (kl / 1e-3 - 1.0).clamp(-0.2, 0.2) * (episodes[step] - before) / 8.0;
        before = episodes[step];
    }
    assert!(weights[1] < 0.2, "nothing has been learnt before the first update: {kls:?}");
    assert!(weights.windows(2).any(|pair| pair[1] > pair[0]), "{weights:?} at {kls:?}");
}

#[test]
fn a_weight_that_is_fixed_is_no_metric() {
    let mut config = desk_config();
    config.optimisation.max_steps = 1;
    let (_, events) = Desk::new().run(run, "policy", &config, None);
    assert_eq!(metric(&events, "objective/kl_coef"), [0.0; 0]);
}

#[test]
fn a_run_with_an_adaptive_weight_goes_on_to_the_same_numbers_bit_for_bit() {
    assert_goes_on(following(0.01, 30), "model.safetensors");
}
