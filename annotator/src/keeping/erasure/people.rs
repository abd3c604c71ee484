//! Erasing who somebody was: name, login, password and roles go, the account's id stays beside what
//! they wrote, which stays or goes as whoever erases chooses.

use crate::{
    keeping::erasure::{
        self, ErasureOrder, fields,
        journal::{self, JournalLine},
        scrub::{self, ErasedWords},
        search, texts, uses,
    },
    people::{
        administrators,
        audit::{self, AuditAction, AuditSubject},
        links,
        person_name::{login_of_erased, name_of_erased},
    },
    web::error::AppError,
    work::kinds,
};
use entity::{
    account, assignment, audit_log, completion, draft,
    erasure::{self as erasure_row, ErasureKind},
    ids::AccountId,
    judgement, membership, prompt, session, text,
};
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, ConnectionTrait, DatabaseConnection, DbErr,
    EntityTrait, IntoActiveModel, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect,
    sea_query::Query,
};
use serde_json::json;
use std::{collections::BTreeSet, time::Instant};
use storage::{
    artifact_store::ArtifactStore,
    database::{WriteError, let_others_through, write},
    lookup::portions,
};

/// Where a line of the audit log names whom an account was made for.
const LOGIN: &str = "login";

/// Drafts that are in memory at once.
const DRAFTS_AT_ONCE: u64 = 50;

/// What becomes of what somebody wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WrittenTexts {
    Stay,
    Go,
}

