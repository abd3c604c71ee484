//! Trains language models from people's answers and judgements.
//!
//! In reading order:
//!
//! 1. [`cli`]: the verbs and their flags; [`job`]: what every verb reports and returns;
//!    [`reporter`]: where that goes.
//! 2. [`tokenizer`], [`chat_template`], [`data`]: from a JSONL row to token ids, as TRL does it.
//! 3. [`model`]: Hugging Face folders in and out, one padding-free forward pass for the
//!    Llama, Qwen2 and Qwen3 families.
//! 4. [`ops`]: the pure tensor mathematics, checked against PyTorch and TRL; [`random`]: draws by
//!    key; [`optimizer`], [`schedule`], [`batches`], [`checkpoint`], [`progress`], [`environment`].
//! 5. One algorithm per file, each read top to bottom: [`pretrain`], [`sft`], [`reward`],
//!    [`dpo`], [`ppo`].
//! 6. Using a model: [`generate`] (KV cache, sampling), [`sample`], [`logprobs`], [`score`].
//! 7. [`fetch`]: a base from the hub or from a GGUF file; [`doctor`]: whether this machine can train;
//!    [`worker`]: runs from the database, each
//!    in a child process that is this same command line.
//!
//! **Invariant:** `ops` does no I/O. **Invariant:** all `unsafe` is in `ffi`.

pub mod cli;
pub mod job;
pub mod reporter;

pub mod chat_template;
pub mod data;
pub mod tokenizer;

pub mod model;

pub mod batches;
pub mod checkpoint;
pub mod environment;
mod identity;
mod openmp;
pub mod ops;
pub mod optimizer;
pub mod progress;
pub mod random;
pub mod schedule;
mod session;
mod show;

pub mod dpo;
pub mod ppo;
pub mod pretrain;
pub mod reward;
pub mod sft;

pub mod generate;
pub mod logprobs;
pub mod sample;
pub mod score;
pub mod serve;

pub mod doctor;
pub mod fetch;
pub mod worker;

mod ffi;
#[cfg(test)]
mod fixtures;
