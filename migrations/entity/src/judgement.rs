//! What people said, append-only: a change of mind is a newer revision, nothing is rewritten.

use crate::{
    ids::{AccountId, AssignmentId, JudgementId, TaskId},
    time::UnixMillis,
};
use sea_orm::{FromJsonQueryResult, entity::prelude::*};
use serde::{Deserialize, Serialize};

/// What was said. Texts are referred to by hash (see [`crate::text`]).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, FromJsonQueryResult)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum JudgementPayload {
    /// The ideal answer to the prompt.
    Demonstration { text_hash: String },
    /// A verdict on two answers.
    Comparison { verdict: ComparisonVerdict, rationale_hash: Option<String> },
    /// The task was passed over.
    Skip { reason: SkipReason, note_hash: Option<String> },
}

/// A verdict in terms of the sides as they were shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ComparisonVerdict {
    /// Left better by 3 (much), 2 or 1 (slightly).
    Left(u8),
    /// Right better by 3 (much), 2 or 1 (slightly).
    Right(u8),
    Tie,
    BothBad,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SkipReason {
    Unclear,
    NotMySubject,
    Language,
    Harmful,
    Broken,
    Other,
}

/// Positions (`task_completion.position`) from left to right as the person saw them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, FromJsonQueryResult)]
#[serde(transparent)]
pub struct ShownOrder(pub Vec<i32>);

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "judgement")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: JudgementId,
    pub task_id: TaskId,
    /// None when imported.
    pub assignment_id: Option<AssignmentId>,
    pub account_id: Option<AccountId>,
    /// 1, 2, … within the assignment; unique with it.
    pub revision: i32,
    #[sea_orm(column_type = "JsonBinary")]
    pub payload: JudgementPayload,
    #[sea_orm(column_type = "JsonBinary")]
    pub shown_order: ShownOrder,
    /// The same key with the same payload is the same judgement.
    pub idempotency_key: String,
    /// Active time on the page, milliseconds; none when unknown.
    pub lead_time_ms: Option<i64>,
    pub created_at: UnixMillis,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
