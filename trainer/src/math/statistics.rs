//! How sure a measured number is.

/// Where the true rate lies with 95 % confidence, after `n_right` of `n` (Wilson 1927).
pub(crate) fn wilson_interval(n_right: f64, n: f64) -> (f64, f64) {
    let rate = n_right / n;
    let center = (rate + Z * Z / (2.0 * n)) / (1.0 + Z * Z / n);
    let half = Z / (1.0 + Z * Z / n) * (rate * (1.0 - rate) / n + Z * Z / (4.0 * n * n)).sqrt();
    ((center - half).max(0.0), (center + half).min(1.0))
}

/// What the best of `k` of these scores is expected to be, each choice of `k` as likely as any other:
/// the unbiased estimate of best-of-k from n ≥ k samples. None with fewer.
pub(crate) fn best_of(k: usize, scores: &[f64]) -> Option<f64> {
    let n = scores.len();
    if k == 0 || k > n {
        return None;
    }
    let mut falling = scores.to_vec();
    falling.sort_by(|one, other| other.total_cmp(one));
    // The i-th smallest is the best of C(i − 1, k − 1) choices of C(n, k).
    let (mut sum, mut weight) = (0.0, k as f64 / n as f64);
    for (place, score) in falling.iter().take(n - k + 1).enumerate() {
        sum += weight * score;
        let i = n - place;
        weight *= (i - k) as f64 / (i - 1).max(1) as f64;
    }
    Some(sum)
}

/// A number with the bounds within which it lies with 95 % confidence.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Estimate {
    pub(crate) value: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
}

impl Estimate {
    fn new(value: f64, standard_error: f64, degrees: f64) -> Self {
        let half = t_quantile(degrees) * standard_error;
        Self { value, low: value - half, high: value + half }
    }
}

/// The mean of what was measured, by Student's t; none of fewer than two values.
pub(crate) fn mean_estimate(values: &[f64]) -> Option<Estimate> {
    let n = values.len() as f64;
    let mean = mean_of(values)?;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (n >= 2.0).then(|| Estimate::new(mean, (squares / (n - 1.0) / n).sqrt(), n - 1.0))
}

/// What `ys` would be where `xs` are 0, by a straight line through them (least squares): none of
/// fewer than three points, or where every x is the same and not 0.
pub(crate) fn intercept_estimate(xs: &[f64], ys: &[f64]) -> Option<Estimate> {
    if xs.iter().all(|x| *x == 0.0) {
        return mean_estimate(ys);
    }
    let (n, x_mean, y_mean) = (xs.len() as f64, mean_of(xs)?, mean_of(ys)?);
    let sum =
        |of: &dyn Fn(f64, f64) -> f64| xs.iter().zip(ys).map(|(x, y)| of(*x, *y)).sum::<f64>();
    let xx = sum(&|x, _| (x - x_mean).powi(2));
    if n < 3.0 || xx <= 0.0 {
        return None;
    }
    let slope = sum(&|x, y| (x - x_mean) * (y - y_mean)) / xx;
    let value = y_mean - slope * x_mean;
    let variance = sum(&|x, y| (y - value - slope * x).powi(2)) / (n - 2.0);
    let standard_error = (variance * (1.0 / n + x_mean.powi(2) / xx)).sqrt();
    Some(Estimate::new(value, standard_error, n - 2.0))
}

/// Pearson's r; none where either of them does not vary.
pub(crate) fn correlation(xs: &[f64], ys: &[f64]) -> Option<f64> {
    let (x_mean, y_mean) = (mean_of(xs)?, mean_of(ys)?);
    let sum = |of: &dyn Fn(f64, f64) -> f64| {
        xs.iter().zip(ys).map(|(x, y)| of(x - x_mean, y - y_mean)).sum::<f64>()
    };
    let (xx, yy) = (sum(&|x, _| x * x), sum(&|_, y| y * y));
    (xx > 0.0 && yy > 0.0).then(|| sum(&|x, y| x * y) / (xx * yy).sqrt())
}

