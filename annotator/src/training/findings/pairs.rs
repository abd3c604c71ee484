//! What is known of a model that learns from comparisons.

use super::{
    FindingTone, LOSS_FLAT, LOSS_ROSE, RunFinding, SeriesChange, from_to, is_before_training,
    percent,
};
use crate::training::{curves::short, run_digest::RunDigest};

/// From this share on, a model that prefers the longer answer judges little else.
const LENGTH_ONLY: f64 = 0.9;

/// Held-out pairs below which such a share says little.
const MIN_PAIRS: f64 = 20.0;

/// How much less often a model may be right on held-out pairs than on those it learns from.
const BY_HEART: f64 = 0.1;

/// An accuracy that comes with its interval: `metric_low` to `metric_high`.
pub fn held_out_accuracy(digest: &RunDigest, metric: &str, has_start: bool) -> Option<RunFinding> {
    let series = digest.series.get(metric)?;
    let (low, high) =
        (digest.last(&format!("{metric}_low"))?, digest.last(&format!("{metric}_high"))?);
    let (tone, says) = if is_before_training(series) {
        (FindingTone::Plain, "glance-before-training")
    } else if low > 0.5 {
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
    let figure = if has_start && !is_before_training(series) {
        from_to(series, write)
    } else {
        write(series.last()?)
    };
    Some(RunFinding { title: "glance-held-out-accuracy", tone, figure, says, args })
}

/// How often a good held-out answer has the higher reward than a bad one, each drawn at random.
pub fn good_above_bad(digest: &RunDigest) -> Option<RunFinding> {
    let found = held_out_accuracy(digest, "eval_rewards/accuracies", false)?;
    let says = match found.says {
        "glance-accuracy-good" => "glance-good-above-bad-good",
        "glance-accuracy-bad" => "glance-good-above-bad-bad",
        "glance-accuracy-unclear" => "glance-good-above-bad-unclear",
        says => says,
    };
    Some(RunFinding { title: "glance-good-above-bad", says, ..found })
}

/// That the loss on held-out comparisons rises, which an accuracy alone does not show: the model grows
/// surer of what it gets wrong.
pub fn pair_loss(digest: &RunDigest) -> Option<RunFinding> {
    let series = digest.series.get("eval_loss")?;
    let (first, now) = (series.first()?, series.last()?);
    let (lowest_step, lowest) =
        series.points.iter().copied().min_by(|(_, a), (_, b)| a.total_cmp(b))?;
    let percent = |from: f64| format!("{:.0}", (now / from - 1.0) * 100.0);
    let (says, args) = if now > lowest * (1.0 + LOSS_ROSE) && lowest < first * (1.0 - LOSS_FLAT) {
        let args = vec![
            ("percent", percent(lowest)),
            ("lowest", short(lowest)),
            ("step", short(lowest_step)),
        ];
        ("glance-pair-loss-rose-again", args)
    } else if now > first * (1.0 + LOSS_FLAT) {
        ("glance-pair-loss-rose", vec![("percent", percent(first))])
    } else {
        return None;
    };
    let figure = from_to(series, short);
    Some(RunFinding { title: "glance-pair-loss", tone: FindingTone::Watch, figure, says, args })
}

/// That a model is far surer of the comparisons that it learns from than of held-out ones.
pub fn by_heart(digest: &RunDigest, trained: &str, held_out: &str) -> Option<RunFinding> {
    let measured = digest.series.get(held_out).filter(|series| !is_before_training(series))?;
    let high = digest.last(&format!("{held_out}_high"))?;
    let (trained, held_out) =
        (SeriesChange::of(digest.series.get(trained)?)?.now, measured.last()?);
    let n_pairs = digest.last("eval_pairs")?;
    if n_pairs < MIN_PAIRS || trained <= high || trained - held_out < BY_HEART {
        return None;
    }
    let args = vec![("trained", percent(trained)), ("held", percent(held_out))];
    let figure = format!("{} % / {} %", percent(trained), percent(held_out));
    let (title, says) = ("glance-by-heart-title", "glance-by-heart");
    Some(RunFinding { title, tone: FindingTone::Watch, figure, says, args })
}

/// That a reward model is surer of what it prefers than it is right, or less sure.
pub fn calibration(digest: &RunDigest) -> Option<RunFinding> {
    let series = digest.series.get("eval_sureness")?;
    let last = |metric: &str| digest.last(metric);
    let (sure, right) = (series.last()?, last("eval_accuracy")?);
    let (low, high) = (last("eval_accuracy_low")?, last("eval_accuracy_high")?);
    if is_before_training(series) || last("eval_pairs")? < MIN_PAIRS {
        return None;
    }
    let (tone, says) = match sure {
        sure if sure > high => (FindingTone::Watch, "glance-too-sure"),
        sure if sure < low => (FindingTone::Plain, "glance-less-sure"),
        _ => return None,
    };
    let args = vec![("sure", percent(sure)), ("low", percent(low)), ("high", percent(high))];
    let figure = format!("{} % / {} %", percent(sure), percent(right));
    Some(RunFinding { title: "glance-sureness", tone, figure, says, args })
}

/// That a model's preferences follow the length of answers, and so may be nothing else.
pub fn judges_length(digest: &RunDigest) -> Option<RunFinding> {
    let series = digest.series.get("eval_longer_preferred")?;
    let (longer, people) = (series.last()?, digest.last("eval_longer_chosen")?);
    if is_before_training(series) || digest.last("eval_pairs")? < MIN_PAIRS {
        return None;
    }
    let (says, model, people) = match longer {
        longer if longer >= LENGTH_ONLY => ("glance-judges-longer", longer, people),
        longer if longer <= 1.0 - LENGTH_ONLY => {
            ("glance-judges-shorter", 1.0 - longer, 1.0 - people)
        }
        _ => return None,
    };
    let args = vec![("model", percent(model)), ("people", percent(people))];
    let figure = format!("{} %", percent(model));
    let title = "glance-judges-length";
    Some(RunFinding { title, tone: FindingTone::Watch, figure, says, args })
}
