//! What follows a finished run: the answers of a sample run become comparison tasks, and a DPO or
//! PPO run queues the sample run of its policy, whose answers then go back to the people.
//!
//! **Invariant:** a run is followed up once, whoever looks and however often: `run.followed_up_at`
//! is moved from null in the transaction that writes everything else.

use crate::{
    data::{
        dataset::{self, DatasetContents, PromptSelection},
        texts::{self, HashedText},
    },
    keeping::deletion::hold::HoldError,
    people::projects,
    training::{
        kinds::{self, FollowUp, RunDefinition, SamplePrompts, definition},
        launch::{self, LaunchInput, LaunchRequest},
    },
    work::tasks::NewTask,
};
use anyhow::Context;
use entity::{
    completion, dataset_version_item,
    ids::{CompletionId, DatasetVersionId, ModelId, ProjectId, PromptId, RunId},
    project,
    report::FinishReason,
    run::{self, RunKind, RunStatus},
    run_config::SampleConfig,
    run_input::{self, InputSlot},
    task, task_completion,
    time::UnixMillis,
};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbErr,
    EntityTrait, QueryFilter, QuerySelect,
};
use serde::Deserialize;
use std::{
    collections::{HashMap, HashSet},
    fs::File,
    io::{BufRead, BufReader},
    path::Path,
    time::{Duration, Instant},
};
use storage::artifact_store::ArtifactStore;
use storage::database::{row_chunks, write};

/// How often finished runs are looked for.
const POLL: Duration = Duration::from_secs(1);

/// Prompts whose answers are written at once.
const CHUNK: usize = 200;

/// After how long a run that could not be followed up is tried again.
const RETRY: Duration = Duration::from_secs(60);

