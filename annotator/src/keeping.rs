//! What is kept on the disk, for whom and how long: artifacts, deletion, disk use.

pub mod artifacts;
pub mod deletion;
pub mod disk_use;
