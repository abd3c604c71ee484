//! Erasing texts.

use crate::{
    keeping::{
        deletion::needs,
        erasure::{
            self, ErasureOrder,
            elsewhere::OwnWords,
            journal::{self, GUIDELINES, JournalLine, WITH_PERSON},
            scrub::{self, ErasedWords},
            search,
            uses::{TextUses, WhichTexts, readers},
        },
    },
    people::audit::{self, AuditAction, AuditSubject},
    training::stop,
    work::assignment,
};
use entity::{
    artifact, dataset_version, draft, erasure::ErasureKind, judgement, prompt, run, text,
    time::UnixMillis,
};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DatabaseConnection, DbErr, EntityTrait, QueryFilter,
    sea_query::{Expr, Query},
};
use serde_json::json;
use std::{collections::BTreeSet, time::Instant};
use storage::{
    artifact_store::ArtifactStore,
    database::{let_others_through, write},
};

/// Texts that are erased before the list of erasures is written.
pub(super) const NOTED_AT_ONCE: usize = 200;

/// Erases texts with their copies, one after another; how many there were. What is left of them on
/// the disk goes afterwards: [`finish`](super::finish::finish).
pub async fn erase(
    db: &DatabaseConnection,
    store: &ArtifactStore,
    hashes: &[String],
    order: &ErasureOrder,
) -> anyhow::Result<usize> {
    let mut n_erased = 0;
    for some in hashes.chunks(NOTED_AT_ONCE) {
        let mut lines = Vec::new();
        let done = erase_some(db, some, order, &mut lines).await;
        n_erased += lines.len();
        journal::note(store, lines).await?;
        done?;
    }
    Ok(n_erased)
}

/// Some of them; what was erased is in `lines` however it ends.
async fn erase_some(
    db: &DatabaseConnection,
    hashes: &[String],
    order: &ErasureOrder,
    lines: &mut Vec<JournalLine>,
) -> anyhow::Result<()> {
    let mut all = BTreeSet::new();
    for hash in hashes {
        all.insert(hash.clone());
        let copies = search::copies(db, hash).await?;
        all.extend(copies.into_iter().map(|copy| copy.hash));
    }
    for hash in &all {
        let began = Instant::now();
        let erased = write(db, |turn| async move { erase_one(&*turn, hash, order).await });
        if erased.await? {
            lines.push(JournalLine::new(ErasureKind::Text, hash, order));
        }
        let_others_through(began).await;
    }
    Ok(())
}

/// The same in a transaction that is under way; false when there is no such text, or no more.
pub(crate) async fn erase_one(
    turn: &impl ConnectionTrait,
    hash: &str,
    order: &ErasureOrder,
) -> anyhow::Result<bool> {
    let found = text::Entity::find_by_id(hash).one(turn).await?;
    let Some(body) = found.and_then(|text| text.body) else { return Ok(false) };
    // First: whoever is about to use it, and holds it, has come before, and is found among the uses.
    text::Entity::update_many()
        .col_expr(text::Column::Body, Expr::value(None::<String>))
        .filter(text::Column::Hash.eq(hash))
        .exec(turn)
        .await?;
    let (uses, which) = (TextUses::of(turn, hash).await?, WhichTexts::One(hash));
    withdraw_prompts(turn, which, order.at).await?;
    if uses.prompts.n > 0 || uses.n_completions > 0 {
        assignment::give_out_no_more(turn, which.tasks(turn).await?).await?;
    }
    let answered = judgement::Column::AssignmentId;
    let begun = which.judgements(turn.get_database_backend(), answered);
    draft::Entity::delete_many()
        .filter(draft::Column::AssignmentId.in_subquery(begun))
        .exec(turn)
        .await?;
    empty_artifacts(turn, which, order.at).await?;
    let words = OwnWords::of(turn, hash, &body).await?.words;
    let words =
        if order.with_person { ErasedWords::long_ones(words) } else { ErasedWords::new(words) };
    scrub::everywhere(turn, words, order.guidelines).await?;
    erasure::record(turn, ErasureKind::Text, hash.to_owned(), order, false).await?;
    let details = json!({
        "reason": order.reason, "dataset_versions": uses.versions.n,
        "models": uses.models.n, GUIDELINES: order.guidelines,
        WITH_PERSON: order.with_person,
    });
    audit::record(turn, order.by, AuditAction::TextErase, AuditSubject::of_all(hash), details)
        .await?;
    Ok(true)
}

/// The same for what was frozen, asked or sampled while the words went, of every erasure of which
/// something is left to do.
pub(super) async fn empty_again(db: &DatabaseConnection) -> anyhow::Result<()> {
    write(db, |turn| async move {
        let at = UnixMillis::now();
        withdraw_prompts(&*turn, WhichTexts::Unfinished, at).await?;
        let tasks = WhichTexts::Unfinished.tasks(&*turn).await?;
        assignment::give_out_no_more(&*turn, tasks).await?;
        Ok(empty_artifacts(&*turn, WhichTexts::Unfinished, at).await?)
    })
    .await
}

/// Nobody is asked what is gone.
async fn withdraw_prompts(
    turn: &impl ConnectionTrait,
    which: WhichTexts<'_>,
    at: UnixMillis,
) -> Result<(), DbErr> {
    prompt::Entity::update_many()
        .col_expr(prompt::Column::WithdrawnAt, Expr::value(at))
        .filter(which.is(prompt::Column::TextHash))
        .filter(prompt::Column::WithdrawnAt.is_null())
        .exec(turn)
        .await
        .map(drop)
}

/// Marks the files that hold it as gone, and stops the runs that would read them.
async fn empty_artifacts(
    turn: &impl ConnectionTrait,
    which: WhichTexts<'_>,
    at: UnixMillis,
) -> Result<(), DbErr> {
    let backend = turn.get_database_backend();
    let answers = which.samples(backend, run::Column::OutputHash);
    let holds_it = Condition::any()
        .add(artifact::Column::Hash.in_subquery(which.version_hashes(backend)))
        .add(artifact::Column::Hash.in_subquery(answers));
    artifact::Entity::update_many()
        .col_expr(artifact::Column::ErasedAt, Expr::value(at))
        .filter(holds_it)
        .filter(artifact::Column::ErasedAt.is_null())
        .exec(turn)
        .await?;
    let reading = run::Column::Id.in_subquery(which.readers(backend));
    stop::ask_to_stop(turn, Condition::all().add(reading)).await?;
    // Of what is gone no tasks can be made any more.
    run::Entity::update_many()
        .col_expr(run::Column::FollowedUpAt, Expr::value(at))
        .filter(run::Column::Id.in_subquery(which.samples(backend, run::Column::Id)))
        .filter(run::Column::FollowedUpAt.is_null())
        .exec(turn)
        .await?;
    Ok(())
}

/// The runs that read files which are gone.
pub(super) async fn runs_of_erased(db: &impl ConnectionTrait) -> Result<Vec<run::Model>, DbErr> {
    let versions = Query::select()
        .column(dataset_version::Column::Id)
        .from(dataset_version::Entity)
        .and_where(dataset_version::Column::Hash.in_subquery(needs::erased()))
        .to_owned();
    let reading = run::Column::Id.in_subquery(readers(versions));
    run::Entity::find().filter(reading).all(db).await
}