/// Why somebody is not erased.
#[derive(Debug, thiserror::Error)]
pub enum PersonErasureError {
    #[error("nobody erases their own account: another administrator does")]
    OwnAccount,
    #[error("this is the last administrator: make another first")]
    LastAdministrator,
    #[error(transparent)]
    Failed(#[from] anyhow::Error),
}

impl WriteError for PersonErasureError {
    fn of_database(&self) -> Option<&DbErr> {
        match self {
            Self::Failed(error) => error.downcast_ref(),
            Self::OwnAccount | Self::LastAdministrator => None,
        }
    }
}

impl From<DbErr> for PersonErasureError {
    fn from(error: DbErr) -> Self {
        Self::Failed(error.into())
    }
}

impl From<PersonErasureError> for AppError {
    fn from(error: PersonErasureError) -> Self {
        match error {
            PersonErasureError::OwnAccount => Self::bad_request("erase-own-account"),
            PersonErasureError::LastAdministrator => Self::conflict("erase-last-administrator"),
            PersonErasureError::Failed(error) => Self::Internal(error),
        }
    }
}

/// Erases who somebody was; how many texts went with it.
pub async fn erase(
    db: &DatabaseConnection,
    store: &ArtifactStore,
    account: AccountId,
    written: WrittenTexts,
    order: &ErasureOrder,
) -> Result<usize, PersonErasureError> {
    if order.by == Some(account) {
        return Err(PersonErasureError::OwnAccount);
    }
    write(db, |turn| async move {
        if is_last_administrator(&*turn, account).await? {
            return Err(PersonErasureError::LastAdministrator);
        }
        erase_one(&*turn, account, order, written).await?;
        Ok(())
    })
    .await?;
    let mut line = JournalLine::new(ErasureKind::Account, account.to_string(), order);
    line.texts_left = written == WrittenTexts::Go;
    journal::note(store, vec![line]).await?;
    match written {
        WrittenTexts::Stay => Ok(0),
        WrittenTexts::Go => Ok(erase_texts(db, store, account, order).await?),
    }
}

/// Erases what somebody wrote who is erased, one text after another; how many there were. What is cut
/// short goes on with the next [`finish`](super::finish::finish).
pub(super) async fn erase_texts(
    db: &DatabaseConnection,
    store: &ArtifactStore,
    account: AccountId,
    order: &ErasureOrder,
) -> anyhow::Result<usize> {
    let order = &ErasureOrder { with_person: true, ..order.clone() };
    let mut n_erased = 0;
    for some in written_by(db, account).await?.chunks(texts::NOTED_AT_ONCE) {
        let mut lines = Vec::new();
        let done = erase_own(db, some, account, order, &mut lines).await;
        n_erased += lines.len();
        journal::note(store, lines).await?;
        done?;
    }
    write(db, |turn| async move {
        erasure_row::Entity::update_many()
            .col_expr(erasure_row::Column::TextsLeft, false.into())
            .filter(erasure_row::Column::Kind.eq(ErasureKind::Account))
            .filter(erasure_row::Column::Subject.eq(account.to_string()))
            .exec(&*turn)
            .await
    })
    .await?;
    Ok(n_erased)
}

/// Some of them; what was erased is in `lines` however it ends.
async fn erase_own(
    db: &DatabaseConnection,
    hashes: &[String],
    account: AccountId,
    order: &ErasureOrder,
    lines: &mut Vec<JournalLine>,
) -> anyhow::Result<()> {
    for hash in hashes {
        let began = Instant::now();
        let erased = write(db, |turn| async move {
            match is_of_others(&*turn, hash, account).await? {
                true => Ok(false),
                false => texts::erase_one(&*turn, hash, order).await,
            }
        });
        if erased.await? {
            lines.push(JournalLine::new(ErasureKind::Text, hash, order));
        }
        let_others_through(began).await;
    }
    Ok(())
}

/// Also keeps others from changing who is one until this transaction ends.
async fn is_last_administrator(
    turn: &impl ConnectionTrait,
    account: AccountId,
) -> Result<bool, DbErr> {
    let administrators = administrators::locked(turn).await?;
    Ok(matches!(administrators.as_slice(), [one] if one.id == account))
}

/// Takes the identity off an account, in a transaction that is under way; false when there is no
/// such account.
pub(crate) async fn erase_one(
    turn: &impl ConnectionTrait,
    id: AccountId,
    order: &ErasureOrder,
    written: WrittenTexts,
) -> anyhow::Result<bool> {
    let Some(person) = account::Entity::find_by_id(id).one(turn).await? else { return Ok(false) };
    let names = [person.login.clone(), person.display_name.clone()];
    scrub::in_audit_log(turn, ErasedWords::names(names)).await?;
    unname_own_lines(turn, id).await?;
    session::Entity::delete_many().filter(session::Column::AccountId.eq(id)).exec(turn).await?;
    membership::Entity::delete_many()
        .filter(membership::Column::AccountId.eq(id))
        .exec(turn)
        .await?;
    let theirs = Query::select()
        .column(assignment::Column::Id)
        .from(assignment::Entity)
        .and_where(assignment::Column::AccountId.eq(id))
        .to_owned();
    draft::Entity::delete_many()
        .filter(draft::Column::AssignmentId.in_subquery(theirs))
        .exec(turn)
        .await?;
    links::withdraw(turn, id).await?;
    let (disabled_at, stamp) = (person.disabled_at.unwrap_or(order.at), person.stamp + 1);
    let mut row = person.into_active_model();
    row.login = Set(login_of_erased(id));
    row.display_name = Set(name_of_erased(id));
    row.password_hash = Set(String::new());
    (row.password_is_one_time, row.is_admin) = (Set(false), Set(false));
    (row.language, row.disabled_at) = (Set(None), Set(Some(disabled_at)));
    (row.stamp, row.password_expires_at) = (Set(stamp), Set(None));
    row.update(turn).await?;
    let texts_left = written == WrittenTexts::Go;
    erasure::record(turn, ErasureKind::Account, id.to_string(), order, texts_left).await?;
    let subject = AuditSubject::of_all(id);
    let details = json!({"reason": order.reason});
    audit::record(turn, order.by, AuditAction::AccountErase, subject, details).await?;
    Ok(true)
}

/// A login stands in the lines of its own account. Elsewhere the same letters are another name, or a
/// role.
async fn unname_own_lines(turn: &impl ConnectionTrait, id: AccountId) -> Result<(), DbErr> {
    let lines = audit_log::Entity::find()
        .filter(audit_log::Column::Subject.eq(id.to_string()))
        .filter(audit_log::Column::Action.eq(AuditAction::AccountCreate.code()))
        .all(turn)
        .await?;
    for line in lines.into_iter().filter(|line| line.details[LOGIN].is_string()) {
        let mut details = line.details.clone();
        details[LOGIN] = scrub::ERASED.into();
        let mut line = line.into_active_model();
        line.details = Set(details);
        line.update(turn).await?;
    }
    Ok(())
}

/// The texts of what this person said that are still there.
async fn written_by(db: &impl ConnectionTrait, id: AccountId) -> Result<Vec<String>, DbErr> {
    let said =
        judgement::Entity::find().filter(judgement::Column::AccountId.eq(id)).all(db).await?;
    let hashes: BTreeSet<String> =
        kinds::text_hashes(said.iter().map(|said| &said.payload)).collect();
    let mut there = Vec::new();
    for some in portions(hashes) {
        let kept = text::Entity::find()
            .select_only()
            .column(text::Column::Hash)
            .filter(text::Column::Hash.is_in(some))
            .filter(text::Column::Body.is_not_null());
        there.extend(kept.into_tuple::<String>().all(db).await?);
    }
    Ok(there)
}

/// The texts that go when this person's texts do.
pub async fn own_texts(db: &impl ConnectionTrait, id: AccountId) -> Result<Vec<String>, DbErr> {
    let mut own = Vec::new();
    for hash in written_by(db, id).await? {
        if !is_of_others(db, &hash, id).await? {
            own.push(hash);
        }
    }
    Ok(own)
}

/// Whether somebody else wrote a text too, or is about to, or it is a prompt or a model's answer: then
/// it is not theirs alone.
async fn is_of_others(db: &impl ConnectionTrait, hash: &str, id: AccountId) -> Result<bool, DbErr> {
    let asked = prompt::Entity::find().filter(prompt::Column::TextHash.eq(hash));
    let answered = completion::Entity::find().filter(completion::Column::TextHash.eq(hash));
    Ok(asked.count(db).await? > 0
        || answered.count(db).await? > 0
        || uses::is_said_by_others(db, hash, id).await?
        || is_begun_by_others(db, hash, id).await?)
}

/// Whether a short text is all that somebody else has typed in a field, and not sent: a one-word answer
/// is whoever's who gives it.
async fn is_begun_by_others(
    db: &impl ConnectionTrait,
    hash: &str,
    id: AccountId,
) -> Result<bool, DbErr> {
    let text = text::Entity::find_by_id(hash).one(db).await?;
    let Some(body) = text.and_then(|text| text.body).filter(|body| !scrub::are_long(body)) else {
        return Ok(false);
    };
    let of_others = Query::select()
        .column(assignment::Column::Id)
        .from(assignment::Entity)
        .and_where(assignment::Column::AccountId.ne(id))
        .to_owned();
    let begun = draft::Entity::find()
        .filter(draft::Column::AssignmentId.in_subquery(of_others))
        .filter(search::body_like(db, &body))
        .order_by_asc(draft::Column::AssignmentId);
    let (words, mut pages) = (ErasedWords::new([body]), begun.paginate(db, DRAFTS_AT_ONCE));
    while let Some(drafts) = pages.fetch_and_next().await? {
        if drafts.iter().any(|draft| words.stand_in(&draft.body, fields::of_draft)) {
            return Ok(true);
        }
    }
    Ok(false)
}
