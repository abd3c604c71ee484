//! People: accounts and their passwords, projects and who works on them, what they are told of, and
//! who did what.

pub mod account_changes;
pub mod accounts;
pub mod audit;
pub mod members;
pub mod notices;
pub mod projects;
