//! The mathematics: what is pure ([`ops`]), draws by key ([`random`]), and how an optimiser walks
//! ([`optimizer`], [`schedule`]).

pub mod ops;
pub mod optimizer;
pub mod random;
pub mod schedule;
