//! The pages: one file per URL noun, its templates in the folder of the same name.

pub mod admin;
pub mod compare;
pub mod datasets;
pub mod demonstrate;
pub mod health;
pub mod home;
pub mod judgement;
pub mod models;
pub mod notices;
pub mod people;
pub mod project;
pub mod prompt;
pub mod prompts;
pub mod runs;
pub mod settings;
pub mod sign_in;
pub mod task;
