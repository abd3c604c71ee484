//! The pages: a folder per room, a file per page with its struct and handlers. Templates lie in the
//! folders that their addresses name.

pub mod data;
pub mod health;
pub mod keeping;
pub mod models;
pub mod people;
pub mod training;
pub mod work;
