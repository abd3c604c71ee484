//! Erasing texts.

use crate::{
    data::{lineage, prompts},
    keeping::{
        deletion::needs,
        erasure::{self, ErasureOrder, alike, scrub},
    },
    people::audit::{self, AuditAction, AuditSubject},
    training::stop,
};
use entity::{
    artifact, completion, dataset_version, dataset_version_item, draft,
    erasure::ErasureKind,
    ids::{DatasetVersionId, JudgementId, ModelId, ProjectId},
    judgement, model, prompt, run, run_input, task, task_completion, text,
    time::UnixMillis,
};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DatabaseConnection, DbBackend, DbErr, EntityTrait,
    QueryFilter, QueryOrder, QuerySelect,
    sea_query::{Expr, Query, SelectStatement, SimpleExpr},
};
use serde_json::json;
use std::{collections::BTreeSet, time::Instant};
use storage::database::{let_others_through, write};

/// Texts that a page shows at the most.
pub const FOUND: usize = 100;

/// Where a text is used: all of it stays, without the words.
pub struct TextUses {
    pub prompts: Vec<prompt::Model>,
    /// With the project of its task.
    pub judgements: Vec<(judgement::Model, task::Model)>,
    pub completions: Vec<completion::Model>,
    /// Dataset versions that hold a row with it: nothing can be trained on them any more.
    pub versions: Vec<dataset_version::Model>,
    /// Sample runs whose answers were to prompts with it, or were it.
    pub samples: Vec<run::Model>,
    /// Models that learnt from those versions, and theirs in turn: they stay.
    pub models: Vec<model::Model>,
}

impl TextUses {
    pub async fn of(db: &impl ConnectionTrait, hash: &str) -> anyhow::Result<Self> {
        let prompts =
            prompt::Entity::find().filter(prompt::Column::TextHash.eq(hash)).all(db).await?;
        let completions = completion::Entity::find()
            .filter(completion::Column::TextHash.eq(hash))
            .all(db)
            .await?;
        let said = judgements(db, hash).await?;
        let tasks = task::Entity::find()
            .filter(task::Column::Id.is_in(said.iter().map(|said| said.task_id)))
            .all(db)
            .await?;
        let with_task = |said: judgement::Model| {
            let task = tasks.iter().find(|task| task.id == said.task_id)?.clone();
            Some((said, task))
        };
        let ids = said.iter().map(|said| said.id).collect::<Vec<_>>();
        let versions = versions(db, hash, &ids).await?;
        let learnt = lineage::uses(db, versions.iter().map(|version| version.id)).await?;
        let mut models: Vec<_> = learnt.iter().filter_map(|each| each.model.clone()).collect();
        for project in projects(&versions) {
            let of = models.iter().map(|model| model.id).collect::<Vec<ModelId>>();
            models.extend(lineage::descendants(db, project, of).await?);
        }
        let samples = samples(db, hash, &versions).await?;
        let judgements = said.into_iter().filter_map(with_task).collect();
        Ok(Self { prompts, judgements, completions, versions, samples, models })
    }
}

fn projects(versions: &[dataset_version::Model]) -> BTreeSet<ProjectId> {
    versions.iter().map(|version| version.project_id).collect()
}

/// The judgements that say it.
pub(super) async fn judgements(
    db: &impl ConnectionTrait,
    hash: &str,
) -> Result<Vec<judgement::Model>, DbErr> {
    let said = match db.get_database_backend() {
        DbBackend::Postgres => Expr::cust_with_values("position($1 in payload::text) > 0", [hash]),
        _ => Expr::cust_with_values("instr(payload, ?) > 0", [hash]),
    };
    judgement::Entity::find().filter(said).all(db).await
}

fn prompts_with(hash: &str) -> SelectStatement {
    Query::select()
        .column(prompt::Column::Id)
        .from(prompt::Entity)
        .and_where(prompt::Column::TextHash.eq(hash))
        .to_owned()
}

/// The judgements of tasks that showed it as an answer.
fn judgements_of_answer(hash: &str) -> SelectStatement {
    let answers = Query::select()
        .column(completion::Column::Id)
        .from(completion::Entity)
        .and_where(completion::Column::TextHash.eq(hash))
        .to_owned();
    let tasks = Query::select()
        .column(task_completion::Column::TaskId)
        .from(task_completion::Entity)
        .and_where(task_completion::Column::CompletionId.in_subquery(answers))
        .to_owned();
    Query::select()
        .column(judgement::Column::Id)
        .from(judgement::Entity)
        .and_where(judgement::Column::TaskId.in_subquery(tasks))
        .to_owned()
}

