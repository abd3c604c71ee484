//! What people do: which task somebody gets ([`assignment`]), what they said of it ([`judgement`]),
//! and all that is particular to a kind of task ([`kinds`]).

pub mod assignment;
pub mod counts;
pub mod form;
pub mod held_task;
pub mod judgement;
pub mod kinds;
pub mod shown_answers;
pub mod task_view;
pub mod tasks;

#[cfg(test)]
mod tests;
