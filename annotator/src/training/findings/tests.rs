//! What the numbers of runs are said to mean.

use super::*;
use crate::training::kinds::definition;
use entity::{
    row_use::{LeftOutReason, RowUse},
    run_config::RunKind,
};

fn learning(kind: RunKind, digest: &RunDigest, n_held_out: Option<u64>) -> Option<RunFinding> {
    learnings(kind, digest, n_held_out).into_iter().next()
}

fn learnings(kind: RunKind, digest: &RunDigest, n_held_out: Option<u64>) -> Vec<RunFinding> {
    (definition(kind).learning)(digest, n_held_out)
}

fn says(findings: &[RunFinding]) -> Vec<&'static str> {
    findings.iter().map(|finding| finding.says).collect()
}

fn drift(kind: RunKind, digest: &RunDigest) -> Vec<RunFinding> {
    (definition(kind).drift)(digest)
}

fn digest(metrics: &[(&str, &[f64])]) -> RunDigest {
    let series = metrics.iter().map(|(name, values)| {
        let points = values.iter().enumerate().map(|(at, value)| (at as f64, *value)).collect();
        ((*name).to_owned(), MetricSeries { points, last_sequence: 1 })
    });
    RunDigest { series: series.collect(), ..RunDigest::default() }
}

fn sft(losses: &[f64]) -> (FindingTone, &'static str, String) {
    let found = learning(RunKind::Sft, &digest(&[("eval_loss", losses)]), Some(40)).unwrap();
    (found.tone, found.says, found.figure)
}

#[test]
fn a_held_out_loss_falls_stays_or_rises_again() {
    assert_eq!(sft(&[3.0, 2.1]), (FindingTone::Good, "glance-loss-fell", "3 → 2.1".to_owned()));
    assert_eq!(sft(&[3.0, 2.99]).1, "glance-loss-flat");
    assert_eq!(sft(&[3.0, 2.0, 2.5]).1, "glance-loss-rose-again");
    assert_eq!(sft(&[3.0, 3.5]), (FindingTone::Watch, "glance-loss-rose", "3 → 3.5".to_owned()));
    assert_eq!(sft(&[3.0]), (FindingTone::Plain, "glance-before-training", "3".to_owned()));
}

#[test]
fn a_held_out_loss_is_judged_by_the_interval_of_its_change_row_by_row() {
    let found = |losses: &[f64], low: f64, high: f64| {
        let digest = digest(&[
            ("eval_loss", losses),
            ("eval_loss_change", &[losses[1] - losses[0]]),
            ("eval_loss_change_low", &[low]),
            ("eval_loss_change_high", &[high]),
            ("eval_rows", &[40.0]),
        ]);
        learning(RunKind::Sft, &digest, Some(40)).unwrap()
    };
    let fell = found(&[3.0, 2.1], -1.1, -0.7);
    assert_eq!((fell.tone, fell.says), (FindingTone::Good, "glance-loss-fell-surely"));
    assert_eq!(fell.args[1], ("low", "-1.1".to_owned()));
    let unclear = found(&[3.0, 2.8], -0.5, 0.1);
    assert_eq!((unclear.tone, unclear.says), (FindingTone::Plain, "glance-loss-unclear"));
    assert_eq!(found(&[3.0, 3.2], -0.1, 0.5).says, "glance-loss-unclear");
    let rose = found(&[3.0, 3.5], 0.2, 0.8);
    assert_eq!((rose.tone, rose.says), (FindingTone::Watch, "glance-loss-rose-surely"));
    assert_eq!(found(&[3.0, 2.99], -0.02, -0.001).says, "glance-loss-flat", "sure, and nothing");
}

#[test]
fn a_run_that_keeps_its_best_model_says_which_step_that_is_of() {
    let losses: (&str, &[f64]) = ("eval_loss", &[3.0, 2.0, 2.5]);
    let kept = digest(&[losses, ("best_step", &[1.0, 1.0]), ("best_eval_loss", &[2.0, 2.0])]);
    let findings = learnings(RunKind::Sft, &kept, Some(40));
    assert_eq!(says(&findings), ["glance-loss-rose-again-kept", "glance-kept-best"]);
    assert_eq!(findings[0].tone, FindingTone::Plain, "nothing is to be done about it");
    assert_eq!(findings[1].args, [("step", "1".to_owned()), ("loss", "2".to_owned())]);
    assert_eq!(says(&learnings(RunKind::Sft, &digest(&[losses]), Some(40))).len(), 1);
}

