//! Trains language models from people's answers and judgements.
//!
//! In reading order; [`trainer_base`] has what needs no libtorch: settings and flags, TRL's rows, the
//! tokenizer, the hub, the worker.
//!
//! 1. [`cli`]: from what was typed to how it ended.
//! 2. [`math`]: the pure tensor mathematics, checked against PyTorch and TRL; draws by key; the
//!    optimiser.
//! 3. [`model`]: Hugging Face folders in and out, one padding-free forward pass for the
//!    Llama, Qwen2 and Qwen3 families.
//! 4. [`run`]: what a run is besides its algorithm: environment, batches, checkpoints, reports.
//! 5. [`answer`]: using a model: decoding, sampling, log-probabilities, scores, live answers.
//! 6. [`algorithms`]: one per file, each read top to bottom.
//! 7. [`eval`]: a model judged by what training measures on held-out rows.
//! 8. [`fetch`]: a base from the hub or from a GGUF file; [`merge`]: adapters and their base as one
//!    model; [`doctor`]: whether this machine can train.
//!
//! `tensor_file` reads and writes safetensors files.
//!
//! **Invariant:** `math::ops` does no I/O. **Invariant:** all `unsafe` is in `ffi`.

pub mod cli;

pub mod math;
pub mod model;

pub mod run;

pub mod answer;

pub mod algorithms;

pub mod eval;

pub mod doctor;
pub mod fetch;
pub mod merge;

mod ffi;
#[cfg(test)]
mod fixtures;
mod tensor_file;
