//! The tensor mathematics of SFT, reward model, DPO, PPO, GRPO and RLOO: pure, no I/O.
//!
//! Per-token values are *packed*: the responses of a batch one after the other in one row of N
//! tokens, with the length of each response beside it. There is no padding, so a mean is a mean and
//! nothing has to be masked. TRL pads and masks; on real tokens the numbers are the same
//! (`fixtures/ops.json` holds TRL's).

use entity::run_config::{KlEstimator, ScaleRewards};
use tch::{Kind, Tensor};

/// log p of each id: logits (N, V), ids (N) → (N), f32.
///
/// Gather less log-sum-exp, TRL's `selective_log_softmax` for f32: the (N, V) log-softmax is never
/// written out.
pub fn token_logprobs(logits: &Tensor, ids: &Tensor) -> Tensor {
    let picked = logits.gather(1, &ids.unsqueeze(1), false).squeeze_dim(1);
    picked - logits.logsumexp([1], false)
}

/// Entropy of each row in nats: logits (N, V) → (N).
///
/// log-sum-exp less the expected logit, as TRL's `entropy_from_logits`.
pub fn entropy(logits: &Tensor) -> Tensor {
    let kind = logits.kind();
    let probs = logits.softmax(-1, kind);
    logits.logsumexp([1], false) - (probs * logits).sum_dim_intlist(1, false, kind)
}

/// Scales to unit variance, around zero or around the mean it had: (N) → (N).
///
/// TRL's `masked_whiten`: (x − μ) / √(σ² + 1e-8), σ² with Bessel's correction. A single value has
/// no variance: it is only centred.
pub fn whiten(values: &Tensor, keep_mean: bool) -> Tensor {
    let mean = values.mean(values.kind());
    let centred = values - &mean;
    let whitened = match values.numel() {
        0 | 1 => centred,
        _ => centred * (values.var(true) + 1e-8).rsqrt(),
    };
    if keep_mean { whitened + mean } else { whitened }
}

/// Per-token estimate of KL(π ‖ π_ref) from what was drawn: (N), (N) → (N).
///
/// With r = log π_ref − log π (Schulman, "Approximating KL Divergence"): k1 = −r, k3 = eʳ − 1 − r.
pub fn kl(estimator: KlEstimator, logprobs: &Tensor, ref_logprobs: &Tensor) -> Tensor {
    let log_ratio = ref_logprobs - logprobs;
    match estimator {
        KlEstimator::K1 => -log_ratio,
        KlEstimator::K3 => log_ratio.exp() - 1.0 - log_ratio,
    }
}

/// Advantages and returns of each token by generalised advantage estimation.
///
/// δ_t = r_t + γ V_{t+1} − V_t, A_t = δ_t + γ λ A_{t+1}, return_t = A_t + V_t, where the value after
/// a response's last token is 0 (Schulman et al. 2016, eq. 16; TRL's PPO loop). `rewards` and
/// `values` are the N tokens of responses of the given lengths, one after the other.
pub fn gae(
    rewards: &[f32],
    values: &[f32],
    lengths: &[i64],
    gamma: f64,
    lam: f64,
) -> (Vec<f32>, Vec<f32>) {
    assert_eq!(rewards.len(), values.len());
    assert_eq!(rewards.len() as i64, lengths.iter().sum::<i64>());
    let mut advantages = vec![0.0; rewards.len()];
    let mut returns = vec![0.0; rewards.len()];
    let mut end = 0;
    for &length in lengths {
        let start = end;
        end += length as usize;
        let (mut next_value, mut next_advantage) = (0.0, 0.0);
        for t in (start..end).rev() {
            let value = f64::from(values[t]);
            let delta = f64::from(rewards[t]) + gamma * next_value - value;
            next_advantage = delta + gamma * lam * next_advantage;
            next_value = value;
            advantages[t] = next_advantage as f32;
            returns[t] = (next_advantage + value) as f32;
        }
    }
    (advantages, returns)
}

