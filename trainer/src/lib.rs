//! Trains language models from people's answers and judgements.
//!
//! In reading order:
//!
//! 1. [`cli`]: the verbs and their flags; [`job`]: what every verb reports and returns.
//! 2. [`tokenizer`], [`chat_template`], [`data`]: from a JSONL row to token ids, as TRL does it.
//! 3. [`math`]: the pure tensor mathematics, checked against PyTorch and TRL; draws by key; the
//!    optimiser.
//! 4. [`model`]: Hugging Face folders in and out, one padding-free forward pass for the
//!    Llama, Qwen2 and Qwen3 families.
//! 5. [`run`] and [`progress`]: what a run is besides its algorithm: environment, batches,
//!    checkpoints, reports.
//! 6. [`algorithms`]: one per file, each read top to bottom.
//! 7. [`answer`]: using a model: decoding, sampling, log-probabilities, scores, live answers.
//! 8. [`fetch`]: a base from the hub or from a GGUF file; [`doctor`]: whether this machine can train;
//!    [`worker`]: runs from the database, each
//!    in a child process that is this same command line.
//!
//! **Invariant:** `math::ops` does no I/O. **Invariant:** all `unsafe` is in `ffi`.

pub mod cli;
pub mod job;
pub mod progress;

pub mod chat_template;
pub mod data;
pub mod tokenizer;

pub mod math;
pub mod model;

pub mod run;

pub mod algorithms;
pub mod answer;

pub mod doctor;
pub mod fetch;
pub mod worker;

mod ffi;
#[cfg(test)]
mod fixtures;
