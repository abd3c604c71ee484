//! The mathematics: what is pure ([`ops`]), how an optimiser walks
//! ([`optimizer`], [`schedule`]), and how sure a measured number is (`statistics`).

pub mod ops;
pub mod optimizer;
pub mod schedule;
pub(crate) mod statistics;
