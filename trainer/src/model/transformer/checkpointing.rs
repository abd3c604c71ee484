//! Gradient checkpointing (Chen et al. 2016; transformers: `gradient_checkpointing`): a layer keeps its
//! input alone for the backward pass, which computes the layer once more when it comes to it.

use super::{
    Transformer,
    layer::{DecoderLayer, LayerPass},
};
use crate::ffi;
use std::sync::Arc;
use tch::Tensor;

impl Transformer {
    /// The model, which keeps inputs of layers from now on where it learns, or all that they compute.
    pub(crate) fn with_gradient_checkpointing(self, wanted: bool) -> Self {
        Self { gradient_checkpointing: wanted, ..self }
    }

    /// A layer's output, x (T, D) → (T, D): the same numbers and gradients with checkpoints and without.
    pub(super) fn through(&self, layer: &DecoderLayer, x: &Tensor, pass: LayerPass) -> Tensor {
        if !(self.gradient_checkpointing && ffi::is_grad_enabled()) {
            return layer.forward(x, &pass);
        }
        let draws = self.adapted.as_ref().map(|adapted| Arc::clone(&adapted.draws));
        let first = draws.as_ref().map(|draws| draws.next_key());
        // With a graph, which goes at once: so dropout happens, and every operator has the kernel that it
        // has when the layer is computed once more.
        let y = layer.forward(&x.detach(), &pass);
        let layer = layer.clone();
        let again = move |x: &Tensor| match draws.as_ref().zip(first) {
            None => layer.forward(x, &pass),
            Some((draws, first)) => draws.once_more_from(first, || layer.forward(x, &pass)),
        };
        ffi::computed_once_more(x, &y, again).expect("both are hidden states of one batch")
    }
}
