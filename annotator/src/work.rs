//! What people do, in reading order:
//!
//! 1. [`tasks`] (what is asked), [`assignment`] (who is given it, and what becomes of that),
//!    [`overtaking`] (which window is newer), [`judgement`] (what was said, stored), [`drafts`]
//!    (what is typed and not sent), [`counts`] (what waits and what is done).
//! 2. [`kinds`]: all that is particular to a kind of task.
//! 3. [`form`], [`task_view`], [`shown_answers`], [`held_task`]: what a task's page is made of.

pub mod assignment;
pub mod counts;
pub mod drafts;
pub mod form;
pub mod held_task;
pub mod judgement;
pub mod kinds;
pub mod overtaking;
pub mod shown_answers;
pub mod task_view;
pub mod tasks;

#[cfg(test)]
mod tests;
