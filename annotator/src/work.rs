//! What people do: which task somebody gets ([`assignment`]), what they said of it ([`judgement`]),
//! and all that is particular to a kind of task ([`kinds`]).

pub mod assignment;
pub mod judgement;
pub mod kinds;
pub mod task_view;

#[cfg(test)]
mod tests;
