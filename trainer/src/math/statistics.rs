//! How sure a measured number is.

/// Where the true rate lies with 95 % confidence, after `n_right` of `n` (Wilson 1927).
pub(crate) fn wilson_interval(n_right: f64, n: f64) -> (f64, f64) {
    const Z: f64 = 1.959_963_984_540_054;
    let rate = n_right / n;
    let center = (rate + Z * Z / (2.0 * n)) / (1.0 + Z * Z / n);
    let half = Z / (1.0 + Z * Z / n) * (rate * (1.0 - rate) / n + Z * Z / (4.0 * n * n)).sqrt();
    ((center - half).max(0.0), (center + half).min(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

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