async fn versions(
    db: &impl ConnectionTrait,
    hash: &str,
    said: &[JudgementId],
) -> Result<Vec<dataset_version::Model>, DbErr> {
    let holds = Condition::any()
        .add(dataset_version_item::Column::PromptId.in_subquery(prompts_with(hash)))
        .add(dataset_version_item::Column::JudgementId.is_in(said.iter().copied()))
        .add(dataset_version_item::Column::JudgementId.in_subquery(judgements_of_answer(hash)));
    let ids: Vec<DatasetVersionId> = dataset_version_item::Entity::find()
        .select_only()
        .column(dataset_version_item::Column::DatasetVersionId)
        .distinct()
        .filter(holds)
        .into_tuple()
        .all(db)
        .await?;
    dataset_version::Entity::find()
        .filter(dataset_version::Column::Id.is_in(ids))
        .order_by_desc(dataset_version::Column::CreatedAt)
        .all(db)
        .await
}

/// The sample runs whose file of answers holds it.
async fn samples(
    db: &impl ConnectionTrait,
    hash: &str,
    versions: &[dataset_version::Model],
) -> Result<Vec<run::Model>, DbErr> {
    let has_it = Condition::any()
        .add(completion::Column::TextHash.eq(hash))
        .add(completion::Column::PromptId.in_subquery(prompts_with(hash)));
    let wrote_it = Query::select()
        .column(completion::Column::RunId)
        .from(completion::Entity)
        .and_where(completion::Column::RunId.is_not_null())
        .cond_where(has_it)
        .to_owned();
    let read_it = readers_of(versions);
    run::Entity::find()
        .filter(run::Column::OutputHash.is_not_null())
        .filter(run::Column::OutputModelId.is_null())
        .filter(
            Condition::any()
                .add(run::Column::Id.in_subquery(wrote_it))
                .add(run::Column::Id.in_subquery(read_it)),
        )
        .all(db)
        .await
}

/// The runs that read some versions.
fn readers(of_versions: SimpleExpr) -> SelectStatement {
    Query::select()
        .column(run_input::Column::RunId)
        .from(run_input::Entity)
        .and_where(of_versions)
        .to_owned()
}

/// The same of these versions.
fn readers_of(versions: &[dataset_version::Model]) -> SelectStatement {
    let ids = versions.iter().map(|version| version.id);
    readers(run_input::Column::DatasetVersionId.is_in(ids))
}

/// The texts in which some words stand, and the text of that hash: so many at the most, the newest
/// first, or those that come after one.
pub async fn find(
    db: &impl ConnectionTrait,
    words: &str,
    after: Option<&text::Model>,
    limit: Option<u64>,
) -> Result<Vec<text::Model>, DbErr> {
    let quoted = json!(words).to_string();
    let in_json = quoted[1..quoted.len() - 1].to_owned();
    let found = Condition::any()
        .add(text::Column::Hash.eq(words))
        .add(body_with(db, words))
        .add(body_with(db, &in_json));
    let later = |last: &text::Model| {
        let same_time = Condition::all()
            .add(text::Column::CreatedAt.eq(last.created_at))
            .add(text::Column::Hash.lt(&last.hash));
        Condition::any().add(text::Column::CreatedAt.lt(last.created_at)).add(same_time)
    };
    text::Entity::find()
        .filter(found)
        .filter(Condition::all().add_option(after.map(later)))
        .order_by_desc(text::Column::CreatedAt)
        .order_by_desc(text::Column::Hash)
        .limit(limit)
        .all(db)
        .await
}

/// The texts that differ from one only by their blanks, or by how their letters are composed.
async fn copies(db: &impl ConnectionTrait, hash: &str) -> Result<Vec<String>, DbErr> {
    let text = text::Entity::find_by_id(hash).one(db).await?;
    let Some(body) = text.and_then(|text| text.body) else { return Ok(Vec::new()) };
    // Of a conversation the longest message: JSON writes the lines of its texts in its own way.
    let messages = words(&body, true).into_iter().skip(1);
    let telling = messages.max_by_key(String::len).unwrap_or_else(|| body.clone());
    let signs = alike::signs(&telling);
    let holds = signs.iter().fold(Condition::any(), |any, sign| any.add(body_with(db, sign)));
    let candidates = text::Entity::find().filter(text::Column::Hash.ne(hash)).filter(holds);
    let spelt = alike::spelt(&body);
    let is_copy =
        |other: &text::Model| other.body.as_ref().is_some_and(|other| alike::spelt(other) == spelt);
    let found = candidates.all(db).await?;
    Ok(found.into_iter().filter(is_copy).map(|other| other.hash).collect())
}

