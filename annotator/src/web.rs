//! What every request passes ([`request_log`], [`session`], [`csrf`], [`access`], [`error`]) and
//! every page shows ([`page`], [`i18n`], [`format`], [`markdown`], [`assets`]).

pub mod access;
pub mod assets;
pub mod csrf;
pub mod error;
pub mod format;
pub mod i18n;
pub mod markdown;
pub mod page;
pub mod request_log;
pub mod session;
