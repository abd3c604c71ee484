//! What a run's numbers mean, in a sentence each: is it learning, is it drifting?
//!
//! The thresholds are rules of thumb, and the sentences say them. Those of the KL divergence follow
//! Stiennon et al. 2020 (figure 5), where people's preference peaks near 10 nats from the reference
//! and falls well before the reward model's score does.

use crate::training::curves::short;
use crate::training::run_digest::{MetricSeries, RunDigest};

/// Nats per answer from the reference: from the first on worth watching, from the second on far.
const KL_WATCH: f64 = 10.0;
const KL_FAR: f64 = 25.0;

/// An estimate of the divergence this far below zero is no noise.
const KL_NEGATIVE: f64 = -1.0;

/// Parts of the first entropy below which answers become alike, above which they become random.
const ENTROPY_LOW: f64 = 1.0 / 3.0;
const ENTROPY_HIGH: f64 = 2.0;

/// Above this share of truncated answers the score mostly judges unfinished text.
const TRUNCATED_MANY: f64 = 0.5;

/// A held-out loss that moved by less than this part has not moved.
const LOSS_FLAT: f64 = 0.01;

/// A held-out loss this part above its lowest is rising again.
const LOSS_ROSE: f64 = 0.02;

/// Held-out rows below which their loss says little of others.
const MIN_HELD_OUT: u64 = 10;

/// Points below which a noisy metric says nothing.
const MIN_POINTS: usize = 8;

/// How a finding is to be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FindingTone {
    Good,
    /// Worth a look.
    Watch,
    Plain,
}

/// A figure and what it means; title and sentence are Fluent keys.
#[derive(Debug, PartialEq)]
pub struct RunFinding {
    pub title: &'static str,
    pub tone: FindingTone,
    /// From the first measurement to now.
    pub figure: String,
    pub says: &'static str,
    pub args: Vec<(&'static str, String)>,
}

impl RunFinding {
    pub fn class(&self) -> &'static str {
        match self.tone {
            FindingTone::Good => "good",
            FindingTone::Watch => "watch",
            FindingTone::Plain => "plain",
        }
    }
}

/// How the loss on rows that were kept from training has gone.
pub fn held_out_loss(digest: &RunDigest, n_held_out: Option<u64>) -> Option<RunFinding> {
    let series = digest.series.get("eval_loss")?;
    let (first, now) = (series.first()?, series.last()?);
    let (lowest_step, lowest) =
        series.points.iter().copied().min_by(|(_, a), (_, b)| a.total_cmp(b))?;
    let percent = |from: f64| format!("{:.0}", ((now / from - 1.0) * 100.0).abs());
    let change = now / first - 1.0;
    let (tone, says, args) = if series.points.len() == 1 {
        (FindingTone::Plain, "glance-loss-once", Vec::new())
    } else if now > lowest * (1.0 + LOSS_ROSE) && lowest < first {
        let args = vec![
            ("percent", percent(lowest)),
            ("lowest", short(lowest)),
            ("step", short(lowest_step)),
        ];
        (FindingTone::Watch, "glance-loss-rose-again", args)
    } else if let (true, Some(n @ ..MIN_HELD_OUT)) = (change <= -LOSS_FLAT, n_held_out) {
        let args = vec![("percent", percent(first)), ("n", n.to_string())];
        (FindingTone::Plain, "glance-loss-fell-few", args)
    } else if change <= -LOSS_FLAT {
        (FindingTone::Good, "glance-loss-fell", vec![("percent", percent(first))])
    } else if change < LOSS_FLAT {
        (FindingTone::Plain, "glance-loss-flat", Vec::new())
    } else {
        (FindingTone::Watch, "glance-loss-rose", vec![("percent", percent(first))])
    };
    let figure = from_to(series, short);
    Some(RunFinding { title: "glance-held-out-loss", tone, figure, says, args })
}

/// An accuracy that comes with its interval: `metric_low` to `metric_high`.
pub fn held_out_accuracy(digest: &RunDigest, metric: &str, has_start: bool) -> Option<RunFinding> {
    let series = digest.series.get(metric)?;
    let (low, high) =
        (digest.last(&format!("{metric}_low"))?, digest.last(&format!("{metric}_high"))?);
    let (tone, says) = if low > 0.5 {
        (FindingTone::Good, "glance-accuracy-good")
    } else if high < 0.5 {
        (FindingTone::Watch, "glance-accuracy-bad")
    } else {
        (FindingTone::Plain, "glance-accuracy-unclear")
    };
    let args = vec![
        ("pairs", digest.last("eval_pairs").map(short).unwrap_or_default()),
        ("low", percent(low)),
        ("high", percent(high)),
    ];
    let write = |value| format!("{} %", percent(value));
    let figure = if has_start { from_to(series, write) } else { write(series.last()?) };
    Some(RunFinding { title: "glance-held-out-accuracy", tone, figure, says, args })
}

/// Which way a metric should go.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum MetricDirection {
    Higher,
    Lower,
}

/// A metric that varies from batch to batch: the mean of its first points beside that of its last.
/// `aside` is said instead of a judgement where the metric cannot carry one.
pub fn noisy_metric(
    digest: &RunDigest,
    metric: &str,
    title: &'static str,
    aside: &'static str,
    direction: MetricDirection,
) -> Option<RunFinding> {
    let change = SeriesChange::of(digest.series.get(metric)?)?;
    let improves = (change.now > change.first) == (direction == MetricDirection::Higher);
    let (tone, says) = if !aside.is_empty() {
        (FindingTone::Plain, aside)
    } else if change.n_points < MIN_POINTS {
        (FindingTone::Plain, "glance-too-few")
    } else if !change.is_clear {
        (FindingTone::Plain, "glance-within-noise")
    } else if improves {
        (FindingTone::Good, "glance-score-rose")
    } else {
        (FindingTone::Watch, "glance-score-fell")
    };
    let args = vec![("window", change.window.to_string())];
    Some(RunFinding { title, tone, figure: change.figure(short), says, args })
}

