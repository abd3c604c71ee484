//! The web app in which people teach a language model. In reading order:
//!
//! 1. [`config`] (what is typed), [`app`] (build, then run) and [`routes`] (the site map).
//! 2. What every request passes: [`request_log`], [`session`], [`csrf`], [`access`] (roles as
//!    argument types), [`error`] (one error, its statuses and pages), [`page`] and [`i18n`] (what
//!    every page shows), [`assets`] (the embedded files).
//! 3. People: [`auth`], [`projects`], [`audit`], [`first_start`], [`create_user`].
//!    What becomes of what nobody wants: [`deletion`], [`disk_use`].
//! 4. Their work: [`prompts`], [`texts`], [`assignment`] (which task next), [`judgement`] (what
//!    was said), [`lease_sweep`], [`import`], [`export`].
//! 5. The engineers' side: [`dataset`] (freezing what people said), [`artifacts`], [`launch`],
//!    [`lineage`] (which models learnt from what),
//!    [`run_feed`] (a run's events to its viewers), [`run_digest`] (what it said, sorted out),
//!    [`sample_tasks`] (answers become tasks),
//!    [`notices`], [`base_model`], [`model_facts`] (what is said of a model before it is chosen),
//!    [`live_models`] (to talk to), [`worker_process`], all kept going by [`background`].
//! 6. [`handlers`]: the pages.
//!
//! **Invariant:** this crate never links libtorch, and starts in well under a second.
//!
//! **Invariant:** in a blind task nothing that reaches the browser tells which model wrote an
//! answer: pages name sides, never completions, models or runs.

pub mod app;
pub mod config;
pub mod routes;

pub mod access;
pub mod assets;
pub mod csrf;
pub mod error;
pub mod i18n;
pub mod page;
pub mod request_log;
pub mod session;

pub mod audit;
pub mod auth;
pub mod create_user;
pub mod deletion;
pub mod disk_use;
pub mod first_start;
pub mod projects;

pub mod assignment;
pub mod database;
pub mod export;
pub mod import;
pub mod judgement;
pub mod lease_sweep;
pub mod markdown;
pub mod prompts;
pub mod texts;

pub mod artifacts;
pub mod background;
pub mod base_model;
pub mod dataset;
pub mod launch;
pub mod lineage;
pub mod live_models;
pub mod model_facts;
pub mod notices;
pub mod run_digest;
pub mod run_feed;
pub mod sample_tasks;
pub mod worker_process;

pub mod handlers;

#[cfg(test)]
mod work_tests;
