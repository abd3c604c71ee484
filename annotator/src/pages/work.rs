//! Tasks, and what was said of them.

pub mod judgement;
pub mod task;
