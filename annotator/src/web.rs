//! What every request passes ([`request_log`], [`session`], [`csrf`], [`streams`],
//! [`watched_streams`], [`principal`], [`access`], [`of`], [`error`], [`error_pages`]) and every
//! page shows ([`page`], [`form`], [`message`],
//! [`i18n`], [`mod@format`], [`address`], [`markdown`], [`shown_text`],
//! [`assets`]).

pub mod access;
pub mod address;
pub mod assets;
pub mod csrf;
pub mod error;
pub mod error_pages;
pub mod form;
pub mod format;
pub mod i18n;
pub mod markdown;
pub mod message;
pub mod of;
pub mod once;
pub mod page;
pub mod principal;
pub mod request_log;
pub mod session;
pub mod shown_text;
pub mod streams;
pub mod typed;
pub mod watched_streams;
