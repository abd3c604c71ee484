//! A file of rows on its way into a project: checked as a whole, then stored in short transactions.

use crate::{
    dataset_version::DatasetKind,
    ids::{AccountId, ImportId, ProjectId},
    message::KeyedMessage,
    time::UnixMillis,
};
use sea_orm::{FromJsonQueryResult, entity::prelude::*};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// `Waiting → Checking → Storing → Done`, or how else it ended. Only `Storing` changes anything
/// besides this row.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, Deserialize,
)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum ImportState {
    Waiting,
    Checking,
    Storing,
    Done,
    /// Something in the file will not do; nothing was stored.
    Refused,
    /// Somebody stopped it, or deleted its project; what was stored until then stays.
    Cancelled,
    /// It could not go on; what was stored until then stays.
    Failed,
}

/// What a file brought. Rows that were there before are counted apart.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, FromJsonQueryResult)]
#[serde(default)]
pub struct ImportCounts {
    /// New rows by format.
    pub new: BTreeMap<DatasetKind, u64>,
    pub known: u64,
    /// Rows with a text that was erased for the law: nothing came of them.
    pub erased: u64,
}

impl ImportCounts {
    pub fn count(&mut self, kind: DatasetKind, is_new: bool) {
        if is_new {
            *self.new.entry(kind).or_default() += 1;
        } else {
            self.known += 1;
        }
    }

    pub fn include(&mut self, other: &Self) {
        for (kind, n) in &other.new {
            *self.new.entry(*kind).or_default() += n;
        }
        self.known += other.known;
        self.erased += other.erased;
    }

    pub fn new_rows(&self) -> u64 {
        self.new.values().sum()
    }
}

/// A line that is no row, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedLine {
    /// From 1.
    pub line: u64,
    pub reason: KeyedMessage,
}

/// The first of the lines that were refused.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, FromJsonQueryResult)]
#[serde(transparent)]
pub struct RefusedLines(pub Vec<RefusedLine>);

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "import")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: ImportId,
    pub project_id: ProjectId,
    pub created_by: Option<AccountId>,
    /// As the person's machine called it; none for what was pasted.
    pub file_name: Option<String>,
    pub file_hash: String,
    pub n_bytes: i64,
    /// Lines that are no rows are left out, instead of the whole file.
    pub leaves_out: bool,
    pub state: ImportState,
    pub cancel_requested: bool,
    /// Lines looked at so far.
    pub n_lines: i64,
    /// Rows, and lines that are none, once the file was looked through; then rows count among these
    /// of which nothing came, since their texts were erased for the law.
    pub n_rows: i64,
    pub n_refused: i64,
    /// Rows that were stored or were there, and the last line of which that is so.
    pub n_done: i64,
    pub line_done: i64,
    #[sea_orm(column_type = "JsonBinary")]
    pub counts: ImportCounts,
    #[sea_orm(column_type = "JsonBinary")]
    pub refused: RefusedLines,
    /// Why it was refused or failed: a [`KeyedMessage`].
    #[sea_orm(column_type = "JsonBinary")]
    pub reason: Option<Json>,
    pub created_at: UnixMillis,
    /// When it last got any further.
    pub updated_at: UnixMillis,
    pub finished_at: Option<UnixMillis>,
}

impl Model {
    pub fn is_over(&self) -> bool {
        self.finished_at.is_some()
    }

    pub fn why(&self) -> Option<KeyedMessage> {
        self.reason.clone().and_then(|json| serde_json::from_value(json).ok())
    }
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
