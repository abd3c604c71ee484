//! What people said, stored. Append-only: a change of mind is a newer revision, the same submit
//! sent twice is one judgement, and a submit that comes too late is kept all the same.

use crate::{assignment, database, texts};
use entity::{
    assignment::State,
    draft,
    ids::{AccountId, AssignmentId, JudgementId},
    judgement::{self, Payload, ShownOrder, SkipReason, Verdict},
    task, task_completion,
    time::UnixMillis,
};
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, ConnectionTrait, DatabaseConnection,
    DatabaseTransaction, DbErr, EntityTrait, IntoActiveModel, PaginatorTrait, QueryFilter,
    QueryOrder, QuerySelect, sea_query::LockType,
};
use serde::{Deserialize, Serialize};

/// What a page sends: every field of every kind of task, as typed. Also the body of a draft.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TaskForm {
    /// The ideal answer, Markdown.
    pub answer: String,
    /// `1` (left much better) … `7` (right much better), `0` or `4` for a tie, `x` for both bad.
    pub choice: String,
    pub rationale: String,
    /// Why the task is skipped, and a note on it.
    pub reason: String,
    pub note: String,
    #[serde(skip_serializing)]
    pub idempotency_key: String,
    #[serde(skip_serializing)]
    pub lead_time_ms: String,
}

/// What was said, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    Demonstration { text: String },
    Comparison { verdict: Verdict, rationale: Option<String> },
    Skip { reason: SkipReason, note: Option<String> },
}

/// An answer on its way into the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submission {
    pub answer: Answer,
    /// Made by the page: the same key with the same answer is the same judgement.
    pub idempotency_key: String,
    pub lead_time_ms: Option<i64>,
}

/// Why a form is not an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Mistake {
    #[error("the answer is empty")]
    EmptyAnswer,
    #[error("nothing is chosen")]
    NoChoice,
    #[error("no reason is given")]
    NoReason,
}

impl Submission {
    /// A demonstration out of a form.
    pub fn demonstration(form: &TaskForm) -> Result<Self, Mistake> {
        let text = typed(&form.answer).ok_or(Mistake::EmptyAnswer)?;
        Ok(Self::new(form, Answer::Demonstration { text }))
    }

    /// A comparison out of a form.
    pub fn comparison(form: &TaskForm) -> Result<Self, Mistake> {
        let verdict = verdict(&form.choice).ok_or(Mistake::NoChoice)?;
        Ok(Self::new(form, Answer::Comparison { verdict, rationale: typed(&form.rationale) }))
    }

    /// A skip out of a form.
    pub fn skip(form: &TaskForm) -> Result<Self, Mistake> {
        let reason = skip_reason(&form.reason).ok_or(Mistake::NoReason)?;
        Ok(Self::new(form, Answer::Skip { reason, note: typed(&form.note) }))
    }

    fn new(form: &TaskForm, answer: Answer) -> Self {
        let lead_time_ms =
            form.lead_time_ms.parse().ok().filter(|ms| (1..=86_400_000).contains(ms));
        Self { answer, idempotency_key: form.idempotency_key.clone(), lead_time_ms }
    }
}

/// A text as it was typed, with the line ends of this side of the wire; none when it is blank.
fn typed(text: &str) -> Option<String> {
    let text = text.replace("\r\n", "\n");
    let text = text.trim_end().trim_start_matches('\n');
    (!text.is_empty()).then(|| text.to_owned())
}

/// The verdict of a choice in the form.
pub fn verdict(choice: &str) -> Option<Verdict> {
    Some(match choice {
        "1" => Verdict::Left(3),
        "2" => Verdict::Left(2),
        "3" => Verdict::Left(1),
        "4" | "0" => Verdict::Tie,
        "5" => Verdict::Right(1),
        "6" => Verdict::Right(2),
        "7" => Verdict::Right(3),
        "x" | "X" => Verdict::BothBad,
        _ => return None,
    })
}

/// The choice in the form that gives this verdict.
pub fn choice(verdict: Verdict) -> String {
    match verdict {
        Verdict::Left(strength) => (4 - strength.min(3)).to_string(),
        Verdict::Right(strength) => (4 + strength.min(3)).to_string(),
        Verdict::Tie => "0".to_owned(),
        Verdict::BothBad => "x".to_owned(),
    }
}

/// The reasons for a skip: value in the form, Fluent key.
pub const SKIP_REASONS: [(&str, &str, SkipReason); 6] = [
    ("unclear", "skip-unclear", SkipReason::Unclear),
    ("not_my_subject", "skip-not-my-subject", SkipReason::NotMySubject),
    ("language", "skip-language", SkipReason::Language),
    ("harmful", "skip-harmful", SkipReason::Harmful),
    ("broken", "skip-broken", SkipReason::Broken),
    ("other", "skip-other", SkipReason::Other),
];

