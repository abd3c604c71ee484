//! What trains: one algorithm per file, each read top to bottom.

pub mod dpo;
pub mod ppo;
pub mod pretrain;
pub mod reward;
pub mod sft;
