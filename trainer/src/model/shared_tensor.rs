//! A tensor that several owners hold.

use std::ops::Deref;
use tch::Tensor;

/// A tensor whose copies are the same tensor: memory, gradient and place in the graph.
#[derive(Debug)]
pub(crate) struct SharedTensor(Tensor);

impl Clone for SharedTensor {
    fn clone(&self) -> Self {
        Self(self.0.shallow_clone())
    }
}

impl Deref for SharedTensor {
    type Target = Tensor;

    fn deref(&self) -> &Tensor {
        &self.0
    }
}

impl From<Tensor> for SharedTensor {
    fn from(tensor: Tensor) -> Self {
        Self(tensor)
    }
}
