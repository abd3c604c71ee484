//! The pages: one file per URL noun, its templates in the folder of the same name.

pub mod admin;
pub mod home;
pub mod people;
pub mod project;
pub mod settings;
pub mod sign_in;
