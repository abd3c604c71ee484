//! People: accounts, their passwords and links, projects and who works on them, what they are told of, and
//! who did what.

pub mod account_changes;
pub mod accounts;
pub mod administrators;
pub mod audit;
pub mod audit_log;
pub mod links;
pub mod members;
pub mod notices;
pub mod password_hashing;
pub mod passwords;
pub mod person_name;
pub mod projects;
pub mod sign_in_limit;
