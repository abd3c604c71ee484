//! Signing in, one's own settings and notices, accounts, projects and their members.

pub mod accounts;
pub mod audit;
pub mod audit_export;
pub mod audit_words;
pub mod home;
pub mod members;
pub mod notices;
pub mod project;
pub mod settings;
pub mod sign_in;
pub mod welcome;
