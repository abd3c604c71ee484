//! What a run is besides its algorithm: where it computes ([`environment`]), which rows a step sees
//! ([`trainer_base::batches`]), how it can be stopped and resumed ([`checkpoint`], `journal`, `identity`), which
//! model it keeps (`best`), what a
//! supervised run holds besides its loop (`session`), how its
//! command line runs it (`execute`), what it would take (`forecast`, `estimate`), how it tells that nothing came of it (`failure`), and where what
//! it tells goes ([`reporter`]).

pub(crate) mod best;
pub mod checkpoint;
pub mod environment;
pub(crate) mod estimate;
pub(crate) mod execute;
pub(crate) mod failure;
pub(crate) mod forecast;
pub(crate) mod identity;
pub(crate) mod journal;
pub(crate) mod library_settings;
#[cfg(test)]
pub(crate) mod recording;
pub mod reporter;
pub(crate) mod row_use;
pub(crate) mod session;
pub(crate) mod written;
pub(crate) use trainer_base::evaluation;
