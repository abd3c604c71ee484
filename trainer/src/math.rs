//! The mathematics: what is pure ([`ops`]), draws by key ([`random`]), how an optimiser walks
//! ([`optimizer`], [`schedule`]), and how sure a measured number is (`statistics`).

pub mod ops;
pub mod optimizer;
pub mod random;
pub mod schedule;
pub(crate) mod statistics;