/// A clipped loss of every token, and where the clipped branch was the larger: both (N).
pub struct ClippedLoss {
    pub per_token: Tensor,
    pub clipped: Tensor,
}

/// How far below and above 1 the probability ratio counts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClipRange {
    pub low: f64,
    pub high: f64,
}

/// The clipped policy loss of PPO and GRPO, to be minimised: all (N).
///
/// max(−A ρ, −A clip(ρ, 1 − ε_low, 1 + ε_high)) with ρ = exp(new − old) (Schulman et al. 2017, eq. 7;
/// TRL `pg_loss`; a larger ε_high is DAPO's clip-higher, Yu et al. 2025, eq. 10). The mean over tokens is
/// the caller's, who may see a batch in several pieces.
pub fn policy_loss(
    logprobs: &Tensor,
    old_logprobs: &Tensor,
    advantages: &Tensor,
    clip: ClipRange,
) -> ClippedLoss {
    let ratio = (logprobs - old_logprobs).exp();
    let unclipped = -advantages * &ratio;
    let clipped = -advantages * ratio.clamp(1.0 - clip.low, 1.0 + clip.high);
    larger_of(&unclipped, &clipped)
}

/// GRPO's KL term of each token, which has a gradient: all (N).
///
/// k3 of the reference times ρ = exp(new − old), so that its gradient is that of the reverse KL and not of
/// an estimate's value (TRL: `use_bias_correction_kl`; DeepSeek-V3.2 2025, eq. 7).
pub fn corrected_kl(logprobs: &Tensor, old_logprobs: &Tensor, ref_logprobs: &Tensor) -> Tensor {
    kl(KlEstimator::K3, logprobs, ref_logprobs) * (logprobs - old_logprobs).exp()
}

/// GRPO's advantages: what each answer scores more than the answers to its prompt do on average, n
/// answers to each prompt, one prompt's after the other's.
///
/// (r − mean of the group) / (σ + 1e-4), σ with Bessel's correction, of the group or of the whole batch
/// (Shao et al. 2024, eq. 3; TRL's `GRPOTrainer`).
pub fn group_advantages(scores: &[f32], n: usize, scale: ScaleRewards) -> Vec<f32> {
    let all: Vec<f64> = scores.iter().copied().map(f64::from).collect();
    let of_batch = deviation(&all);
    let of_group = |group: &[f64]| {
        let mean = group.iter().sum::<f64>() / group.len() as f64;
        let by = match scale {
            ScaleRewards::Group => deviation(group) + SCALE_LEAST,
            ScaleRewards::Batch => of_batch + SCALE_LEAST,
            ScaleRewards::None => 1.0,
        };
        group.iter().map(|score| ((score - mean) / by) as f32).collect::<Vec<_>>()
    };
    all.chunks(n).flat_map(of_group).collect()
}

/// RLOO's advantages: each answer's reward less the mean of the other n − 1 answers' to its prompt, one
/// prompt's after the other's (Ahmadian et al. 2024, eq. 8; TRL's `RLOOTrainer`).
pub fn leave_one_out(rewards: &[f32], n: usize) -> Vec<f32> {
    let of_group = |group: &[f32]| {
        let sum: f64 = group.iter().copied().map(f64::from).sum();
        let others = group.len().max(2) as f64 - 1.0;
        let advantage = |reward: &f32| f64::from(*reward) - (sum - f64::from(*reward)) / others;
        group.iter().map(|reward| advantage(reward) as f32).collect::<Vec<_>>()
    };
    rewards.chunks(n).flat_map(of_group).collect()
}

/// Scaled to mean 0 and deviation 1: (x − mean) / (σ + 1e-4), σ with Bessel's correction (TRL:
/// `normalize_advantages`).
pub fn standardised(values: &[f32]) -> Vec<f32> {
    group_advantages(values, values.len().max(1), ScaleRewards::Group)
}

/// Sums over each answer's tokens: (N) and the answers' lengths → (n).
pub fn answer_sums(tokens: &Tensor, lengths: &[i64]) -> Tensor {
    let answers = tokens.split_with_sizes(lengths, 0);
    let sums: Vec<Tensor> = answers.iter().map(|answer| answer.sum(tokens.kind())).collect();
    Tensor::stack(&sums, 0)
}