#[test]
fn a_loss_on_a_handful_of_rows_is_no_praise() {
    let digest = digest(&[("eval_loss", &[3.0, 2.1])]);
    let found = learning(RunKind::Sft, &digest, Some(1)).unwrap();
    assert_eq!((found.tone, found.says), (FindingTone::Plain, "glance-loss-fell-few"));
    assert_eq!(found.args[1], ("n", "1".to_owned()));
}

#[test]
fn dpo_has_no_accuracy_to_start_from() {
    let digest = digest(&[
        ("eval_rewards/accuracies", &[0.0, 0.75]),
        ("eval_rewards/accuracies_low", &[0.6]),
        ("eval_rewards/accuracies_high", &[0.9]),
    ]);
    assert_eq!(learning(RunKind::Dpo, &digest, None).unwrap().figure, "75 %");
}

#[test]
fn without_held_out_prompts_the_training_loss_is_shown_and_not_judged() {
    let found = learning(RunKind::Sft, &digest(&[("loss", &[3.0; 20])]), None).unwrap();
    assert_eq!((found.tone, found.says), (FindingTone::Plain, "glance-no-held-out-loss"));
}

#[test]
fn an_accuracy_is_judged_by_its_interval() {
    let accuracy = |low, now, high| {
        let digest = digest(&[
            ("eval_accuracy", &[0.5, now]),
            ("eval_accuracy_low", &[low]),
            ("eval_accuracy_high", &[high]),
            ("eval_pairs", &[40.0]),
        ]);
        learning(RunKind::Reward, &digest, None).unwrap()
    };
    let good = accuracy(0.6, 0.75, 0.86);
    assert_eq!((good.says, good.figure.as_str()), ("glance-accuracy-good", "50 % → 75 %"));
    assert_eq!(good.args[1], ("low", "60".to_owned()));
    assert_eq!(accuracy(0.4, 0.6, 0.8).says, "glance-accuracy-unclear");
    assert_eq!(accuracy(0.1, 0.2, 0.4).says, "glance-accuracy-bad");
}

#[test]
fn what_a_reward_model_says_of_the_prompts_that_are_learnt_from_is_no_verdict() {
    let rising: Vec<f64> = (0..40).map(|at| f64::from(at) / 10.0).collect();
    let found = learnings(RunKind::Ppo, &digest(&[("objective/scores", &rising)]), None);
    assert_eq!(says(&found), ["glance-no-held-out-prompts"]);
    assert_eq!((found[0].tone, found[0].figure.as_str()), (FindingTone::Plain, "0.45 → 3.45"));
}

/// A run of PPO, or of another method that learns from answers of its own, on 60 held-out prompts.
fn gain(low: f64, high: f64, more: &[(&str, &[f64])]) -> RunFinding {
    let metrics: &[(&str, &[f64])] = &[
        ("eval_score", &[0.61, 0.94]),
        ("eval_prompts", &[60.0, 60.0]),
        ("eval_gain", &[0.33]),
        ("eval_gain_low", &[low]),
        ("eval_gain_high", &[high]),
    ];
    let digest = digest(&[metrics, more].concat());
    let found = learning(RunKind::Ppo, &digest, None).unwrap();
    for kind in [RunKind::Ppo, RunKind::Grpo, RunKind::Rloo] {
        assert_eq!(learning(kind, &digest, None).as_ref(), Some(&found), "{kind:?}");
    }
    found
}

#[test]
fn a_policy_is_better_only_by_the_interval_on_held_out_prompts() {
    let unclear = gain(-0.11, 0.74, &[]);
    assert_eq!((unclear.tone, unclear.says), (FindingTone::Plain, "glance-gain-unclear"));
    assert_eq!(unclear.figure, "0.61 → 0.94");
    assert_eq!(unclear.args[2], ("low", "-0.11".to_owned()));
    assert_eq!(gain(0.1, 0.74, &[]).says, "glance-gain-better");
    assert_eq!(gain(-0.5, -0.1, &[]).says, "glance-gain-worse");
    let before = digest(&[("eval_score", &[0.61]), ("eval_prompts", &[60.0])]);
    assert_eq!(learning(RunKind::Ppo, &before, None).unwrap().says, "glance-before-training");
}