/// Follows up every run that ends, for as long as the service runs. A run that cannot be followed
/// up is logged and tried again a minute later.
pub async fn watch(db: DatabaseConnection, store: ArtifactStore) {
    let mut failed = HashMap::new();
    loop {
        if let Err(error) = follow_up_all(&db, &store, &mut failed).await {
            tracing::warn!(error = format!("{error:#}"), "cannot look for finished runs");
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Follows up every run that has succeeded and was not followed up yet, but for those of deleted
/// projects and those that `failed` a moment ago, to which new failures are added.
pub async fn follow_up_all(
    db: &DatabaseConnection,
    store: &ArtifactStore,
    failed: &mut HashMap<RunId, Instant>,
) -> anyhow::Result<()> {
    let finished = run::Entity::find()
        .filter(run::Column::Status.eq(RunStatus::Succeeded))
        .filter(run::Column::Kind.is_in(followed_up_kinds()))
        .filter(run::Column::FollowedUpAt.is_null())
        .filter(run::Column::ProjectId.not_in_subquery(projects::deleted()))
        .all(db)
        .await?;
    for run in finished {
        if failed.get(&run.id).is_some_and(|at| at.elapsed() < RETRY) {
            continue;
        }
        if let Err(error) = follow_up(db, store, &run).await {
            tracing::error!(run = %run.id, error = format!("{error:#}"), "cannot follow up a finished run");
            failed.insert(run.id, Instant::now());
        }
    }
    Ok(())
}

/// How long after its end a run is said to be followed up soon; one that failed at it is no news.
const SOON: Duration = Duration::from_secs(120);

/// Whether a run of the project has just ended, and what follows it is still to come.
pub async fn is_due(db: &impl ConnectionTrait, project: ProjectId) -> Result<bool, DbErr> {
    let due = run::Entity::find()
        .filter(run::Column::ProjectId.eq(project))
        .filter(run::Column::Status.eq(RunStatus::Succeeded))
        .filter(run::Column::Kind.is_in(followed_up_kinds()))
        .filter(run::Column::FollowedUpAt.is_null())
        .filter(run::Column::FinishedAt.gt(UnixMillis::now().minus(SOON)))
        .one(db)
        .await?;
    Ok(due.is_some())
}

/// The kinds of run that something follows.
fn followed_up_kinds() -> impl Iterator<Item = RunKind> {
    let is_followed =
        |definition: &&RunDefinition| !matches!(definition.follow_up, FollowUp::Nothing);
    kinds::all().filter(is_followed).map(|definition| definition.kind)
}

async fn follow_up(
    db: &DatabaseConnection,
    store: &ArtifactStore,
    run: &run::Model,
) -> anyhow::Result<()> {
    match definition(run.kind).follow_up {
        FollowUp::Nothing => Ok(()),
        FollowUp::MakeTasks => follow_up_with_tasks(db, store, run).await,
        FollowUp::SamplePolicy { prompts, config } => {
            follow_up_with_sampling(db, store, run, prompts, config(&run.config)?).await
        }
    }
}

async fn follow_up_with_tasks(
    db: &DatabaseConnection,
    store: &ArtifactStore,
    run: &run::Model,
) -> anyhow::Result<()> {
    let made = write(db, |changes| async move {
        match is_mine_to_follow_up(&*changes, run.id).await? {
            true => make_tasks(&changes, store, run).await.map(Some),
            false => Ok(None),
        }
    });
    if let Some(made) = made.await? {
        tracing::info!(run = %run.id, tasks = made, "made comparison tasks");
    }
    Ok(())
}

async fn follow_up_with_sampling(
    db: &DatabaseConnection,
    store: &ArtifactStore,
    run: &run::Model,
    prompts: SamplePrompts,
    config: SampleConfig,
) -> anyhow::Result<()> {
    // Files first, so that the write lock is held for rows alone.
    let frozen = match prompts {
        SamplePrompts::OfTheRun => None,
        SamplePrompts::OfTheProject => {
            let contents = DatasetContents::Prompts(PromptSelection::Train);
            Some(dataset::freeze(db, store, run.project_id, contents).await?)
        }
    };
    let (frozen, config) = (frozen.as_ref(), &serde_json::to_value(config)?);
    let policy = run.output_model_id.context("the run made no model")?;
    write(db, |changes| async move {
        if !is_mine_to_follow_up(&*changes, run.id).await? {
            return Ok(());
        }
        let rows = match frozen {
            Some(frozen) => frozen.record(&*changes, run.created_by).await?,
            None => inputs_of(&*changes, run.id).await?.1,
        };
        let sample = LaunchRequest {
            project: run.project_id,
            kind: RunKind::Sample,
            config: config.clone(),
            inputs: vec![LaunchInput::Model(InputSlot::Model, policy), LaunchInput::Rows(rows)],
            by: run.created_by,
        };
        match launch::queue(&*changes, &sample).await {
            Ok(sample) => {
                tracing::info!(run = %run.id, %sample, "queued the sample run of a new policy");
            }
            Err(HoldError::Model(name)) => {
                tracing::info!(run = %run.id, name, "the new policy was deleted already");
            }
            Err(error) => return Err(error.into()),
        }
        Ok(())
    })
    .await
}

/// Marks the run as followed up; false when another process was first.
async fn is_mine_to_follow_up(db: &impl ConnectionTrait, run: RunId) -> Result<bool, DbErr> {
    let marked = run::Entity::update_many()
        .col_expr(run::Column::FollowedUpAt, UnixMillis::now().0.into())
        .filter(run::Column::Id.eq(run))
        .filter(run::Column::FollowedUpAt.is_null())
        .exec(db)
        .await?;
    Ok(marked.rows_affected == 1)
}

/// The model and the dataset version that a run reads.
async fn inputs_of(
    db: &impl ConnectionTrait,
    run: RunId,
) -> anyhow::Result<(ModelId, DatasetVersionId)> {
    let inputs = run_input::Entity::find().filter(run_input::Column::RunId.eq(run)).all(db).await?;
    let model =
        inputs.iter().find(|input| input.slot == InputSlot::Model).and_then(|input| input.model_id);
    let dataset = inputs.iter().find_map(|input| input.dataset_version_id);
    Ok((model.context("the run has no model")?, dataset.context("the run has no dataset version")?))
}

/// A line of `completions.jsonl`.
#[derive(Debug, Deserialize)]
struct Line {
    /// The 0-based row of the prompts file.
    index: i32,
    completions: Vec<Answer>,
}

#[derive(Debug, Deserialize)]
struct Answer {
    text: String,
    token_ids: Vec<i64>,
    finish_reason: FinishReason,
}

/// Stores the run's answers and asks people to compare them; returns how many tasks there are.
async fn make_tasks(
    db: &DatabaseTransaction,
    store: &ArtifactStore,
    run: &run::Model,
) -> anyhow::Result<usize> {
    let project = project::Entity::find_by_id(run.project_id)
        .one(db)
        .await?
        .context("the project is gone")?;
    let (model, dataset) = inputs_of(db, run.id).await?;
    let prompts: HashMap<i32, PromptId> = dataset_version_item::Entity::find()
        .select_only()
        .columns([dataset_version_item::Column::Position, dataset_version_item::Column::PromptId])
        .filter(dataset_version_item::Column::DatasetVersionId.eq(dataset))
        .filter(dataset_version_item::Column::Split.eq(dataset_version_item::DatasetSplit::Train))
        .into_tuple::<(i32, PromptId)>()
        .all(db)
        .await?
        .into_iter()
        .collect();
    let output = run.output_hash.as_deref().context("the run has no output")?;
    let mut rows =
        Rows { run, model, overlap: project.comparison_overlap, batch: Batch::default(), made: 0 };
    let mut lines = lines_of(&store.path(output).join("completions.jsonl"))?;
    while let Some(line) = lines.next().transpose()? {
        let prompt = prompts
            .get(&line.index)
            .with_context(|| format!("row {} has no prompt", line.index))?;
        rows.add(*prompt, line.completions);
        if rows.batch.n_prompts == CHUNK {
            std::mem::take(&mut rows.batch).insert(db).await?;
        }
    }
    rows.batch.insert(db).await?;
    Ok(rows.made)
}

fn lines_of(path: &Path) -> anyhow::Result<impl Iterator<Item = anyhow::Result<Line>> + use<>> {
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(BufReader::new(file).lines().map(|line| Ok(serde_json::from_str(&line?)?)))
}

/// The rows that a sample run becomes.
struct Rows<'a> {
    run: &'a run::Model,
    model: ModelId,
    /// How many people compare each pair.
    overlap: i32,
    batch: Batch,
    made: usize,
}

/// Rows that are inserted together.
#[derive(Default)]
struct Batch {
    n_prompts: usize,
    texts: Vec<HashedText>,
    completions: Vec<completion::ActiveModel>,
    tasks: Vec<task::ActiveModel>,
    task_completions: Vec<task_completion::ActiveModel>,
}

impl Rows<'_> {
    fn add(&mut self, prompt: PromptId, answers: Vec<Answer>) {
        let now = UnixMillis::now();
        let mut stored = Vec::with_capacity(answers.len());
        for (sample_index, answer) in answers.into_iter().enumerate() {
            let text = HashedText::new(answer.text);
            let (id, hash) = (CompletionId::new(), text.hash());
            self.batch.completions.push(completion::ActiveModel {
                id: Set(id),
                prompt_id: Set(prompt),
                text_hash: Set(hash.clone()),
                model_id: Set(Some(self.model)),
                run_id: Set(Some(self.run.id)),
                sample_index: Set(sample_index as i32),
                finish_reason: Set(Some(answer.finish_reason)),
                n_tokens: Set(Some(answer.token_ids.len() as i32)),
                created_at: Set(now),
            });
            self.batch.texts.push(text);
            stored.push((id, hash));
        }
        for (pair, answers) in pairs(&stored).into_iter().enumerate() {
            self.ask(prompt, pair, answers);
        }
        self.batch.n_prompts += 1;
    }

    fn ask(&mut self, prompt: PromptId, pair: usize, answers: [CompletionId; 2]) {
        let task = NewTask {
            project: self.run.project_id,
            prompt,
            kind: task::TaskKind::Compare,
            overlap: self.overlap,
            run: Some(self.run.id),
            origin: format!("sample:{}:{prompt}:{pair}", self.run.id),
        };
        let task = task.open();
        let id = task.id.clone();
        self.batch.tasks.push(task);
        for (position, completion) in answers.into_iter().enumerate() {
            self.batch.task_completions.push(task_completion::ActiveModel {
                task_id: id.clone(),
                position: Set(position as i32),
                completion_id: Set(completion),
            });
        }
        self.made += 1;
    }
}

/// Neighbours among the distinct texts: k of them make k / 2 pairs, so that no answer is read
/// twice; equal answers are never compared.
fn pairs(answers: &[(CompletionId, String)]) -> Vec<[CompletionId; 2]> {
    let mut seen = HashSet::new();
    let distinct: Vec<_> =
        answers.iter().filter(|(_, hash)| seen.insert(hash)).map(|(id, _)| *id).collect();
    distinct.chunks_exact(2).map(|pair| [pair[0], pair[1]]).collect()
}

impl Batch {
    async fn insert(self, db: &impl ConnectionTrait) -> Result<(), DbErr> {
        texts::store_all(db, self.texts).await?;
        for chunk in row_chunks(self.completions) {
            completion::Entity::insert_many(chunk).exec_without_returning(db).await?;
        }
        for chunk in row_chunks(self.tasks) {
            task::Entity::insert_many(chunk).exec_without_returning(db).await?;
        }
        for chunk in row_chunks(self.task_completions) {
            task_completion::Entity::insert_many(chunk).exec_without_returning(db).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paired(texts: &[&str]) -> Vec<[usize; 2]> {
        let answers: Vec<_> =
            texts.iter().map(|text| (CompletionId::new(), (*text).to_owned())).collect();
        let place = |id| answers.iter().position(|(answer, _)| *answer == id).unwrap();
        pairs(&answers).into_iter().map(|pair| pair.map(place)).collect()
    }

    #[test]
    fn four_answers_make_two_pairs_and_each_is_read_once() {
        assert_eq!(paired(&["a", "b", "c", "d"]), [[0, 1], [2, 3]]);
        assert_eq!(paired(&["a", "b", "c"]), [[0, 1]]);
    }

    #[test]
    fn equal_answers_are_never_compared() {
        assert_eq!(paired(&["a", "a", "b", "a"]), [[0, 2]]);
        assert!(paired(&["a", "a"]).is_empty());
        assert!(paired(&[]).is_empty());
    }
}
