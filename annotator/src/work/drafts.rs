//! What somebody has typed and not sent, kept. An older text never replaces a newer one
//! ([`overtaking`]); where there are two, the person chooses.

use crate::{
    data::texts,
    web::error::AppError,
    work::{
        assignment::LockedAssignment,
        form::{TaskForm, WindowState},
        judgement, kinds,
        overtaking::{self, Standing},
    },
};
use entity::{
    assignment, draft,
    ids::{AccountId, AssignmentId},
    judgement::Model as Judgement,
    time::UnixMillis,
};
use sea_orm::{
    ActiveValue::Set,
    ConnectionTrait, DatabaseConnection, EntityTrait, QueryTrait,
    sea_query::{InsertStatement, OnConflict},
};
use storage::{database::write_unsynced, write_batch::WriteBatch};

/// What came of keeping a draft.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DraftOutcome {
    /// It is stored, as it was already or just now. `is_held`: the lease goes on.
    Kept { version: i64, is_held: bool },
    /// Another window has stored something that this one has not seen: nothing is changed.
    Overtaken,
}

/// Keeps what is typed in a window and renews the lease. None: no such assignment of this person.
pub async fn keep(
    db: &DatabaseConnection,
    account: AccountId,
    id: AssignmentId,
    form: TaskForm,
) -> Result<Option<DraftOutcome>, AppError> {
    let (window, typed) = (form.window(), form.into_draft());
    let (window, typed) = (&window, &typed);
    write_unsynced(db, |turn| async move {
        let Some(held) = LockedAssignment::of(&turn, account, id).await? else { return Ok(None) };
        let is_newer = *typed != stored(&*turn, &held, held.draft.as_ref()).await?.form
            && match overtaking::standing(&held, window, typed) {
                Standing::Newer => true,
                Standing::Late => false,
                Standing::Overtaken => return Ok(Some(DraftOutcome::Overtaken)),
            };
        let mut changes = WriteBatch::default();
        if is_newer {
            changes.push(replacing(id, window, typed)?);
        }
        let is_held = held.renew(is_newer, &mut changes);
        changes.execute(&*turn).await?;
        let version = held.draft_version + i64::from(is_newer);
        Ok(Some(DraftOutcome::Kept { version, is_held }))
    })
    .await
}

fn replacing(
    id: AssignmentId,
    window: &WindowState,
    typed: &TaskForm,
) -> Result<InsertStatement, AppError> {
    let row = draft::ActiveModel {
        assignment_id: Set(id),
        body: Set(serde_json::to_string(typed)?),
        updated_at: Set(UnixMillis::now()),
        written_by: Set(window.name.clone()),
        n_writes: Set(window.n_writes),
    };
    let columns = [
        draft::Column::Body,
        draft::Column::UpdatedAt,
        draft::Column::WrittenBy,
        draft::Column::NWrites,
    ];
    let newest = OnConflict::column(draft::Column::AssignmentId).update_columns(columns).to_owned();
    Ok(draft::Entity::insert(row).on_conflict(newest).into_query())
}

/// What is stored of somebody's work on a task.
#[derive(Clone, Debug, Default)]
pub struct StoredForm {
    /// As the form would hold it.
    pub form: TaskForm,
    /// When it was stored, if anything is.
    pub at: Option<UnixMillis>,
    /// Where it is no draft: the answer that was sent.
    pub answer: Option<Judgement>,
}

/// The draft, else the last answer.
pub async fn stored(
    db: &impl ConnectionTrait,
    of: &assignment::Model,
    draft: Option<&draft::Model>,
) -> Result<StoredForm, AppError> {
    if let Some(draft) = draft {
        let (form, at) = (overtaking::form_of(draft), Some(draft.updated_at));
        return Ok(StoredForm { form, at, answer: None });
    }
    let last = match of.state.may_have_answers() {
        true => judgement::latest(db, of.id).await?,
        false => None,
    };
    let Some(last) = last else { return Ok(StoredForm::default()) };
    let said = kinds::stored_answer(&last.payload);
    let text = match said.text_hash() {
        Some(hash) => texts::load(db, hash).await?,
        None => None,
    };
    let mut form = TaskForm::default();
    said.fill(&mut form, text);
    drop(said);
    Ok(StoredForm { form: form.into_draft(), at: Some(last.created_at), answer: Some(last) })
}
