//! The two places where the programs meet, opened and written to in the same way by both.
//!
//! 1. The database: [`database`] (opening it), [`writing`] (transactions that write), [`write_batch`] (statements
//!    that go together),
//!    [`lookup`] (rows by many values), [`clock`] (the time that all share), [`statements`] and [`write_totals`] (what is sent to it), [`schema`] (which version of the tables this is),
//!    [`database_problem`] (why it cannot be used, in words), [`storable`] (what no database takes).
//! 2. The artifact store: [`artifact_store`] (folders by hash), [`base_model`] (how a base is
//!    registered), [`folder_files`] (what is in a folder from elsewhere).
//!
//! **Invariant:** this crate links no libtorch and knows no page.

pub mod clock;
pub mod database;
pub mod database_problem;
pub mod lookup;
pub mod schema;
mod sqlite_settings;
pub mod statements;
pub mod storable;
pub mod write_batch;
pub mod write_totals;
pub mod writing;

pub mod artifact_store;
pub mod base_model;
pub mod folder_files;
