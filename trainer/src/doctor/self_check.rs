//! A tiny model, forward and backward, beside what PyTorch made of it
//! (`trainer/fixtures/make_self_check.py`).

use super::MachineCheck;
use crate::{
    ffi,
    model::{PackedBatch, Transformer, head, shapes::expected_shapes},
    run::environment::choose_algorithms,
};
use anyhow::Result;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeSet;
use tch::{Cuda, Device, Kind, Tensor};
use trainer_base::model_config::ModelConfig;

/// In the program, which may lie far from the fixtures.
const GOLDEN: &str = include_str!("../../fixtures/self_check.json");

#[derive(Deserialize)]
struct Golden {
    config: Value,
    ids: Vec<i64>,
    loss: f64,
    gradient_norm: f64,
}

/// Loss and gradient norm.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct LossAndNorm {
    pub loss: f64,
    pub gradient_norm: f64,
}

pub(super) fn run() -> Vec<MachineCheck> {
    let mut places = vec![(Kind::Float, Device::Cpu), (Kind::BFloat16, Device::Cpu)];
    if ffi::open_cuda() && Cuda::is_available() {
        places.extend([(Kind::Float, Device::Cuda(0)), (Kind::BFloat16, Device::Cuda(0))]);
    }
    places.into_iter().map(|(kind, device)| check(kind, device)).collect()
}

fn check(kind: Kind, device: Device) -> MachineCheck {
    let golden: Golden = serde_json::from_str(GOLDEN).expect("a committed file");
    let expected = LossAndNorm { loss: golden.loss, gradient_norm: golden.gradient_norm };
    match compute(&golden, kind, device).and_then(|n| Ok([n, compute(&golden, kind, device)?])) {
        Ok(twice) => judge(kind, device, twice, expected),
        Err(error) => MachineCheck::wrong(
            "numbers",
            format!("{}: libtorch refused to compute ({error:#})", place(kind, device)),
            REMEDY,
        ),
    }
}

const REMEDY: &str = "do not train here, the models would be wrong: run `make libtorch` and build \
                      again; if it stays so, the hardware is suspect (memtest86+, or another machine)";

/// Both times the same, and PyTorch's within the rounding of `kind`.
pub(super) fn judge(
    kind: Kind,
    device: Device,
    twice: [LossAndNorm; 2],
    expected: LossAndNorm,
) -> MachineCheck {
    let [first, second] = twice;
    let tolerance = if kind == Kind::Float { 1e-4 } else { 3e-2 };
    // Not a number is near to nothing.
    let near = |ours: f64, golden: f64| (ours - golden).abs() < tolerance * golden;
    let is_right =
        near(first.loss, expected.loss) && near(first.gradient_norm, expected.gradient_norm);
    let found = format!(
        "{}: loss {:.5} and gradient norm {:.5}",
        place(kind, device),
        first.loss,
        first.gradient_norm
    );
    if !is_right {
        MachineCheck::wrong(
            "numbers",
            format!("{found}; PyTorch has {:.5} and {:.5}", expected.loss, expected.gradient_norm),
            REMEDY,
        )
    } else if first != second && device == Device::Cpu {
        MachineCheck::warning(
            "numbers",
            format!("{found}, and others when it is computed again"),
            "a resumed run will not give the same numbers bit for bit: look whether MKL_CBWR or \
             another variable of the math library is set",
        )
    } else {
        MachineCheck::ok("numbers", format!("{found}, as PyTorch has them"))
    }
}

fn place(kind: Kind, device: Device) -> String {
    let device = if device == Device::Cpu { "processor" } else { "GPU" };
    format!("{device} in {}", if kind == Kind::Float { "f32" } else { "bf16" })
}

fn compute(golden: &Golden, kind: Kind, device: Device) -> Result<LossAndNorm> {
    choose_algorithms(device)?;
    let config = ModelConfig::parse(&golden.config.to_string())?;
    let model = model(config, kind, device)?;
    let batch = PackedBatch::new(&[&golden.ids], device);
    let answers = batch.answers(&[1]);
    let hidden = model.hidden(&batch).index_select(0, &answers.rows);
    let n = (golden.ids.len() - 1) as f64;
    let of = |_, logprobs: &Tensor| logprobs.full_like(-1.0 / n);
    let statistics = head::logprobs_backward(&model, &hidden, &answers.ids, 1.0, of)?;
    let squares: Vec<Tensor> = model
        .trainable()
        .iter()
        .map(|parameter| parameter.compute.grad().to_kind(Kind::Double).square().sum(Kind::Double))
        .collect();
    Ok(LossAndNorm {
        loss: -statistics.logprobs.mean(Kind::Double).double_value(&[]),
        gradient_norm: Tensor::stack(&squares, 0).sum(Kind::Double).sqrt().double_value(&[]),
    })
}

/// Weights as the script makes them: numbered in the order of their names.
fn model(config: ModelConfig, kind: Kind, device: Device) -> Result<Transformer> {
    let names: BTreeSet<String> =
        expected_shapes(&config).into_iter().map(|(name, _)| name).collect();
    Transformer::from_weights(config, kind, device, |name, shape| {
        let number = names.range(..name.to_owned()).count() as u64;
        let values = golden_numbers(number, shape.iter().product());
        let weight = Tensor::from_slice(&values).view(shape) / 4.0;
        if name.contains("norm") { weight + 1.0 } else { weight }
    })
}

/// `trainer/fixtures/golden.py`: the top 24 bits of a 64-bit LCG, less a half.
pub(crate) fn golden_numbers(mut seed: u64, n: i64) -> Vec<f32> {
    let mut next = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((seed >> 40) as f64 / f64::from(1 << 24) - 0.5) as f32
    };
    (0..n).map(|_| next()).collect()
}