#[test]
fn a_gain_that_length_explains_is_called_length() {
    let longer: (&str, &[f64]) = ("eval_length", &[20.0, 40.0]);
    let shorter: (&str, &[f64]) = ("eval_length", &[50.0, 41.0]);
    let same = |low: &'static [f64]| ("eval_gain_same_length_low", low);
    let says = |more: &[(&str, &[f64])]| gain(0.2, 0.5, more).says;
    assert_eq!(says(&[longer, same(&[-0.1])]), "glance-gain-longer");
    assert_eq!(says(&[longer]), "glance-gain-longer", "at the same length nothing is known");
    assert_eq!(says(&[shorter, same(&[-0.1])]), "glance-gain-shorter");
    assert_eq!(says(&[longer, same(&[0.1])]), "glance-gain-better");
    let likes = |r: &'static [f64]| ("eval_score_length_correlation", r);
    assert_eq!(says(&[longer, same(&[0.1]), likes(&[0.93])]), "glance-gain-likes-long");
    assert_eq!(says(&[shorter, same(&[0.1]), likes(&[-0.8])]), "glance-gain-likes-short");
}

#[test]
fn groups_in_which_no_answer_stands_out_are_told() {
    let found = |share: f64| {
        let metrics: &[(&str, &[f64])] =
            &[("reward", &[0.1, 0.4]), ("frac_reward_zero_std", &[0.0, share])];
        says(&learnings(RunKind::Grpo, &digest(metrics), None))
    };
    assert_eq!(found(0.2), ["glance-no-held-out-prompts"]);
    assert_eq!(found(0.8), ["glance-no-held-out-prompts", "glance-groups-alike"]);
}

#[test]
fn what_samples_and_what_trains_are_held_against_each_other() {
    for kind in [RunKind::Ppo, RunKind::Grpo, RunKind::Rloo] {
        let found = |most: f64| {
            let metrics: &[(&str, &[f64])] =
                &[("sampling/sampling_logp_difference/max", &[1e-6, most, 2e-6])];
            let found = drift(kind, &digest(metrics)).pop().unwrap();
            (found.tone, found.says)
        };
        assert_eq!(found(3e-6), (FindingTone::Good, "glance-sampling-same"));
        assert_eq!(found(0.2), (FindingTone::Plain, "glance-sampling-rounded"));
        assert_eq!(found(3.0), (FindingTone::Watch, "glance-sampling-differs"));
    }
}

#[test]
fn what_was_measured_before_training_says_so() {
    let before = digest(&[
        ("eval_accuracy", &[0.38]),
        ("eval_accuracy_low", &[0.2]),
        ("eval_accuracy_high", &[0.55]),
        ("eval_pairs", &[26.0]),
    ]);
    let found = learning(RunKind::Reward, &before, None).unwrap();
    assert_eq!((found.tone, found.says), (FindingTone::Plain, "glance-before-training"));
    assert_eq!(found.figure, "38 %");
}

#[test]
fn a_model_that_grows_surer_of_its_mistakes_is_warned_of() {
    let pairs = |loss: &[f64], trained: &[f64], held_out: f64, high: f64| {
        let digest = digest(&[
            ("eval_accuracy", &[0.5, held_out]),
            ("eval_accuracy_low", &[0.55]),
            ("eval_accuracy_high", &[high]),
            ("eval_pairs", &[42.0]),
            ("eval_loss", loss),
            ("accuracy", trained),
        ]);
        says(&learnings(RunKind::Reward, &digest, None))
    };
    let good = "glance-accuracy-good";
    assert_eq!(pairs(&[0.693, 0.744], &[0.5, 0.7], 0.69, 0.81), [good, "glance-pair-loss-rose"]);
    assert_eq!(
        pairs(&[0.693, 0.6, 0.7], &[0.5, 0.7], 0.69, 0.81),
        [good, "glance-pair-loss-rose-again"]
    );
    assert_eq!(pairs(&[0.693, 0.6], &[0.5, 1.0], 0.69, 0.81), [good, "glance-by-heart"]);
    assert_eq!(pairs(&[0.693, 0.6], &[0.5, 0.75], 0.69, 0.81), [good]);
}

