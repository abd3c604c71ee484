//! The kinds of task, one file each.

pub mod compare;
pub mod demonstrate;
