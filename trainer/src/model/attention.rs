//! Rotary positions and causal attention, shared by training and decoding.

use super::packed::{BucketRows, LengthBucket, PackedBatch};
use std::f64::consts::TAU;
use tch::{Device, Kind, Tensor};
use trainer_base::model_config::{ModelConfig, RopeConfig};

/// Rotations for the positions of one batch.
///
/// A head's halves (x₁, x₂) turn into (x₁ cos − x₂ sin, x₂ cos + x₁ sin) (Su et al. 2021, in Hugging
/// Face's order of the rows). `sin` holds −sin in its first half, so that the rotation is one
/// product and one fused multiply-add with the halves swapped.
#[derive(Debug)]
pub(crate) struct RotaryFactors {
    cos: Tensor,
    sin: Tensor,
    /// Times 1/√d.
    query_cos: Tensor,
    query_sin: Tensor,
}

/// Radians per position of each pair of rows: (head_dim / 2), f32.
pub(crate) fn inverse_frequencies(rope: &RopeConfig, head_dim: i64, device: Device) -> Tensor {
    let exponents =
        Tensor::arange_start_step(0, head_dim, 2, (Kind::Float, device)) / head_dim as f64;
    let plain = Tensor::from(rope.theta)
        .to_kind(Kind::Float)
        .to_device(device)
        .pow(&exponents)
        .reciprocal();
    let Some(scaling) = &rope.llama3 else { return plain };
    let original = scaling.original_max_position_embeddings;
    let wavelength = TAU / &plain;
    let slow = &plain / scaling.factor;
    let smooth = (original / &wavelength - scaling.low_freq_factor)
        / (scaling.high_freq_factor - scaling.low_freq_factor);
    let blended: Tensor = (1.0 - &smooth) * &slow + &smooth * &plain;
    let result = blended.where_self(&wavelength.ge(original / scaling.high_freq_factor), &plain);
    result.where_self(&wavelength.le(original / scaling.low_freq_factor), &slow)
}

impl RotaryFactors {
    /// For `positions` (T) in the precision `kind`.
    pub(crate) fn new(inverse_frequencies: &Tensor, positions: &Tensor, kind: Kind) -> Self {
        let angles = positions.to_kind(Kind::Float).unsqueeze(1) * inverse_frequencies; // (T, d/2)
        let (cos, sin) = (angles.cos(), angles.sin());
        let cos = Tensor::cat(&[&cos, &cos], 1).unsqueeze(1); // (T, 1, d)
        let sin = Tensor::cat(&[&-&sin, &sin], 1).unsqueeze(1);
        let scale = 1.0 / (cos.size()[2] as f64).sqrt();
        Self {
            query_cos: (&cos * scale).to_kind(kind),
            query_sin: (&sin * scale).to_kind(kind),
            cos: cos.to_kind(kind),
            sin: sin.to_kind(kind),
        }
    }

    /// Keys in their places: (T, heads, d) → the same.
    pub(crate) fn key(&self, x: &Tensor) -> Tensor {
        rotate(x, &self.cos, &self.sin)
    }

    /// Queries in their places, **divided by √d**: (T, heads, d) → the same. Scores are then plain
    /// products of queries and keys.
    pub(crate) fn query(&self, x: &Tensor) -> Tensor {
        rotate(x, &self.query_cos, &self.query_sin)
    }
}

fn rotate(x: &Tensor, cos: &Tensor, sin: &Tensor) -> Tensor {
    let (t, heads, d) = x.size3().expect("(T, heads, d)");
    let swapped = x.view([t, heads, 2, d / 2]).flip([2]).view([t, heads, d]);
    (x * cos).addcmul(&swapped, sin)
}

/// Sequences up to this long attend by two matrix products: faster than the fused kernel on a CPU,
/// at the price of keeping the weights of every pair of places.
const MATMUL_UP_TO: i64 = 512;

/// Causal attention inside each sequence: q (T, heads, d) from [`RotaryFactors::query`], k and v
/// (T, kv heads, d) → (T, heads · d).
pub(crate) fn causal_attention(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    batch: &PackedBatch,
    config: &ModelConfig,
) -> Tensor {
    let attend = |bucket: &LengthBucket| {
        let [q, k, v] = [q, k, v].map(|x| gather(x, bucket)); // (n, L, heads, d)
        let by_matmul = bucket.length <= MATMUL_UP_TO && q.device() == Device::Cpu;
        let mixed = if by_matmul { by_matmuls(&q, &k, &v) } else { by_fused_kernel(&q, &k, &v) };
        mixed.reshape([bucket.n * bucket.length, config.n_heads * config.head_dim])
    };
    let mixed = match batch.buckets.as_slice() {
        [bucket] => attend(bucket),
        buckets => Tensor::cat(&buckets.iter().map(attend).collect::<Vec<_>>(), 0),
    };
    match &batch.restore {
        Some(places) => mixed.index_select(0, places),
        None => mixed,
    }
}

/// The bucket's rows, filled up: (T, heads, d) → (n, L, heads, d)
fn gather(x: &Tensor, bucket: &LengthBucket) -> Tensor {
    let (_, heads, d) = x.size3().expect("(T, heads, d)");
    let rows = match &bucket.rows {
        BucketRows::From(start) => x.narrow(0, *start, bucket.n * bucket.length),
        BucketRows::Listed(rows) => x.index_select(0, rows),
    };
    rows.view([bucket.n, bucket.length, heads, d])
}

/// Scores of the query heads that share a key-value head in one product: (n, L, heads, d) → the same
fn by_matmuls(q: &Tensor, k: &Tensor, v: &Tensor) -> Tensor {
    let (n, l, heads, d) = q.size4().expect("(n, L, heads, d)");
    let kv = k.size()[2];
    let group = heads / kv;
    let q = q.view([n, l, kv, group, d]).permute([0, 2, 3, 1, 4]).reshape([n * kv, group * l, d]);
    let k = k.permute([0, 2, 3, 1]).reshape([n * kv, d, l]);
    let v = v.permute([0, 2, 1, 3]).reshape([n * kv, l, d]);
    let future = Tensor::full([l, l], f64::NEG_INFINITY, (q.kind(), q.device())).triu(1);
    let mut scores = q.bmm(&k).view([n * kv, group, l, l]);
    let _ = scores.g_add_(&future);
    // In f32 whatever the precision.
    let weights = scores.softmax(-1, Kind::Float).to_kind(v.kind()).view([n * kv, group * l, l]);
    weights.bmm(&v).view([n, kv, group, l, d]).permute([0, 3, 1, 2, 4])
}

/// The same in a kernel that never stores the weights.
fn by_fused_kernel(q: &Tensor, k: &Tensor, v: &Tensor) -> Tensor {
    let group = q.size()[2] / k.size()[2];
    let [q, k, v] = [q, k, v].map(|x| x.transpose(1, 2)); // (n, heads, L, d)
    let [k, v] = [k, v]
        .map(|x| if group == 1 { x } else { x.repeat_interleave_self_int(group, 1, None::<i64>) });
    let no_mask = None::<&Tensor>;
    Tensor::scaled_dot_product_attention(&q, &k, &v, no_mask, 0.0, true, 1.0, false).transpose(1, 2)
}
