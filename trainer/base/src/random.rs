//! Randomness without state: a draw is a function of its key (seed, prompt, sample, position, …).
//!
//! Nothing has to be saved in a checkpoint, and what is drawn for one sequence does not depend on
//! which others are in the batch.

/// Between the states of SplitMix64, and what its finaliser multiplies by.
pub const GOLDEN_GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;
pub const MULTIPLIERS: [u64; 2] = [0xbf58_476d_1ce4_e5b9, 0x94d0_49bb_1331_11eb];

/// The finaliser of SplitMix64 (Steele, Lea, Flood 2014; constants: Stafford's variant 13).
pub fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(MULTIPLIERS[0]);
    x = (x ^ (x >> 27)).wrapping_mul(MULTIPLIERS[1]);
    x ^ (x >> 31)
}

/// 64 random bits that belong to `key`.
pub fn bits(key: &[u64]) -> u64 {
    key.iter().fold(0, |state, &part| mix(mix(state.wrapping_add(GOLDEN_GAMMA)) ^ mix(part)))
}

/// A number in [0, 1) that belongs to `key`: 53 random bits.
pub fn uniform(key: &[u64]) -> f64 {
    (bits(key) >> 11) as f64 / (1u64 << 53) as f64
}

/// A draw from the standard normal distribution that belongs to `key` (Box and Muller 1958).
pub fn normal(key: &[u64]) -> f64 {
    let state = bits(key);
    let radius = (-2.0 * (1.0 - uniform(&[state, 0])).ln()).sqrt();
    radius * (std::f64::consts::TAU * uniform(&[state, 1])).cos()
}

/// A random order of `0..n` that belongs to `key` (Fisher–Yates).
pub fn permutation(n: usize, key: &[u64]) -> Vec<usize> {
    let state = bits(key);
    let mut order: Vec<usize> = (0..n).collect();
    for i in (1..n).rev() {
        // 64 random bits against a small n: the bias is below n / 2^64.
        let j = bits(&[state, i as u64]) % (i as u64 + 1);
        order.swap(i, j as usize);
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_are_spread_evenly_and_neighbouring_keys_are_unrelated() {
        let draws: Vec<f64> = (0..20_000).map(|i| uniform(&[42, i / 100, 0, i % 100])).collect();
        let n = draws.len() as f64;
        let mean = draws.iter().sum::<f64>() / n;
        let variance = draws.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n;
        let lag = draws.windows(2).map(|w| (w[0] - mean) * (w[1] - mean)).sum::<f64>() / n;
        // Four standard errors of each.
        assert!((mean - 0.5).abs() < 4.0 * (1.0 / 12.0 / n).sqrt());
        assert!((variance - 1.0 / 12.0).abs() < 4.0 * (1.0 / 180.0 / n).sqrt());
        assert!(lag.abs() < 4.0 * (1.0 / 12.0) / n.sqrt());
    }

    #[test]
    fn normal_draws_have_the_moments_of_the_normal_distribution() {
        let draws: Vec<f64> = (0..20_000).map(|i| normal(&[42, i])).collect();
        let n = draws.len() as f64;
        // Moments 1 to 4 are 0, 1, 0 and 3; their variances are 1, 2, 15 and 96.
        for (power, expected, variance) in
            [(1, 0.0, 1.0), (2, 1.0, 2.0), (3, 0.0, 15.0), (4, 3.0, 96.0)]
        {
            let moment = draws.iter().map(|x: &f64| x.powi(power)).sum::<f64>() / n;
            assert!((moment - expected).abs() < 4.0 * f64::sqrt(variance / n), "{power}: {moment}");
        }
    }

    #[test]
    fn an_order_holds_every_place_once_and_another_epoch_has_another() {
        let first = permutation(100, &[42, 0]);
        assert_ne!(first, permutation(100, &[42, 1]));
        assert_eq!(first, permutation(100, &[42, 0]));
        let mut sorted = first;
        sorted.sort_unstable();
        assert_eq!(sorted, (0..100).collect::<Vec<_>>());
    }
}
