//! What is kept on the disk, for whom and how long: artifacts, deletion, disk use, backups.

pub mod artifacts;
pub mod backup;
pub mod deletion;
pub mod disk_use;
pub mod erasure;
pub mod readiness;
pub mod restore;
pub mod verbs;
