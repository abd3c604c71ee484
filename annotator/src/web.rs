//! What every request passes ([`connection`], [`request_log`], [`security_headers`], [`prefetch`], [`session`],
//! [`form_guard`] with [`request_body`] and [`csrf`], [`streams`], [`watched_streams`],
//! [`principal`], [`access`], [`of`], [`error`],
//! [`error_pages`] with [`sent_form`]), what is known of a browser ([`client_address`], [`cookies`], [`known_browser`]),
//! and what every page shows ([`page`], [`form`], [`message`], [`i18n`], [`mod@format`], [`address`],
//! [`markdown`], [`shown_text`], [`assets`]).

pub mod access;
pub mod address;
pub mod assets;
pub mod client_address;
pub mod connection;
pub mod cookies;
pub mod csrf;
pub mod error;
pub mod error_pages;
pub mod form;
pub mod form_guard;
pub mod format;
pub mod i18n;
pub mod known_browser;
pub mod list_part;
pub mod markdown;
pub mod message;
pub mod of;
pub mod once;
pub mod page;
pub mod prefetch;
pub mod principal;
pub mod request_body;
pub mod request_log;
pub mod security_headers;
pub mod sent_form;
pub mod session;
pub mod shown_text;
pub mod streams;
pub mod typed;
pub mod watched_streams;
