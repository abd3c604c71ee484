//! Against PyTorch's and TRL's own results (`fixtures/make_ops.py`), in f64.

use super::*;
use proptest::prelude::*;
use serde_json::Value;

fn golden(section: &str) -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/ops.json");
    let all: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    all[section].clone()
}

fn numbers(value: &Value) -> Vec<f64> {
    match value {
        Value::Array(items) => items.iter().flat_map(numbers).collect(),
        number => vec![number.as_f64().expect("a number")],
    }
}

fn tensor(value: &Value) -> Tensor {
    Tensor::from_slice(&numbers(value))
}

/// The real tokens of a padded (B, T) table, row after row.
fn packed(value: &Value, mask: &Value) -> Vec<f64> {
    let real = numbers(mask);
    numbers(value).into_iter().zip(real).filter(|(_, real)| *real == 1.0).map(|(x, _)| x).collect()
}

fn packed_tensor(section: &Value, name: &str) -> Tensor {
    Tensor::from_slice(&packed(&section[name], &section["mask"]))
}

fn floats(tensor: &Tensor) -> Vec<f64> {
    Vec::<f64>::try_from(tensor.to_kind(Kind::Double).reshape(-1)).unwrap()
}

fn scalar(tensor: &Tensor) -> f64 {
    tensor.double_value(&[])
}

fn assert_close(found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len());
    for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
        let bound = tolerance * expected.abs().max(1.0);
        assert!((found - expected).abs() <= bound, "at {i}: {found} where {expected} is expected");
    }
}

#[test]
fn whitening_the_real_tokens_is_trls_masked_whiten() {
    let golden = golden("masked");
    let values = packed_tensor(&golden, "values");
    assert_close(&[scalar(&values.mean(Kind::Double))], &numbers(&golden["mean"]), 1e-8);
    for (keep_mean, name) in [(false, "whiten"), (true, "whiten_keep_mean")] {
        let expected = packed(&golden[name], &golden["mask"]);
        assert_close(&floats(&whiten(&values, keep_mean)), &expected, 1e-8);
    }
}

#[test]
fn whitening_one_value_gives_a_number() {
    let value = Tensor::from_slice(&[3.0]);
    assert_eq!(floats(&whiten(&value, false)), [0.0]);
    assert_eq!(floats(&whiten(&value, true)), [3.0]);
}

#[test]
fn advantages_and_returns_are_those_of_trls_loop() {
    for case in golden("gae").as_array().unwrap() {
        let lengths: Vec<i64> = numbers(&case["lengths"]).iter().map(|&l| l as i64).collect();
        let row = |name: &str| -> Vec<f64> {
            let rows = case[name].as_array().unwrap().iter().zip(&lengths);
            rows.flat_map(|(row, &length)| numbers(row)[..length as usize].to_vec()).collect()
        };
        let f32s = |name| row(name).into_iter().map(|x| x as f32).collect::<Vec<_>>();
        let (gamma, lam) = (case["gamma"].as_f64().unwrap(), case["lam"].as_f64().unwrap());
        let (advantages, returns) = gae(&f32s("rewards"), &f32s("values"), &lengths, gamma, lam);
        let advantages = Tensor::from_slice(&advantages);
        assert_close(&floats(&advantages), &row("advantages"), 1e-6);
        assert_close(&floats(&Tensor::from_slice(&returns)), &row("returns"), 1e-6);
        let whitened = whiten(&advantages, false);
        assert_close(&floats(&whitened), &row("advantages_whitened"), 1e-5);
    }
}

proptest! {
    #[test]
    fn the_scan_is_the_discounted_sum_of_the_errors_within_each_response(
        responses in prop::collection::vec(
            prop::collection::vec((-3.0f32..3.0, -3.0f32..3.0), 1..9), 1..6),
        gamma in 0.0..=1.0f64,
        lam in 0.0..=1.0f64,
    ) {
        let lengths: Vec<i64> = responses.iter().map(|tokens| tokens.len() as i64).collect();
        let (rewards, values): (Vec<f32>, Vec<f32>) = responses.iter().flatten().copied().unzip();
        let (advantages, returns) = gae(&rewards, &values, &lengths, gamma, lam);
        let mut place = 0;
        for tokens in &responses {
            for t in 0..tokens.len() {
                let advantage: f64 = (t..tokens.len())
                    .map(|l| {
                        let next = tokens.get(l + 1).map_or(0.0, |token| f64::from(token.1));
                        let delta = f64::from(tokens[l].0) + gamma * next - f64::from(tokens[l].1);
                        (gamma * lam).powi((l - t) as i32) * delta
                    })
                    .sum();
                prop_assert!((f64::from(advantages[place]) - advantage).abs() < 1e-4);
                let value = f64::from(tokens[t].1);
                prop_assert!((f64::from(returns[place]) - advantage - value).abs() < 1e-4);
                place += 1;
            }
        }
    }
}

#[test]
fn the_policy_loss_and_its_gradient_are_trls() {
    let golden = golden("policy_loss");
    let logprobs = packed_tensor(&golden, "new_logprobs").set_requires_grad(true);
    let clip = golden["cliprange"].as_f64().unwrap();
    let loss = policy_loss(
        &logprobs,
        &packed_tensor(&golden, "old_logprobs"),
        &packed_tensor(&golden, "advantages"),
        ClipRange { low: clip, high: clip },
    );
    let mean = loss.per_token.mean(Kind::Double);
    mean.backward();
    assert_close(&[scalar(&mean)], &numbers(&golden["loss"]), 1e-8);
    assert_close(&[scalar(&loss.clipped.mean(Kind::Double))], &numbers(&golden["clipfrac"]), 1e-6);
    let expected = packed(&golden["grad_new_logprobs"], &golden["mask"]);
    assert_close(&floats(&logprobs.grad()), &expected, 1e-8);
}