fn skip_reason(value: &str) -> Option<SkipReason> {
    SKIP_REASONS.iter().find(|(name, ..)| *name == value).map(|(.., reason)| *reason)
}

/// The positions of the preferred and the other answer; none for a tie, both bad, or a broken row.
pub fn preference(verdict: Verdict, shown: &ShownOrder) -> Option<(i32, i32)> {
    let [left, right] = shown.0[..] else { return None };
    match verdict {
        Verdict::Left(_) => Some((left, right)),
        Verdict::Right(_) => Some((right, left)),
        Verdict::Tie | Verdict::BothBad => None,
    }
}

/// Why nothing was stored.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("no such assignment of this person")]
    NoSuchAssignment,
    #[error("the answer is of another kind than the task")]
    WrongKind,
    #[error(transparent)]
    Database(#[from] DbErr),
}

/// Stores what a person says on an assignment of theirs, in one transaction with the slot it takes
/// or gives back. Sent twice, it is stored once.
pub async fn store(
    db: &DatabaseConnection,
    account: AccountId,
    id: AssignmentId,
    submission: Submission,
) -> Result<judgement::Model, StoreError> {
    let turn = database::begin_write(db).await?;
    assignment::one_at_a_time(&turn, account).await?;
    let mut query = entity::assignment::Entity::find_by_id(id);
    if turn.get_database_backend() == sea_orm::DbBackend::Postgres {
        query = query.lock(LockType::Update); // the sweep must not end this lease meanwhile
    }
    let held = query.one(&turn).await?.filter(|held| held.account_id == account);
    let held = held.ok_or(StoreError::NoSuchAssignment)?;
    let task = task::Entity::find_by_id(held.task_id)
        .one(&turn)
        .await?
        .ok_or(StoreError::NoSuchAssignment)?;
    if !fits(&submission.answer, task.kind) {
        return Err(StoreError::WrongKind);
    }
    let payload = store_texts(&turn, &submission.answer).await?;
    if let Some(same) = sent_before(&turn, id, &submission.idempotency_key, &payload).await? {
        turn.commit().await?;
        return Ok(same);
    }
    let is_skip = matches!(payload, Payload::Skip { .. });
    let state = settle(&turn, &held, is_skip).await?;
    let revision = last_revision(&turn, id).await? + 1;
    let row = judgement::ActiveModel {
        id: Set(JudgementId::new()),
        task_id: Set(task.id),
        assignment_id: Set(Some(id)),
        account_id: Set(Some(account)),
        revision: Set(revision),
        payload: Set(payload),
        shown_order: Set(ShownOrder(assignment::shown_order(
            held.order_seed,
            n_answers(&turn, &task).await?,
        ))),
        idempotency_key: Set(submission.idempotency_key),
        lead_time_ms: Set(submission.lead_time_ms),
        created_at: Set(UnixMillis::now()),
    };
    let stored = row.insert(&turn).await?;
    let mut held = held.into_active_model();
    held.state = Set(state);
    held.update(&turn).await?;
    draft::Entity::delete_by_id(id).exec(&turn).await?;
    turn.commit().await?;
    Ok(stored)
}

fn fits(answer: &Answer, kind: task::Kind) -> bool {
    match answer {
        Answer::Demonstration { .. } => kind == task::Kind::Demonstrate,
        Answer::Comparison { .. } => kind == task::Kind::Compare,
        Answer::Skip { .. } => true,
    }
}

async fn n_answers(db: &impl ConnectionTrait, task: &task::Model) -> Result<usize, DbErr> {
    let answers =
        task_completion::Entity::find().filter(task_completion::Column::TaskId.eq(task.id));
    Ok(answers.count(db).await? as usize)
}

async fn store_texts(db: &impl ConnectionTrait, answer: &Answer) -> Result<Payload, DbErr> {
    Ok(match answer {
        Answer::Demonstration { text } => {
            Payload::Demonstration { text_hash: texts::store(db, text).await? }
        }
        Answer::Comparison { verdict, rationale } => Payload::Comparison {
            verdict: *verdict,
            rationale_hash: store_optional(db, rationale).await?,
        },
        Answer::Skip { reason, note } => {
            Payload::Skip { reason: *reason, note_hash: store_optional(db, note).await? }
        }
    })
}

async fn store_optional(
    db: &impl ConnectionTrait,
    text: &Option<String>,
) -> Result<Option<String>, DbErr> {
    match text {
        Some(text) => Ok(Some(texts::store(db, text).await?)),
        None => Ok(None),
    }
}