pub(crate) fn mean_of(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// The 97.5 % point of Student's t: from a table for the first degrees of freedom, else the normal
/// point with its first four corrections (Abramowitz & Stegun 26.7.5).
fn t_quantile(degrees: f64) -> f64 {
    const FIRST: [f64; 4] = [12.706_204_736, 4.302_652_730, 3.182_446_305, 2.776_445_105];
    if let Some(known) = FIRST.get((degrees - 1.0).round() as usize) {
        return *known;
    }
    let z2 = Z * Z;
    let corrections = [
        (z2 + 1.0) / 4.0,
        ((5.0 * z2 + 16.0) * z2 + 3.0) / 96.0,
        (((3.0 * z2 + 19.0) * z2 + 17.0) * z2 - 15.0) / 384.0,
        ((((79.0 * z2 + 776.0) * z2 + 1482.0) * z2 - 1920.0) * z2 - 945.0) / 92_160.0,
    ];
    let terms = (1..).zip(corrections).map(|(power, term)| term / degrees.powi(power));
    Z * (1.0 + terms.sum::<f64>())
}

/// The 97.5 % point of the normal distribution.
const Z: f64 = 1.959_963_984_540_054;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_of_some_is_the_mean_over_all_choices_of_them() {
        let scores = [0.5, -1.0, 3.0, 2.0, 2.0];
        for k in 1..=scores.len() {
            let (mut sum, mut n) = (0.0, 0);
            for choice in 0u32..1 << scores.len() {
                let chosen = (0..scores.len()).filter(|at| choice >> at & 1 == 1);
                if choice.count_ones() as usize == k {
                    sum += chosen.map(|at| scores[at]).fold(f64::NEG_INFINITY, f64::max);
                    n += 1;
                }
            }
            let best = best_of(k, &scores).unwrap();
            assert!((best - sum / f64::from(n)).abs() < 1e-12, "{k}: {best}");
        }
        assert_eq!((best_of(0, &scores), best_of(6, &scores)), (None, None));
    }

    #[track_caller]
    fn assert_is(found: Option<Estimate>, value: f64, low: f64, high: f64) {
        let Estimate { value: v, low: l, high: h } = found.expect("an estimate");
        for (found, expected) in [(v, value), (l, low), (h, high)] {
            assert!((found - expected).abs() < 1e-5, "{found} is not {expected}");
        }
    }

    #[test]
    fn the_interval_of_a_mean_is_students() {
        // scipy.stats.t.interval(0.95, n - 1, numpy.mean(x), scipy.stats.sem(x))
        assert_is(mean_estimate(&[1.0, 2.0, 4.0, 8.0, 3.0]), 3.6, 0.245_209, 6.954_791);
        assert_is(mean_estimate(&[0.5, -0.5, 1.0]), 1.0 / 3.0, -1.563_958, 2.230_625);
        assert!(mean_estimate(&[1.0]).is_none());
    }

    #[test]
    fn the_intercept_is_that_of_least_squares() {
        // fit = statsmodels.api.OLS(y, add_constant(x)).fit(); fit.params[0], fit.conf_int()[0]
        let (xs, ys) = ([0.0, 1.0, 2.0, 3.0, 5.0], [0.9, 3.2, 4.8, 7.1, 11.0]);
        assert_is(intercept_estimate(&xs, &ys), 0.985_135, 0.564_753, 1.405_518);
        assert_is(
            intercept_estimate(&[0.0; 5], &[1.0, 2.0, 4.0, 8.0, 3.0]),
            3.6,
            0.245_209,
            6.954_791,
        );
        assert!(intercept_estimate(&[2.0; 5], &ys).is_none(), "no point near 0");
    }

    #[test]
    fn a_correlation_is_pearsons() {
        let r = correlation(&[1.0, 2.0, 3.0, 4.0], &[1.0, 3.0, 2.0, 5.0]).unwrap();
        assert!((r - 0.831_522).abs() < 1e-5, "{r}");
        assert!(correlation(&[1.0, 1.0], &[0.0, 5.0]).is_none());
    }

    #[test]
    fn the_interval_of_a_rate_is_wilsons() {
        // p, n, z = 0.85, 100, 1.959963984540054
        // (p + z*z/2/n + s * z * (p*(1-p)/n + z*z/4/n/n) ** 0.5) / (1 + z*z/n) for s in (-1, 1)
        let (low, high) = wilson_interval(85.0, 100.0);
        assert!((low - 0.767_164).abs() < 1e-5 && (high - 0.906_940).abs() < 1e-5, "{low} {high}");
        let (low, high) = wilson_interval(0.0, 5.0);
        assert!(low < 1e-12 && high < 0.5, "{low} {high}");
    }
}