/// What keeps a deviation of 0 from being divided by.
const SCALE_LEAST: f64 = 1e-4;

/// The standard deviation with Bessel's correction; 0 of fewer than two values.
pub fn deviation(values: &[f64]) -> f64 {
    let n = values.len() as f64;
    if n < 2.0 {
        return 0.0;
    }
    let mean = values.iter().sum::<f64>() / n;
    (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1.0)).sqrt()
}

/// PPO's clipped value loss: all (N).
///
/// ½ max((V − R)², (clip(V, V_old − ε, V_old + ε) − R)²), TRL `vf_loss`.
pub fn ppo_value_loss(
    values: &Tensor,
    old_values: &Tensor,
    returns: &Tensor,
    cliprange: f64,
) -> ClippedLoss {
    let near = values.clamp_tensor(Some(old_values - cliprange), Some(old_values + cliprange));
    let unclipped = 0.5 * (values - returns).square();
    let clipped = 0.5 * (near - returns).square();
    larger_of(&unclipped, &clipped)
}

fn larger_of(unclipped: &Tensor, clipped: &Tensor) -> ClippedLoss {
    ClippedLoss {
        per_token: unclipped.maximum(clipped),
        clipped: clipped.gt_tensor(unclipped).to_kind(Kind::Float),
    }
}

/// Bradley–Terry loss of pairs, a scalar: (N), (N), margins and weights (N) where there are any → ().
///
/// mean w (−log σ(r⁺ − r⁻ − m) + c (r⁺ + r⁻)²), TRL's `RewardTrainer`; m says by how much a pair's
/// scores are to part (Touvron et al. 2023, eq. 2), the last term keeps the scores around zero
/// (Eisenstein et al. 2023, §A). With w = N / (prompts · pairs of the same prompt) it is the mean over
/// prompts of the mean over all pairs of one (Ouyang et al. 2022, eq. 1).
pub fn bradley_terry(
    chosen: &Tensor,
    rejected: &Tensor,
    margins: Option<&Tensor>,
    weights: Option<&Tensor>,
    center_coefficient: f64,
) -> Tensor {
    let apart = chosen - rejected;
    let apart = match margins {
        Some(margins) => apart - margins,
        None => apart,
    };
    let mean = |of_pairs: Tensor| match weights {
        Some(weights) => (of_pairs * weights).mean(chosen.kind()),
        None => of_pairs.mean(chosen.kind()),
    };
    let loss = -mean(apart.log_sigmoid());
    if center_coefficient == 0.0 {
        return loss;
    }
    loss + center_coefficient * mean((chosen + rejected).square())
}

/// Loss of direct preference optimisation, a scalar: (N), (N) → ().
///
/// −mean log σ(β (Δ⁺ − Δ⁻)), where Δ = log π − log π_ref of an answer, summed over its tokens
/// (Rafailov et al. 2023, eq. 7; TRL's `DPOTrainer`, loss `sigmoid`).
pub fn dpo(chosen: &Tensor, rejected: &Tensor, beta: f64) -> Tensor {
    -((chosen - rejected) * beta).log_sigmoid().mean(chosen.kind())
}

/// Loss of Kahneman–Tversky optimisation, a scalar: (N), (N), … → ().
///
/// mean w (1 − σ(± β (Δ − z))), where Δ = log π − log π_ref of an answer, summed over its tokens, the sign
/// is that of a good answer or of a bad one, w its weight, and z how far the policy has gone from its
/// reference, which takes no gradient (Ethayarajh et al. 2024, eq. 7; TRL's `KTOTrainer`, loss `kto`).
pub fn kto(log_ratios: &Tensor, signs: &Tensor, weights: &Tensor, beta: f64, z: f64) -> Tensor {
    let value = ((log_ratios - z) * signs * beta).sigmoid();
    (weights - weights * value).mean(log_ratios.kind())
}

#[cfg(test)]
mod tests;