async fn sent_before(
    db: &impl ConnectionTrait,
    id: AssignmentId,
    key: &str,
    payload: &Payload,
) -> Result<Option<judgement::Model>, DbErr> {
    let same_key = judgement::Entity::find()
        .filter(judgement::Column::AssignmentId.eq(id))
        .filter(judgement::Column::IdempotencyKey.eq(key))
        .order_by_desc(judgement::Column::Revision)
        .all(db)
        .await?;
    Ok(same_key.into_iter().next().filter(|last| !key.is_empty() && last.payload == *payload))
}

async fn last_revision(db: &impl ConnectionTrait, id: AssignmentId) -> Result<i32, DbErr> {
    Ok(latest(db, id).await?.map_or(0, |last| last.revision))
}

/// The newest thing said on an assignment.
pub async fn latest(
    db: &impl ConnectionTrait,
    id: AssignmentId,
) -> Result<Option<judgement::Model>, DbErr> {
    judgement::Entity::find()
        .filter(judgement::Column::AssignmentId.eq(id))
        .order_by_desc(judgement::Column::Revision)
        .one(db)
        .await
}

/// Moves the task's counter and says the assignment's next state. An answer wants a slot: the one
/// it holds, or a free one, and without either it is kept as extra. A skip wants none.
async fn settle(
    turn: &DatabaseTransaction,
    held: &entity::assignment::Model,
    is_skip: bool,
) -> Result<State, DbErr> {
    let has_slot = matches!(held.state, State::Leased | State::Submitted);
    if is_skip {
        if has_slot {
            assignment::give_slot_back(turn, held.task_id).await?;
        }
        return Ok(State::Skipped);
    }
    if has_slot || assignment::take_slot(turn, held.task_id).await? {
        return Ok(State::Submitted);
    }
    Ok(State::Extra)
}

/// The assignment that this person answered before this one, for another look: the newest when this
/// one has no answer yet.
pub async fn previous(
    db: &impl ConnectionTrait,
    held: &entity::assignment::Model,
    task: &task::Model,
) -> Result<Option<AssignmentId>, DbErr> {
    let tasks = sea_orm::sea_query::Query::select()
        .column(task::Column::Id)
        .from(task::Entity)
        .and_where(task::Column::ProjectId.eq(task.project_id))
        .and_where(task::Column::Kind.eq(task.kind))
        .to_owned();
    let mut query = judgement::Entity::find()
        .filter(judgement::Column::AccountId.eq(held.account_id))
        .filter(judgement::Column::TaskId.in_subquery(tasks))
        .filter(judgement::Column::Revision.eq(1))
        .filter(judgement::Column::AssignmentId.ne(held.id))
        .order_by_desc(judgement::Column::Id);
    let first = judgement::Entity::find()
        .filter(judgement::Column::AssignmentId.eq(held.id))
        .filter(judgement::Column::Revision.eq(1));
    if let Some(first) = first.one(db).await? {
        query = query.filter(judgement::Column::Id.lt(first.id));
    }
    Ok(query.one(db).await?.and_then(|row| row.assignment_id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_choice_comes_back_as_it_was_made() {
        for made in ["1", "2", "3", "5", "6", "7", "0", "x"] {
            assert_eq!(choice(verdict(made).unwrap()), made);
        }
        assert_eq!(verdict("4"), Some(Verdict::Tie));
        assert_eq!(verdict("8"), None);
        assert_eq!(verdict(""), None);
    }

    #[test]
    fn a_preference_names_positions_not_sides() {
        let shown = ShownOrder(vec![1, 0]);
        assert_eq!(preference(Verdict::Left(3), &shown), Some((1, 0)));
        assert_eq!(preference(Verdict::Right(1), &shown), Some((0, 1)));
        assert_eq!(preference(Verdict::Tie, &shown), None);
        assert_eq!(preference(Verdict::BothBad, &shown), None);
    }

    #[test]
    fn a_blank_answer_is_a_mistake() {
        let form = TaskForm { answer: " \r\n ".into(), ..TaskForm::default() };
        assert_eq!(Submission::demonstration(&form), Err(Mistake::EmptyAnswer));
    }

    #[test]
    fn an_answer_keeps_its_indentation_and_loses_the_browsers_line_ends() {
        assert_eq!(typed("\r\n    code\r\nmore \r\n"), Some("    code\nmore".to_owned()));
    }

    #[test]
    fn every_reason_has_a_value_in_the_form() {
        for (value, _, reason) in SKIP_REASONS {
            assert_eq!(skip_reason(value), Some(reason));
        }
        assert_eq!(skip_reason("because"), None);
    }
}
