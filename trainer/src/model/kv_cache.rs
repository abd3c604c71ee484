//! The keys and values of sequences that are being decoded, in memory reserved once.

use super::Transformer;
use tch::{Kind, Tensor};

/// Keys and values of up to `slots` live sequences, each in its own slot.
///
/// The live sequences always are the first slots, in order, so that a batch is a view of the
/// cache and nothing is copied to decode.
pub struct KvCache {
    /// Per layer: keys and values, both (slots, kv heads, capacity, head size).
    pub(super) layers: Vec<(Tensor, Tensor)>,
    /// Tokens in each live slot.
    lengths: Vec<i64>,
    /// How far back layers with a window see.
    window: Option<i64>,
}

/// A prompt's keys and values.
pub struct PromptCache {
    /// Per layer: keys and values, both (kv heads, tokens, head size).
    pub(super) layers: Vec<(Tensor, Tensor)>,
    pub(super) length: i64,
}

/// Where one decoding step reads and writes.
pub(super) struct DecodeStep {
    /// The place of the new token in each sequence: (B).
    pub(super) positions: Tensor,
    rows: Tensor,
    /// 0 where a sequence has a token, −∞ where it has none: (B, 1, 1, L).
    mask: Tensor,
    /// The same for layers with a window, −∞ also where a token is too far back.
    window_mask: Option<Tensor>,
    n_live: i64,
    longest: i64,
}

impl DecodeStep {
    /// For a layer with this window.
    pub(super) fn mask(&self, window: Option<i64>) -> &Tensor {
        self.window_mask.as_ref().filter(|_| window.is_some()).unwrap_or(&self.mask)
    }
}

impl KvCache {
    /// Room for `slots` sequences of `capacity` tokens, prompt and answer together.
    pub fn new(model: &Transformer, slots: usize, capacity: usize) -> Self {
        let config = &model.config;
        let shape = [slots as i64, config.n_kv_heads, capacity as i64, config.head_dim];
        // Zeros, not whatever was there: a masked value is multiplied by 0, and 0 × NaN is NaN.
        let room = || Tensor::zeros(shape, (model.kind, model.device));
        let layers = (0..config.n_layers).map(|_| (room(), room())).collect();
        let window = config.window.as_ref().map(|window| window.size);
        Self { layers, lengths: Vec::new(), window }
    }

    /// Starts a sequence in a slot, which must be the first free one.
    pub fn fill(&mut self, slot: usize, prompt: &PromptCache) {
        assert_eq!(slot, self.lengths.len());
        for ((keys, values), (prompt_keys, prompt_values)) in self.layers.iter().zip(&prompt.layers)
        {
            for (cached, given) in [(keys, prompt_keys), (values, prompt_values)] {
                cached.get(slot as i64).narrow(1, 0, prompt.length).copy_(given);
            }
        }
        self.lengths.push(prompt.length);
    }

    /// Ends a sequence; the last live one moves into its slot, as with `Vec::swap_remove`.
    pub fn remove(&mut self, slot: usize) {
        let last = self.lengths.len() - 1;
        let length = self.lengths[last];
        if slot != last {
            for cached in self.layers.iter().flat_map(|(keys, values)| [keys, values]) {
                let moved = cached.get(last as i64).narrow(1, 0, length);
                cached.get(slot as i64).narrow(1, 0, length).copy_(&moved);
            }
        }
        self.lengths.swap_remove(slot);
    }

    /// Makes room for one more token in each live sequence.
    pub(super) fn advance(&mut self) -> DecodeStep {
        let device = self.layers[0].0.device();
        let n_live = self.lengths.len() as i64;
        let positions = Tensor::from_slice(&self.lengths).to_device(device);
        for length in &mut self.lengths {
            *length += 1;
        }
        let longest = self.lengths.iter().copied().max().unwrap_or(0);
        let places = Tensor::arange(longest, (Kind::Int64, device));
        let beyond = places.unsqueeze(0).gt_tensor(&positions.unsqueeze(1)); // (B, L)
        let open = Tensor::zeros([n_live, longest], (self.layers[0].0.kind(), device));
        let closed = |places: &Tensor| {
            open.masked_fill(places, f64::NEG_INFINITY).view([n_live, 1, 1, longest])
        };
        let window_mask = self.window.filter(|window| *window < longest).map(|window| {
            let too_far = places.unsqueeze(0).le_tensor(&(&positions - window).unsqueeze(1));
            closed(&too_far.logical_or(&beyond))
        });
        let mask = closed(&beyond);
        let rows = Tensor::arange(n_live, (Kind::Int64, device));
        DecodeStep { positions, rows, mask, window_mask, n_live, longest }
    }

    /// Writes the new token's keys and values, both (B, kv heads, head size), and returns all of
    /// the layer's so far, both (B, kv heads, L, head size).
    pub(super) fn append(
        &mut self,
        layer: usize,
        step: &DecodeStep,
        keys: &Tensor,
        values: &Tensor,
    ) -> (Tensor, Tensor) {
        let place = [Some(&step.rows), None, Some(&step.positions)];
        let (all_keys, all_values) = &mut self.layers[layer];
        let _ = all_keys.index_put_(&place, keys, false);
        let _ = all_values.index_put_(&place, values, false);
        let live = |cached: &Tensor| cached.narrow(0, 0, step.n_live).narrow(2, 0, step.longest);
        (live(all_keys), live(all_values))
    }
}