/// Means over the first and the last points of a series.
#[derive(Debug, PartialEq)]
struct SeriesChange {
    first: f64,
    now: f64,
    window: usize,
    n_points: usize,
    /// Whether the means differ by more than twice what noise alone would make of them.
    is_clear: bool,
}

impl SeriesChange {
    fn of(series: &MetricSeries) -> Option<Self> {
        let values: Vec<f64> = series.points.iter().map(|(_, value)| *value).collect();
        if values.is_empty() {
            return None;
        }
        let window = (values.len() / 4).clamp(1, 10);
        let first = mean(&values[..window]);
        let now = mean(&values[values.len() - window..]);
        // Neighbouring batches differ by noise mostly; a difference has twice its variance.
        let squares: Vec<f64> =
            values.windows(2).map(|pair| (pair[1] - pair[0]).powi(2) / 2.0).collect();
        let noise = if squares.is_empty() { 0.0 } else { mean(&squares).sqrt() };
        let is_clear = (now - first).abs() > 2.0 * noise * (2.0 / window as f64).sqrt();
        Some(Self { first, now, window, n_points: values.len(), is_clear })
    }

    fn figure(&self, write: impl Fn(f64) -> String) -> String {
        match self.n_points {
            1 => write(self.now),
            _ => format!("{} → {}", write(self.first), write(self.now)),
        }
    }
}

/// How far the policy is from its reference, in nats per answer.
pub fn divergence(digest: &RunDigest) -> Option<RunFinding> {
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
pub fn entropy(digest: &RunDigest) -> Option<RunFinding> {
    let per_token = digest.series.get("policy/entropy_avg");
    let change = SeriesChange::of(per_token.or_else(|| digest.series.get("objective/entropy"))?)?;
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

/// Of how many answers a batch was is told by the episodes: the last batch may be a small one.
pub fn truncated_answers(digest: &RunDigest) -> Option<RunFinding> {
    let (ended, episodes) =
        (digest.series.get("val/num_eos_tokens")?, digest.series.get("episode")?);
    let mut before = 0.0;
    let mut cut = MetricSeries::default();
    for ((step, ended), (_, episode)) in ended.points.iter().zip(&episodes.points) {
        let n_answers = (episode - before).max(1.0);
        before = *episode;
        cut.points.push((*step, (1.0 - ended / n_answers).clamp(0.0, 1.0)));
    }
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

/// "3.21 → 2.05", or the one value that there is.
fn from_to(series: &MetricSeries, write: impl Fn(f64) -> String) -> String {
    match &series.points[..] {
        [(_, first), .., (_, now)] => format!("{} → {}", write(*first), write(*now)),
        [(_, only)] => write(*only),
        [] => String::new(),
    }
}

fn percent(part: f64) -> String {
    format!("{:.0}", part * 100.0)
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::training::kinds::definition;
    use entity::run_config::RunKind;

    fn learning(kind: RunKind, digest: &RunDigest, n_held_out: Option<u64>) -> Option<RunFinding> {
        (definition(kind).learning)(digest, n_held_out)
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
        assert_eq!(
            sft(&[3.0, 3.5]),
            (FindingTone::Watch, "glance-loss-rose", "3 → 3.5".to_owned())
        );
        assert_eq!(sft(&[3.0]), (FindingTone::Plain, "glance-loss-once", "3".to_owned()));
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
    fn a_score_counts_as_risen_only_above_its_noise() {
        let says = |scores: &[f64]| {
            learning(RunKind::Ppo, &digest(&[("objective/scores", scores)]), None).unwrap().says
        };
        let noise = |at: usize| if at.is_multiple_of(2) { 0.5 } else { -0.5 };
        let flat: Vec<f64> = (0..40).map(noise).collect();
        let rising: Vec<f64> = (0..40).map(|at| at as f64 / 10.0 + noise(at)).collect();
        let falling: Vec<f64> = rising.iter().map(|score| -score).collect();
        assert_eq!(says(&flat), "glance-within-noise");
        assert_eq!(says(&rising), "glance-score-rose");
        assert_eq!(says(&falling), "glance-score-fell");
        assert_eq!(says(&[0.0, 1.0]), "glance-too-few");
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
        assert_eq!(
            found(2.0, 2.5, 15.0),
            ["glance-kl-near", "glance-entropy-kept", "glance-cut-few"]
        );
        assert_eq!(
            found(12.0, 0.5, 4.0),
            ["glance-kl-watch", "glance-entropy-low", "glance-cut-many"]
        );
        assert_eq!(found(30.0, 7.0, 16.0)[..2], ["glance-kl-far", "glance-entropy-high"]);
        assert_eq!(found(-3.0, 3.0, 16.0)[0], "glance-kl-negative");
        let small_last_batch =
            digest(&[("val/num_eos_tokens", &[16.0, 2.0]), ("episode", &[16.0, 18.0])]);
        assert_eq!(drift(RunKind::Ppo, &small_last_batch)[0].figure, "0 % → 0 %");
        assert!(drift(RunKind::Sft, &RunDigest::default()).is_empty());
    }
}
