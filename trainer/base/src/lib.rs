//! The part of the trainer that needs no libtorch.
//!
//! In reading order:
//!
//! 1. [`settings`]: the verbs, their flags and their files; [`job`]: what every verb reports and
//!    returns; [`progress`]: how far it is.
//! 2. [`tokenizer`], [`chat_template`], [`rows`]: from a JSONL row to token ids, as TRL does it.
//! 3. [`model_files`]: the small files of a model folder, up to a length; [`adapters`]: what a folder says that
//!    holds only what was learnt beside another; [`model_config`]: what it says of its model; [`weights`]: how many numbers it has;
//!    [`random`]: draws by key; [`batches`]: which rows a step sees; [`packing`]: which share a place of a batch; [`evaluation`]: when
//!    held-out rows are measured; [`length_groups`]: which rows attend together; [`memory`]: how much memory a run with it needs.
//! 4. [`hub`]: a base from the Hugging Face hub or from a folder.
//! 5. [`worker`]: runs from the database, each in a child process that is the trainer's command line;
//!    [`checkpoint_folder`]: what it knows of a run's checkpoints; [`child_environment`]: which
//!    variables a child process is given.
//!
//! [`errors`] keep the keys of what they say; [`metrics`] are numbers for Prometheus, of any program.
//!
//! **Invariant:** nothing here links libtorch, so that plain `cargo test` covers it and the web app
//! can use it.

pub mod errors;
pub mod job;
pub mod progress;
pub mod settings;

pub mod chat_template;
pub mod rows;
pub mod tokenizer;

pub mod adapters;
pub mod batches;
pub mod evaluation;
pub mod length_groups;
pub mod memory;
pub mod model_config;
pub mod model_files;
pub mod packing;
pub mod random;
pub mod weights;

pub mod hub;

pub mod checkpoint_folder;
pub mod child_environment;
pub mod metrics;
pub mod worker;

#[cfg(test)]
mod fixtures;
