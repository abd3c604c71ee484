//! Prompts and dataset versions.

pub mod datasets;
pub mod imports;
pub mod prompt;
pub mod prompts;
pub mod withdraw_prompt;
