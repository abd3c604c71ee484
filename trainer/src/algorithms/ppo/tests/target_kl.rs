//! The passes over a batch, which end where the policy has left the one that answered.

use super::*;

/// Answers of TRL's trace, two minibatches of four to a pass.
fn stopping(target_kl: f64) -> PpoConfig {
    let mut config =
        PpoConfig { minibatches: 2, temperature: 1.0, target_kl, ..PpoConfig::default() };
    config.optimisation.batch_size = 3;
    config
}

/// A policy, and a batch that it has answered.
fn batch(config: &PpoConfig) -> (Ppo<'_>, RolloutBatch, UpdateTargets) {
    let ppo = ppo(config);
    let (prompts, completions) =
        given(&fixture("trl_ppo_trace.json")["whitened_at_token"]["updates"][0]);
    let asked: Vec<&PromptIds> = prompts.iter().collect();
    let scores = (0..8).map(|i| (i % 3) as f32).collect();
    let rollout = ppo.measure(ScoredAnswers::new(&asked, completions, by_a_reward_model(scores)));
    let targets = rollout.targets(config, config.kl_coef);
    (ppo, rollout, targets)
}

/// The mean of ½ (log π − log π_old)² over the tokens of some answers, by a forward pass of its own.
fn approx_kl(ppo: &Ppo, rollout: &RolloutBatch, responses: &[usize]) -> f64 {
    let all = ppo.engine.logprobs(&ppo.engine.policy, &rollout.answers.sequences);
    let difference = (all - &rollout.logprobs).index_select(0, &rollout.places(responses));
    0.5 * difference.square().mean(Kind::Double).double_value(&[])
}

fn weights(ppo: &Ppo) -> Vec<Tensor> {
    let both = ppo.engine.policy.parameters().iter().chain(ppo.value.parameters());
    both.map(|(_, weight)| weight.detach().copy()).collect()
}

/// Passes until a minibatch is not learnt: how many were, the KL before each, and the statistics.
fn passes(config: &PpoConfig) -> (usize, Vec<f64>, UpdateStatistics) {
    let (mut ppo, rollout, targets) = batch(config);
    let plan = RolloutPlan::new(&config.rollouts(), 8);
    let (mut kls, mut statistics) = (Vec::new(), UpdateStatistics::default());
    for pass in 0..config.ppo_epochs {
        for responses in plan.minibatches(0, pass, 8, config.minibatches) {
            kls.push(approx_kl(&ppo, &rollout, &responses));
            let before = weights(&ppo);
            let flow = ppo.update(&rollout, &targets, &responses, 3e-3, &mut statistics).unwrap();
            if flow.is_break() {
                assert_eq!(weights(&ppo), before, "what is passed over changes nothing");
                return (kls.len() - 1, kls, statistics);
            }
        }
    }
    (kls.len(), kls, statistics)
}

#[test]
fn a_minibatch_beyond_the_target_is_not_learnt_and_ends_the_passes() {
    let (n, free, _) = passes(&stopping(0.0));
    assert_eq!((n, free[0]), (8, 0.0), "{free:?}");
    let first = (2..8).find(|&i| free[..i].iter().all(|kl| *kl < 0.9 * free[i])).unwrap();
    for target in [0.99 * free[first] / 1.5, 1.01 * free[first] / 1.5, 1e9] {
        let config = stopping(target);
        let (n, kls, statistics) = passes(&config);
        let beyond = free.iter().position(|kl| *kl > 1.5 * target);
        assert_eq!(n, beyond.unwrap_or(8), "target {target}: {free:?}");
        let (_, rollout, targets) = batch(&config);
        let metrics = statistics.metrics(&rollout, &targets, &config);
        assert_eq!(metrics["policy/minibatches_learnt"], n);
        let most = kls.iter().copied().fold(0.0, f64::max);
        let mean = kls[..n].iter().sum::<f64>() / n as f64;
        for (name, expected) in [("approxkl_max", most), ("approxkl_avg", mean)] {
            let found = metrics[&format!("policy/{name}")].as_f64().unwrap();
            assert!((found - expected).abs() <= 1e-3 * expected + 1e-9, "{name}: {found}, {kls:?}");
        }
    }
}

#[test]
fn what_was_passed_over_leaves_no_gradient_behind() {
    let config = stopping(1e-12);
    let after = |passes_over: bool| {
        let (mut ppo, rollout, targets) = batch(&config);
        let mut statistics = UpdateStatistics::default();
        let update = |ppo: &mut Ppo, responses: &[usize], statistics: &mut _| {
            ppo.update(&rollout, &targets, responses, 3e-3, statistics).unwrap()
        };
        assert!(update(&mut ppo, &[0, 1, 2, 3], &mut statistics).is_continue());
        if passes_over {
            assert!(update(&mut ppo, &[4, 5, 6, 7], &mut statistics).is_break());
        }
        // The first of the next batch.
        let next = &mut UpdateStatistics::default();
        assert!(update(&mut ppo, &[7, 2, 0, 6], next).is_continue());
        weights(&ppo)
    };
    assert_eq!(after(true), after(false));
}

#[test]
fn a_run_whose_passes_end_early_keeps_its_steps_its_rates_and_its_progress() {
    let run_with = |target_kl: f64| {
        let mut config = PpoConfig { target_kl, ..desk_config() };
        config.optimisation.max_steps = 3;
        Desk::new().run(run, "policy", &config, None)
    };
    let (whole, early) = (run_with(0.0), run_with(1e-12));
    for (outcome, events) in [&whole, &early] {
        let VerbOutcome::Finished(summary) = outcome else { panic!("it was not stopped") };
        assert_eq!(summary.steps, 3);
        let mut fractions = events.iter().filter_map(|event| match event {
            RunReport::Progress { fraction, .. } => Some(*fraction),
            _ => None,
        });
        assert_eq!(fractions.next_back(), Some(1.0));
    }
    assert_eq!(metric(&early.1, "policy/minibatches_learnt"), [1.0; 3]);
    assert_eq!(metric(&whole.1, "policy/minibatches_learnt"), [0.0; 0], "it is not asked for");
    for name in ["learning_rate", "episode"] {
        assert_eq!(metric(&early.1, name), metric(&whole.1, name));
    }
}

#[test]
fn a_target_that_is_never_reached_changes_no_bit() {
    let weights_with = |target_kl: f64| {
        let desk = Desk::new();
        let mut config = PpoConfig { target_kl, ..desk_config() };
        config.optimisation.max_steps = 2;
        let (outcome, _) = desk.run(run, "policy", &config, None);
        assert!(matches!(outcome, VerbOutcome::Finished(_)));
        std::fs::read(desk.paths("policy").out.join("model.safetensors")).unwrap()
    };
    assert_eq!(weights_with(1e6), weights_with(0.0));
}

#[test]
fn a_run_whose_passes_end_early_goes_on_to_the_same_numbers_bit_for_bit() {
    let config = PpoConfig { target_kl: 0.002, ..desk_config() };
    assert_goes_on(config, "model.safetensors");
}
