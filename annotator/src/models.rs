//! Models: offering a folder as a base, what is known of a model, and models that answer live.

pub mod base_folder;
pub mod facts;
pub mod files;
pub mod live;
pub mod new_base;
pub mod registry;
pub mod trainer_program;
