//! What happens at the start and beside the requests: the first account and project, the local
//! worker, and what is done again and again.

pub mod background;
pub mod create_user;
pub mod first_start;
pub mod lease_sweep;
pub mod reset_password;
pub mod worker_process;
