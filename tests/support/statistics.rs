//! Means, deviations, correlations.

pub(crate) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The sample's standard deviation.
pub(crate) fn deviation(values: &[f64]) -> f64 {
    let mean = mean(values);
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (squares / (values.len() - 1) as f64).sqrt()
}

/// Pearson's.
pub(crate) fn correlation(a: &[f64], b: &[f64]) -> f64 {
    let (mean_a, mean_b) = (mean(a), mean(b));
    let product: f64 = a.iter().zip(b).map(|(a, b)| (a - mean_a) * (b - mean_b)).sum();
    product / ((a.len() - 1) as f64 * deviation(a) * deviation(b))
}

/// Wilson's 95 % interval of a share: from and to.
pub(crate) fn wilson(successes: usize, n: usize) -> (f64, f64) {
    const Z: f64 = 1.96;
    let (n, share) = (n as f64, successes as f64 / n as f64);
    let middle = share + Z * Z / (2.0 * n);
    let half = Z * (share * (1.0 - share) / n + Z * Z / (4.0 * n * n)).sqrt();
    ((middle - half) / (1.0 + Z * Z / n), (middle + half) / (1.0 + Z * Z / n))
}

#[test]
fn wilsons_interval_is_that_of_the_textbook() {
    // statsmodels.stats.proportion.proportion_confint(45, 50, method="wilson")
    let (from, to) = wilson(45, 50);
    assert!((from - 0.7864).abs() < 1e-3 && (to - 0.9565).abs() < 1e-3, "{from} {to}");
}
