//! What people are asked and what they said, as data: prompts and texts, the formats of rows, files in
//! and out, dataset versions, and the lineage from a judgement to the models that learnt from it.

pub mod dataset;
pub mod export;
pub mod formats;
pub mod import;
pub mod lineage;
pub mod prompts;
pub mod scratch;
pub mod texts;
pub mod uploads;
pub mod withdrawal;
