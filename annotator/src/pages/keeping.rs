//! Deleting models and projects, and who holds how much of the disk.

pub mod delete_model;
pub mod delete_project;
pub mod disk;
pub mod erasures;
pub mod personal_data;