#[test]
fn the_value_loss_and_its_gradient_are_trls() {
    let golden = golden("value_loss");
    let values = packed_tensor(&golden, "new_values").set_requires_grad(true);
    let loss = ppo_value_loss(
        &values,
        &packed_tensor(&golden, "old_values"),
        &packed_tensor(&golden, "returns"),
        golden["cliprange_value"].as_f64().unwrap(),
    );
    let mean = loss.per_token.mean(Kind::Double);
    mean.backward();
    assert_close(&[scalar(&mean)], &numbers(&golden["loss"]), 1e-8);
    assert_close(&[scalar(&loss.clipped.mean(Kind::Double))], &numbers(&golden["clipfrac"]), 1e-6);
    let expected = packed(&golden["grad_new_values"], &golden["mask"]);
    assert_close(&floats(&values.grad()), &expected, 1e-8);
}

#[test]
fn the_kl_estimators_are_trls() {
    let golden = golden("kl");
    let (logprobs, reference) = (tensor(&golden["logprobs"]), tensor(&golden["ref_logprobs"]));
    for (estimator, name) in [(KlEstimator::K1, "k1"), (KlEstimator::K3, "k3")] {
        let found = kl(estimator, &logprobs, &reference);
        // Nine digits of either argument.
        assert_close(&floats(&found), &numbers(&golden[name]), 1e-7);
    }
}

/// TRL divides by the temperature + 1e-7, Attune by the temperature.
#[test]
fn logprobs_and_entropy_at_a_temperature_are_trls() {
    for case in golden("logprobs").as_array().unwrap() {
        let logits = tensor(&case["logits"]).view([3, 7]) / case["temperature"].as_f64().unwrap();
        let ids = tensor(&case["ids"]).to_kind(Kind::Int64);
        let found = token_logprobs(&logits, &ids);
        assert_close(&floats(&found), &numbers(&case["logprobs"]), 1e-6);
        assert_close(&floats(&entropy(&logits)), &numbers(&case["entropy"]), 1e-6);
    }
}

#[test]
fn the_bradley_terry_loss_is_trls_with_and_without_margins_and_centering() {
    let golden = golden("bradley_terry");
    let (chosen, rejected) = (tensor(&golden["chosen"]), tensor(&golden["rejected"]));
    let margins = tensor(&golden["margin"]);
    let coefficient = golden["center_rewards_coefficient"].as_f64().unwrap();
    for (margins, coefficient, name) in [
        (None, 0.0, "loss"),
        (Some(&margins), 0.0, "loss_margin"),
        (None, coefficient, "loss_centered"),
    ] {
        let loss = bradley_terry(&chosen, &rejected, margins, None, coefficient);
        assert_close(&[scalar(&loss)], &numbers(&golden[name]), 1e-8);
    }
}

#[test]
fn the_dpo_loss_and_its_gradient_are_the_papers() {
    let (beta, chosen, rejected) = (0.3, [1.0, -2.0, 0.5], [0.5, 1.0, 0.5]);
    let [winners, losers] =
        [chosen, rejected].map(|side| Tensor::from_slice(&side).set_requires_grad(true));
    let loss = dpo(&winners, &losers, beta);
    loss.backward();
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    let margins: Vec<f64> = chosen.iter().zip(&rejected).map(|(w, l)| beta * (w - l)).collect();
    let expected = -margins.iter().map(|margin| sigmoid(*margin).ln()).sum::<f64>() / 3.0;
    assert_close(&[scalar(&loss)], &[expected], 1e-12);
    // ∇ = −β σ(−margin), eq. 7's gradient, over the number of pairs.
    let gradient: Vec<f64> = margins.iter().map(|margin| -beta * sigmoid(-margin) / 3.0).collect();
    assert_close(&floats(&winners.grad()), &gradient, 1e-12);
    let opposite: Vec<f64> = gradient.iter().map(|value| -value).collect();
    assert_close(&floats(&losers.grad()), &opposite, 1e-12);
}

#[test]
fn the_kto_loss_and_its_gradient_are_the_papers() {
    let (beta, z, ratios) = (0.3, 0.4, [1.0, -2.0, 0.5]);
    let (signs, weights) = ([1.0, -1.0, -1.0], [1.5, 1.0, 1.0]);
    let log_ratios = Tensor::from_slice(&ratios).set_requires_grad(true);
    let of = |values: &[f64]| Tensor::from_slice(values);
    let loss = kto(&log_ratios, &of(&signs), &of(&weights), beta, z);
    loss.backward();
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    // A good answer: 1 − σ(β (Δ − z)); a bad one: 1 − σ(β (z − Δ)).
    let values = [
        sigmoid(beta * (ratios[0] - z)),
        sigmoid(beta * (z - ratios[1])),
        sigmoid(beta * (z - ratios[2])),
    ];
    let expected: f64 =
        values.iter().zip(&weights).map(|(value, weight)| weight * (1.0 - value)).sum::<f64>()
            / 3.0;
    assert_close(&[scalar(&loss)], &[expected], 1e-12);
    let gradient: Vec<f64> = (0..3)
        .map(|row| -weights[row] * signs[row] * beta * values[row] * (1.0 - values[row]) / 3.0)
        .collect();
    assert_close(&floats(&log_ratios.grad()), &gradient, 1e-12);
}