#[test]
fn a_reward_model_that_is_surer_than_right_is_told_by_the_interval_of_its_accuracy() {
    let found = |sure: f64, n_pairs: f64| {
        let digest = digest(&[
            ("eval_accuracy", &[0.5, 0.68]),
            ("eval_accuracy_low", &[0.6]),
            ("eval_accuracy_high", &[0.75]),
            ("eval_pairs", &[n_pairs]),
            ("eval_sureness", &[0.5, sure]),
        ]);
        learnings(RunKind::Reward, &digest, None)
    };
    let sure = found(0.84, 120.0);
    assert_eq!(says(&sure), ["glance-accuracy-good", "glance-too-sure"]);
    assert_eq!(sure[1].figure, "84 % / 68 %");
    assert_eq!(says(&found(0.55, 120.0)), ["glance-accuracy-good", "glance-less-sure"]);
    assert_eq!(says(&found(0.7, 120.0)), ["glance-accuracy-good"]);
    assert_eq!(says(&found(0.84, 12.0)), ["glance-accuracy-good"], "too few to say");
}

#[test]
fn preferences_that_follow_length_are_named() {
    let found = |share: f64| {
        let digest = digest(&[
            ("eval_rewards/accuracies", &[0.5, 0.8]),
            ("eval_rewards/accuracies_low", &[0.7]),
            ("eval_rewards/accuracies_high", &[0.9]),
            ("eval_pairs", &[40.0]),
            ("eval_longer_preferred", &[0.5, share]),
            ("eval_longer_chosen", &[0.55]),
        ]);
        says(&learnings(RunKind::Dpo, &digest, None))
    };
    assert_eq!(found(0.96), ["glance-accuracy-good", "glance-judges-longer"]);
    assert_eq!(found(0.02), ["glance-accuracy-good", "glance-judges-shorter"]);
    assert_eq!(found(0.6), ["glance-accuracy-good"]);
}

#[test]
fn rows_that_a_run_left_out_are_told_where_it_says_what_it_learns() {
    let mut rows = RowUse { rows: 358, used: 358, max_length: 70, ..RowUse::default() };
    (0..260).for_each(|place| rows.leave_out(place, LeftOutReason::TooLong));
    let digest = RunDigest { rows: vec![rows], ..digest(&[("eval_loss", &[3.0, 2.0])]) };
    let found = learnings(RunKind::Sft, &digest, Some(40));
    assert_eq!(says(&found), ["glance-loss-fell", "glance-rows-long"]);
    assert_eq!(found[1].figure, "98 / 358");
}

#[test]
fn drift_is_told_by_divergence_variety_and_cut_answers() {
    let found = |kl, entropy, ended| {
        let digest = digest(&[
            ("objective/kl", &[0.0, kl]),
            ("policy/entropy_avg", &[3.0, entropy]),
            ("val/num_eos_tokens", &[16.0, ended]),
            ("episode", &[16.0, 32.0]),
        ]);
        drift(RunKind::Ppo, &digest).into_iter().map(|found| found.says).collect::<Vec<_>>()
    };
    assert_eq!(found(2.0, 2.5, 15.0), ["glance-kl-near", "glance-entropy-kept", "glance-cut-few"]);
    assert_eq!(found(12.0, 0.5, 4.0), ["glance-kl-watch", "glance-entropy-low", "glance-cut-many"]);
    assert_eq!(found(30.0, 7.0, 16.0)[..2], ["glance-kl-far", "glance-entropy-high"]);
    assert_eq!(found(-3.0, 3.0, 16.0)[0], "glance-kl-negative");
    let small_last_batch =
        digest(&[("val/num_eos_tokens", &[16.0, 2.0]), ("episode", &[16.0, 18.0])]);
    assert_eq!(drift(RunKind::Ppo, &small_last_batch)[0].figure, "0 % → 0 %");
    assert!(drift(RunKind::Sft, &RunDigest::default()).is_empty());
    let grpo = digest(&[
        ("entropy", &[3.0, 0.5]),
        ("completions/mean_length", &[20.0; 8]),
        ("completions/clipped_ratio", &[0.1, 0.7]),
    ]);
    let found = drift(RunKind::Grpo, &grpo);
    assert_eq!(says(&found), ["glance-length-kept", "glance-entropy-low", "glance-cut-many"]);
    assert_eq!(found[2].figure, "10 % → 70 %");
}
