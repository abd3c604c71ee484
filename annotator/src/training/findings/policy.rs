//! What is known of a policy that learns from a reward model: whether it has become better, and how
//! far it has gone.
//!
//! The thresholds of the KL divergence follow Stiennon et al. 2020 (figure 5), where people's
//! preference peaks near 10 nats from the reference and falls well before the reward model's score
//! does.

use super::{
    FindingTone, MIN_HELD_OUT, MIN_POINTS, MeasuredChange, RunFinding, SeriesChange, from_to,
    is_before_training, noisy_metric, percent,
};
use crate::training::{
    curves::short,
    run_digest::{MetricSeries, RunDigest},
};
use std::cmp::Ordering;

/// Scores that correlate with the length of answers this much, or against it, judge little else: half
/// of how they vary is length.
const LENGTH_ONLY: f64 = 0.7;

/// A change of length by less than this part is none.
const LENGTH_KEPT: f64 = 0.05;

/// A change of length by more than this part is worth a look.
const LENGTH_CHANGED: f64 = 0.2;

/// Nats per answer from the reference: from the first on worth watching, from the second on far.
const KL_WATCH: f64 = 10.0;
const KL_FAR: f64 = 25.0;

/// An estimate of the divergence this far below zero is no noise.
const KL_NEGATIVE: f64 = -1.0;

/// Parts of the first entropy below which answers become alike, above which they become random.
const ENTROPY_LOW: f64 = 1.0 / 3.0;
const ENTROPY_HIGH: f64 = 2.0;

/// Above this share of groups whose answers all score the same, most of the work teaches nothing.
const ALIKE_MANY: f64 = 0.5;

/// Log-probabilities of one token in two passes differ by no more than this in f32, and by no more than that
/// where bf16 rounds.
const SAMPLING_SAME: f64 = 1e-3;
const SAMPLING_ROUNDED: f64 = 1.0;

/// Above this share of truncated answers the score mostly judges unfinished text.
const TRUNCATED_MANY: f64 = 0.5;

/// Whether the policy has become better, by held-out prompts, and how the metric `score` of the batches that
/// it learns from goes, which is no verdict: it rises by itself.
pub fn policy_gain(digest: &RunDigest, score: &str) -> Vec<RunFinding> {
    let gain = held_out_gain(digest);
    let says = match gain {
        Some(_) => "glance-score-of-batches",
        None => "glance-no-held-out-prompts",
    };
    let batches = noisy_metric(digest, score, "glance-score", says);
    gain.into_iter().chain(batches).collect()
}

