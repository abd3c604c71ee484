//! The web app in which people teach a language model. In reading order:
//!
//! 1. [`config`] (what is typed), [`app`] (build, then run), [`routes`] (the site map),
//!    [`database`], [`metrics`].
//! 2. The rooms, each with what is known and done of one matter: [`people`], [`work`], [`data`],
//!    [`training`], [`models`], [`keeping`].
//! 3. [`web`]: what every request passes and every page shows.
//! 4. [`pages`]: one folder per room, one file per page.
//! 5. [`start`]: what happens at the start and beside the requests.
//!
//! **Invariant:** this crate never links libtorch, and starts in well under a second.
//!
//! **Invariant:** rooms know nothing of pages, and no two modules import each other in a circle.
//!
//! **Invariant:** in a blind task nothing that reaches the browser tells which model wrote an
//! answer: pages name sides, never completions, models or runs.

pub mod app;
pub mod config;
pub mod database;
pub mod metrics;
pub mod routes;

pub mod data;
pub mod keeping;
pub mod models;
pub mod people;
pub mod training;
pub mod work;

pub mod pages;
pub mod start;
pub mod web;
