//! Giving up what is wanted no more: a model's weights, or a project with all that it holds.
//!
//! A deletion is a mark on a row. The row stays, so that lineage is told in both directions for
//! ever; the files leave the disk afterwards, and where a crash comes between, [`sweep`] makes up
//! for it.
//!
//! **Invariants:**
//! - What a person wrote stays in the database.
//! - A run that waits or works finds what it reads: whoever queues one holds its project and models
//!   ([`hold`]), whoever deletes sets the mark first and then looks for runs.
//! - An artifact is removed when nothing needs it ([`needs`]), and only one that this database has
//!   recorded: what another installation keeps in the same folder is left alone.

pub mod hold;
pub mod models;
pub mod needs;
pub mod projects;
pub mod sweep;
