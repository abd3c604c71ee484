//! What the two binaries share: the tables, their ids, the configuration of a run and the events a
//! run reports.
//!
//! In reading order:
//!
//! 1. [`ids`], [`time`], [`conversation`], [`hash`], [`mod@message`]: the small types that the rest is written in.
//! 2. People: [`account`], [`account_link`], [`session`], [`membership`], [`project`],
//!    [`audit_log`], [`erasure`].
//! 3. Their work: [`text`], [`prompt`], [`completion`], [`task`], [`task_completion`],
//!    [`assignment`], [`draft`], [`judgement`]; [`import`], a file of it on its way in.
//! 4. Training: [`dataset_version`], [`dataset_version_item`], [`artifact`], [`model`], [`run`],
//!    [`run_input`], [`run_event`].
//! 5. [`run_config`] (what a run was asked to do), [`report`] (what it says while it does it) and
//!    [`row_use`] (what it made of a file of rows).
//! 6. [`unique_json`] (JSON with no name given twice), [`json_problem`] (what is wrong with a row, in
//!    words) and [`log_format`].
//!
//! **Invariant:** this crate keeps no database open and links no libtorch.

pub mod ids;
pub mod time;

pub mod conversation;
pub mod hash;
pub mod message;

pub mod account;
pub mod account_link;
pub mod audit_log;
pub mod erasure;
pub mod membership;
pub mod project;
pub mod session;

pub mod assignment;
pub mod completion;
pub mod draft;
pub mod import;
pub mod judgement;
pub mod prompt;
pub mod task;
pub mod task_completion;
pub mod text;

pub mod artifact;
pub mod dataset_version;
pub mod dataset_version_item;
pub mod model;
pub mod run;
pub mod run_event;
pub mod run_input;

pub mod report;
pub mod row_use;
pub mod run_config;

pub mod json_problem;
pub mod log_format;
pub mod unique_json;
