//! What a run is besides its algorithm: where it computes ([`environment`]), which rows a step sees
//! ([`batches`]), how it can be stopped and resumed ([`checkpoint`], `session`, `identity`), how its
//! command line runs it (`execute`), how it tells that nothing came of it (`failure`), and where what it tells goes ([`reporter`]).

pub mod batches;
pub mod checkpoint;
pub mod environment;
pub(crate) mod execute;
pub(crate) mod failure;
pub(crate) mod identity;
pub(crate) mod openmp;
pub mod reporter;
pub(crate) mod session;
#[cfg(test)]
pub(crate) mod told;