fn body_with(db: &impl ConnectionTrait, words: &str) -> SimpleExpr {
    match db.get_database_backend() {
        DbBackend::Postgres => Expr::cust_with_values("position($1 in body) > 0", [words]),
        _ => Expr::cust_with_values("instr(body, ?) > 0", [words]),
    }
}

/// Erases texts with their copies, one after another; how many there were. What is left of them on the disk goes afterwards:
/// [`finish`](super::finish::finish).
pub async fn erase(
    db: &DatabaseConnection,
    hashes: &[String],
    order: &ErasureOrder,
) -> anyhow::Result<usize> {
    let mut n_erased = 0;
    let mut all = BTreeSet::new();
    for hash in hashes {
        all.insert(hash.clone());
        all.extend(copies(db, hash).await?);
    }
    for hash in &all {
        let began = Instant::now();
        let erased = write(db, |turn| async move { erase_one(&*turn, hash, order).await });
        n_erased += usize::from(erased.await?);
        let_others_through(began).await;
    }
    Ok(n_erased)
}

/// The same in a transaction that is under way; false when there is no such text, or no more.
pub(crate) async fn erase_one(
    turn: &impl ConnectionTrait,
    hash: &str,
    order: &ErasureOrder,
) -> anyhow::Result<bool> {
    let found = text::Entity::find_by_id(hash).one(turn).await?;
    let Some(body) = found.and_then(|text| text.body) else { return Ok(false) };
    let uses = TextUses::of(turn, hash).await?;
    text::Entity::update_many()
        .col_expr(text::Column::Body, Expr::value(None::<String>))
        .filter(text::Column::Hash.eq(hash))
        .exec(turn)
        .await?;
    for prompt in &uses.prompts {
        prompts::withdraw(turn, prompt.id).await?;
    }
    let begun = uses.judgements.iter().filter_map(|(said, _)| said.assignment_id);
    draft::Entity::delete_many()
        .filter(draft::Column::AssignmentId.is_in(begun))
        .exec(turn)
        .await?;
    empty_artifacts(turn, &uses, order.at).await?;
    scrub::everywhere(turn, &scrub::ErasedWords::new(words(&body, !uses.prompts.is_empty())))
        .await?;
    erasure::record(turn, ErasureKind::Text, hash.to_owned(), order, false).await?;
    let details = json!({"reason": order.reason, "dataset_versions": uses.versions.len(), "models": uses.models.len()});
    audit::record(turn, order.by, AuditAction::TextErase, AuditSubject::of_all(hash), details)
        .await?;
    Ok(true)
}

/// What to look for elsewhere: a prompt is kept as JSON, and its messages are quoted one by one.
fn words(body: &str, is_prompt: bool) -> Vec<String> {
    let mut words = vec![body.to_owned()];
    if is_prompt {
        words.extend(
            prompts::messages(prompts::parse(body)).into_iter().map(|message| message.content),
        );
    }
    words
}

/// The same for a text that was erased before: what was frozen meanwhile may hold it.
pub(super) async fn empty_again(
    db: &DatabaseConnection,
    hash: &str,
    at: UnixMillis,
) -> anyhow::Result<()> {
    write(db, |turn| async move {
        let uses = TextUses::of(&*turn, hash).await?;
        Ok(empty_artifacts(&*turn, &uses, at).await?)
    })
    .await
}

/// Marks the files that hold it as gone, and stops the runs that would read them.
async fn empty_artifacts(
    turn: &impl ConnectionTrait,
    uses: &TextUses,
    at: UnixMillis,
) -> Result<(), DbErr> {
    let answers = uses.samples.iter().filter_map(|run| run.output_hash.clone());
    let hashes = uses.versions.iter().map(|version| version.hash.clone()).chain(answers);
    artifact::Entity::update_many()
        .col_expr(artifact::Column::ErasedAt, Expr::value(at))
        .filter(artifact::Column::Hash.is_in(hashes))
        .filter(artifact::Column::ErasedAt.is_null())
        .exec(turn)
        .await?;
    let reading = run::Column::Id.in_subquery(readers_of(&uses.versions));
    stop::ask_to_stop(turn, Condition::all().add(reading)).await?;
    // Of what is gone no tasks can be made any more.
    run::Entity::update_many()
        .col_expr(run::Column::FollowedUpAt, Expr::value(at))
        .filter(run::Column::Id.is_in(uses.samples.iter().map(|run| run.id)))
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
    let reading = readers(run_input::Column::DatasetVersionId.in_subquery(versions));
    run::Entity::find().filter(run::Column::Id.in_subquery(reading)).all(db).await
}