/// Whether the policy has gone too far from where it began.
pub fn policy_drift(digest: &RunDigest) -> Vec<RunFinding> {
    [
        divergence(digest),
        answer_length(digest),
        entropy(digest),
        truncated_answers(digest),
        sampling_difference(digest),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Whether the policy's answers to held-out prompts score higher than those that it gave at the start,
/// by the interval of the difference; and whether that is more than a change of their length.
fn held_out_gain(digest: &RunDigest) -> Option<RunFinding> {
    let series = digest.series.get("eval_score")?;
    let title = "glance-gain";
    let n = digest.last("eval_prompts")?;
    let found = |tone, says, figure, args| Some(RunFinding { title, tone, figure, says, args });
    if is_before_training(series) {
        let figure = series.last().map(short).unwrap_or_default();
        return found(FindingTone::Plain, "glance-before-training", figure, Vec::new());
    }
    let figure = from_to(series, short);
    let Some(gain) = MeasuredChange::of(digest, "eval_gain") else {
        return found(FindingTone::Plain, "glance-gain-few", figure, vec![("n", short(n))]);
    };
    let mut args = vec![("n", short(n))];
    args.extend(gain.args());
    let (tone, says) = if n < MIN_HELD_OUT as f64 {
        (FindingTone::Plain, "glance-gain-few")
    } else if gain.sign() == Ordering::Less {
        (FindingTone::Watch, "glance-gain-worse")
    } else if gain.sign() == Ordering::Equal {
        (FindingTone::Plain, "glance-gain-unclear")
    } else if let Some((says, more)) = only_length(digest) {
        args.extend(more);
        (FindingTone::Watch, says)
    } else {
        (FindingTone::Good, "glance-gain-better")
    };
    found(tone, says, figure, args)
}

type LengthFinding = (&'static str, Vec<(&'static str, String)>);

/// Why a gain may be nothing but a change of length, if it may.
fn only_length(digest: &RunDigest) -> Option<LengthFinding> {
    let lengths = digest.series.get("eval_length")?;
    let (start, now) = (lengths.first()?, lengths.last()?);
    let args = |more: Vec<(&'static str, String)>| {
        let lengths = [("from", format!("{start:.0}")), ("to", format!("{now:.0}"))];
        lengths.into_iter().chain(more).collect()
    };
    let r = digest.last("eval_score_length_correlation").unwrap_or(0.0);
    if r.abs() >= LENGTH_ONLY {
        let says = if r > 0.0 { "glance-gain-likes-long" } else { "glance-gain-likes-short" };
        return Some((says, args(vec![("r", format!("{r:.2}"))])));
    }
    let has_changed = (now - start).abs() > LENGTH_KEPT * start;
    let same_length = digest.last("eval_gain_same_length_low");
    if !has_changed || same_length.is_some_and(|low| low > 0.0) {
        return None;
    }
    let says = if now > start { "glance-gain-longer" } else { "glance-gain-shorter" };
    Some((says, args(Vec::new())))
}

/// How long the answers of the rollouts have become, in tokens.
fn answer_length(digest: &RunDigest) -> Option<RunFinding> {
    let change = SeriesChange::of(digest.series.get("completions/mean_length")?)?;
    let part = change.now / change.first - 1.0;
    let is_clear = change.n_points >= MIN_POINTS && change.is_clear;
    let (tone, says) = if change.n_points < MIN_POINTS {
        (FindingTone::Plain, "glance-length-early")
    } else if part.abs() <= LENGTH_CHANGED {
        (FindingTone::Good, "glance-length-kept")
    } else if !is_clear {
        (FindingTone::Plain, "glance-length-unclear")
    } else if part > 0.0 {
        (FindingTone::Watch, "glance-length-longer")
    } else {
        (FindingTone::Watch, "glance-length-shorter")
    };
    let args = vec![("percent", percent(part.abs())), ("much", percent(LENGTH_CHANGED))];
    Some(RunFinding { title: "glance-length", tone, figure: change.figure(short), says, args })
}

/// How far the policy is from its reference, in nats per answer.
fn divergence(digest: &RunDigest) -> Option<RunFinding> {
    let change = SeriesChange::of(digest.series.get("objective/kl")?)?;
    let (tone, says) = match change.now {
        kl if kl < KL_NEGATIVE => (FindingTone::Watch, "glance-kl-negative"),
        kl if kl < KL_WATCH => (FindingTone::Good, "glance-kl-near"),
        kl if kl < KL_FAR => (FindingTone::Watch, "glance-kl-watch"),
        _ => (FindingTone::Watch, "glance-kl-far"),
    };
    let args = vec![("watch", short(KL_WATCH)), ("far", short(KL_FAR))];
    Some(RunFinding { title: "glance-kl", tone, figure: change.figure(short), says, args })
}

/// Whether the answers become alike, or random.
fn entropy(digest: &RunDigest) -> Option<RunFinding> {
    let names = ["policy/entropy_avg", "entropy", "objective/entropy"];
    let change = SeriesChange::of(names.iter().find_map(|name| digest.series.get(*name))?)?;
    let part = change.now / change.first;
    let (tone, says) = match part {
        part if part < ENTROPY_LOW => (FindingTone::Watch, "glance-entropy-low"),
        part if part > ENTROPY_HIGH => (FindingTone::Watch, "glance-entropy-high"),
        _ => (FindingTone::Good, "glance-entropy-kept"),
    };
    let args = vec![
        ("part", percent(part)),
        ("low", percent(ENTROPY_LOW)),
        ("high", percent(ENTROPY_HIGH)),
    ];
    Some(RunFinding { title: "glance-entropy", tone, figure: change.figure(short), says, args })
}

/// Whether what draws answers and what learns from them find the same tokens equally likely.
fn sampling_difference(digest: &RunDigest) -> Option<RunFinding> {
    let series = digest.series.get("sampling/sampling_logp_difference/max")?;
    let most = series.points.iter().map(|(_, value)| *value).reduce(f64::max)?;
    let (tone, says) = if most <= SAMPLING_SAME {
        (FindingTone::Good, "glance-sampling-same")
    } else if most <= SAMPLING_ROUNDED {
        (FindingTone::Plain, "glance-sampling-rounded")
    } else {
        (FindingTone::Watch, "glance-sampling-differs")
    };
    let args = vec![("rounded", short(SAMPLING_ROUNDED))];
    let (title, figure) = ("glance-sampling", short(most));
    Some(RunFinding { title, tone, figure, says, args })
}

/// How many answers did not end by themselves.
fn truncated_answers(digest: &RunDigest) -> Option<RunFinding> {
    let cut = match digest.series.get("completions/clipped_ratio") {
        Some(share) => share.clone(),
        None => truncated_of_ended(digest)?,
    };
    let change = SeriesChange::of(&cut)?;
    let (tone, says) = if change.now > TRUNCATED_MANY {
        (FindingTone::Watch, "glance-cut-many")
    } else {
        (FindingTone::Good, "glance-cut-few")
    };
    let figure = change.figure(|share| format!("{} %", percent(share)));
    let args = vec![("many", percent(TRUNCATED_MANY))];
    Some(RunFinding { title: "glance-cut", tone, figure, says, args })
}

/// The share of answers that were cut off, from the number of those that ended. Of how many answers a batch
/// was is told by the episodes: the last batch may be a small one.
fn truncated_of_ended(digest: &RunDigest) -> Option<MetricSeries> {
    let (ended, episodes) =
        (digest.series.get("val/num_eos_tokens")?, digest.series.get("episode")?);
    let mut before = 0.0;
    let mut cut = MetricSeries::default();
    for ((step, ended), (_, episode)) in ended.points.iter().zip(&episodes.points) {
        let n_answers = (episode - before).max(1.0);
        before = *episode;
        cut.points.push((*step, (1.0 - ended / n_answers).clamp(0.0, 1.0)));
    }
    Some(cut)
}

/// That in many groups no answer scores more than the others: nothing is learnt from these.
pub fn groups_alike(digest: &RunDigest) -> Option<RunFinding> {
    let change = SeriesChange::of(digest.series.get("frac_reward_zero_std")?)?;
    if change.now <= ALIKE_MANY {
        return None;
    }
    let figure = change.figure(|share| format!("{} %", percent(share)));
    let args = vec![("many", percent(ALIKE_MANY))];
    let (title, says) = ("glance-groups", "glance-groups-alike");
    Some(RunFinding { title, tone: FindingTone::Watch, figure, says, args })
}
