//! Removing a text, or who somebody was, for the law: the one exception from "what people wrote is
//! never lost". Hashes, reasons and the lists of versions, runs and models that used it stay.
//!
//! The rows of a text change in one transaction ([`texts`]), who somebody was goes in another, and the
//! texts that go with them one after another ([`people`]); then whatever still has the words
//! goes ([`finish`]): files, freed pages of the database, copies from before a migration. Where a
//! crash comes between, the sweep makes up for it. A file in the artifact store ([`journal`]) holds
//! what was erased, so that a restore of an older backup erases it again.

mod alike;
pub mod elsewhere;
pub mod export;
pub mod fields;
pub mod finish;
pub mod journal;
pub mod people;
pub mod repeat;
pub mod scrub;
pub mod search;
pub mod texts;
pub mod uses;

use crate::{
    web::{form::FieldErrors, message::Message},
    work::kinds,
};
use anyhow::ensure;
use entity::{
    completion,
    erasure::{self, ErasureKind},
    ids::{AccountId, ErasureId},
    judgement, task_completion,
    time::UnixMillis,
};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder,
    sea_query::{OnConflict, Query},
};
use storage::storable::storable;

/// Why something is erased, by whom and when.
#[derive(Clone, Debug)]
pub struct ErasureOrder {
    pub reason: String,
    pub by: Option<AccountId>,
    pub at: UnixMillis,
    /// Whether the words go from the guidelines of projects, too: those are other people's, and
    /// change only where somebody says so.
    pub guidelines: bool,
    /// A text goes because its writer does: a short one is looked for in nobody else's rows then.
    pub with_person: bool,
}

impl ErasureOrder {
    pub fn now(reason: impl Into<String>, by: Option<AccountId>) -> Self {
        Self {
            reason: reason.into(),
            by,
            at: UnixMillis::now(),
            guidelines: false,
            with_person: false,
        }
    }

    #[must_use]
    pub fn with_guidelines(self, guidelines: bool) -> Self {
        Self { guidelines, ..self }
    }
}

/// The longest reason, in characters.
const MAX_REASON: usize = 1000;

impl From<&erasure::Model> for ErasureOrder {
    fn from(row: &erasure::Model) -> Self {
        let (reason, by, at) = (row.reason.clone(), row.erased_by, row.erased_at);
        Self { reason, by, at, guidelines: false, with_person: false }
    }
}

impl ErasureOrder {
    /// The order of an administrator, with the reason as typed.
    pub fn by_form(reason: &str, by: AccountId) -> Result<Self, FieldErrors> {
        let reason = reason.trim();
        if reason.is_empty() {
            return Err(FieldErrors::one("reason", "erasure-reason-missing"));
        }
        if reason.chars().count() > MAX_REASON {
            let long = Message::new("erasure-reason-long").with("n", MAX_REASON);
            return Err(FieldErrors::one("reason", long));
        }
        Ok(Self::now(storable(reason), Some(by)))
    }

    /// The order of somebody at a shell.
    pub fn by_shell(reason: &str) -> anyhow::Result<Self> {
        let reason = reason.trim();
        ensure!(!reason.is_empty(), "say why with --reason: it is kept");
        ensure!(
            reason.chars().count() <= MAX_REASON,
            "--reason may have {MAX_REASON} characters at the most"
        );
        Ok(Self::now(storable(reason), None))
    }
}

/// Notes an erasure; one that is noted already is to be finished anew.
async fn record(
    db: &impl ConnectionTrait,
    kind: ErasureKind,
    subject: String,
    order: &ErasureOrder,
    texts_left: bool,
) -> Result<(), DbErr> {
    let row = erasure::ActiveModel {
        id: Set(ErasureId::new()),
        kind: Set(kind),
        subject: Set(subject),
        reason: Set(order.reason.clone()),
        erased_by: Set(order.by),
        erased_at: Set(order.at),
        finished_at: Set(None),
        texts_left: Set(texts_left),
    };
    let known = OnConflict::columns([erasure::Column::Kind, erasure::Column::Subject])
        .update_columns([erasure::Column::FinishedAt, erasure::Column::TextsLeft])
        .to_owned();
    erasure::Entity::insert(row).on_conflict(known).exec_without_returning(db).await?;
    Ok(())
}

/// When the first of these texts was erased, if any was.
pub async fn of_texts(
    db: &impl ConnectionTrait,
    hashes: impl IntoIterator<Item = String>,
) -> Result<Option<UnixMillis>, DbErr> {
    let first = erasure::Entity::find()
        .filter(erasure::Column::Kind.eq(ErasureKind::Text))
        .filter(erasure::Column::Subject.is_in(hashes))
        .order_by_asc(erasure::Column::ErasedAt)
        .one(db)
        .await?;
    Ok(first.map(|erasure| erasure.erased_at))
}

/// When a text that a judgement's page shows was erased: the prompt, an answer, or what was said.
pub async fn of_judgement(
    db: &impl ConnectionTrait,
    judgement: &judgement::Model,
    prompt_hash: &str,
) -> Result<Option<UnixMillis>, DbErr> {
    let shown = Query::select()
        .column(task_completion::Column::CompletionId)
        .from(task_completion::Entity)
        .and_where(task_completion::Column::TaskId.eq(judgement.task_id))
        .to_owned();
    let answers = completion::Entity::find()
        .filter(completion::Column::Id.in_subquery(shown))
        .all(db)
        .await?;
    let hashes = kinds::text_hashes([&judgement.payload])
        .chain(answers.into_iter().map(|answer| answer.text_hash))
        .chain([prompt_hash.to_owned()]);
    of_texts(db, hashes.collect::<Vec<_>>()).await
}

/// The erasure of a text, if it was erased.
pub async fn of_text(
    db: &impl ConnectionTrait,
    hash: &str,
) -> Result<Option<erasure::Model>, DbErr> {
    erasure::Entity::find()
        .filter(erasure::Column::Kind.eq(ErasureKind::Text))
        .filter(erasure::Column::Subject.eq(hash))
        .one(db)
        .await
}
