//! From the answers of a sample run to comparison tasks, in portions: each is one short transaction
//! with how many lines of the file have become tasks, so that whoever comes after goes on there.

use super::inputs_of;
use crate::{
    data::texts::{self, HashedText},
    people::projects,
    work::tasks::NewTask,
};
use anyhow::Context;
use entity::{
    completion, dataset_version_item,
    ids::{CompletionId, ModelId, ProjectId, PromptId, RunId},
    project,
    report::FinishReason,
    run, task, task_completion,
    time::UnixMillis,
};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbErr,
    EntityTrait, QueryFilter, QuerySelect, sea_query::Expr,
};
use serde::Deserialize;
use std::{
    collections::{BTreeSet, HashMap, HashSet},
    fs::File,
    io::{BufRead, BufReader, Lines},
    path::Path,
};
use storage::{artifact_store::ArtifactStore, database::row_chunks};

/// Answers that go into one transaction; those to one prompt may be more.
const AT_ONCE: usize = 200;

/// Bytes of text that do; one prompt's answers may be more.
const BYTES_AT_ONCE: usize = 1 << 20;

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

/// The answers of a sample run that are no tasks yet.
pub(super) struct AnswerPortions<'a> {
    run: &'a run::Model,
    model: ModelId,
    /// How many people compare each pair.
    overlap: i32,
    /// By the row of the prompts file.
    prompts: HashMap<i32, PromptId>,
    lines: Lines<BufReader<File>>,
    n_done: i32,
}

impl<'a> AnswerPortions<'a> {
    pub(super) async fn open(
        db: &DatabaseConnection,
        store: &ArtifactStore,
        run: &'a run::Model,
    ) -> anyhow::Result<Self> {
        let project = project::Entity::find_by_id(run.project_id).one(db).await?;
        let overlap = project.context("the project is gone")?.comparison_overlap;
        let (model, dataset) = inputs_of(db, run.id).await?;
        let prompts = dataset_version_item::Entity::find()
            .select_only()
            .columns([
                dataset_version_item::Column::Position,
                dataset_version_item::Column::PromptId,
            ])
            .filter(dataset_version_item::Column::DatasetVersionId.eq(dataset))
            .filter(
                dataset_version_item::Column::Split.eq(dataset_version_item::DatasetSplit::Train),
            )
            .into_tuple::<(i32, PromptId)>()
            .all(db)
            .await?
            .into_iter()
            .collect();
        let output = run.output_hash.as_deref().context("the run has no output")?;
        let mut lines = lines_of(&store.path(output).join("completions.jsonl"))?;
        for _ in 0..run.lines_followed_up {
            lines.next().transpose()?;
        }
        let n_done = run.lines_followed_up;
        Ok(Self { run, model, overlap, prompts, lines, n_done })
    }

    /// What comes next; nothing after the last line.
    pub(super) fn next_portion(&mut self) -> anyhow::Result<AnswerPortion> {
        let mut portion = AnswerPortion {
            run: self.run.id,
            project: self.run.project_id,
            overlap: self.overlap,
            n_before: self.n_done,
            n_bytes: 0,
            texts: Vec::new(),
            lines: Vec::new(),
        };
        while portion.texts.len() < AT_ONCE && portion.n_bytes < BYTES_AT_ONCE {
            let Some(line) = self.lines.next().transpose()? else { break };
            let line: Line = serde_json::from_str(&line)?;
            let prompt = self.prompts.get(&line.index);
            let prompt = prompt.with_context(|| format!("row {} has no prompt", line.index))?;
            self.add(&mut portion, *prompt, line.completions);
        }
        self.n_done += portion.n_lines();
        Ok(portion)
    }

    fn add(&self, portion: &mut AnswerPortion, prompt: PromptId, answers: Vec<Answer>) {
        let now = UnixMillis::now();
        let mut stored = Vec::with_capacity(answers.len());
        for (sample_index, answer) in answers.into_iter().enumerate() {
            portion.n_bytes += answer.text.len();
            let text = HashedText::new(answer.text);
            let (id, hash) = (CompletionId::new(), text.hash());
            let row = completion::ActiveModel {
                id: Set(id),
                prompt_id: Set(prompt),
                text_hash: Set(hash.clone()),
                model_id: Set(Some(self.model)),
                run_id: Set(Some(self.run.id)),
                sample_index: Set(sample_index as i32),
                finish_reason: Set(Some(answer.finish_reason)),
                n_tokens: Set(Some(answer.token_ids.len() as i32)),
                created_at: Set(now),
            };
            portion.texts.push(text);
            stored.push(SampledAnswer { id, hash, row });
        }
        portion.lines.push((prompt, stored));
    }
}

fn lines_of(path: &Path) -> anyhow::Result<Lines<BufReader<File>>> {
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(BufReader::new(file).lines())
}

/// What became of a portion.
pub(super) enum PortionOutcome {
    /// With how many tasks.
    Stored(usize),
    /// There was nothing more: the run is followed up.
    Last,
    /// Another process goes on with it, or nobody wants it any more; nothing was written.
    NotOurs,
}

/// An answer of a model, and its row.
struct SampledAnswer {
    id: CompletionId,
    hash: String,
    row: completion::ActiveModel,
}

/// Lines that become rows together.
pub(super) struct AnswerPortion {
    run: RunId,
    project: ProjectId,
    overlap: i32,
    /// Lines of the file before it.
    n_before: i32,
    n_bytes: usize,
    texts: Vec<HashedText>,
    lines: Vec<(PromptId, Vec<SampledAnswer>)>,
}

/// Rows that are written together.
#[derive(Default)]
struct AnswerRows {
    completions: Vec<completion::ActiveModel>,
    tasks: Vec<task::ActiveModel>,
    task_completions: Vec<task_completion::ActiveModel>,
}

impl AnswerPortion {
    fn n_lines(&self) -> i32 {
        self.lines.len() as i32
    }

    pub(super) async fn store(&self, turn: &DatabaseTransaction) -> Result<PortionOutcome, DbErr> {
        let is_last = self.lines.is_empty();
        let followed_up_at = is_last.then(UnixMillis::now);
        // First: so it is this process that goes on, and none beside it.
        let went_on = run::Entity::update_many()
            .col_expr(run::Column::LinesFollowedUp, (self.n_before + self.n_lines()).into())
            .col_expr(run::Column::FollowedUpAt, Expr::value(followed_up_at))
            .filter(run::Column::Id.eq(self.run))
            .filter(run::Column::LinesFollowedUp.eq(self.n_before))
            .filter(run::Column::FollowedUpAt.is_null())
            .filter(run::Column::ProjectId.not_in_subquery(projects::deleted()))
            .exec(turn)
            .await?;
        if went_on.rows_affected == 0 {
            return Ok(PortionOutcome::NotOurs);
        }
        if is_last {
            return Ok(PortionOutcome::Last);
        }
        let erased = texts::store_all(turn, self.texts.clone()).await?;
        let rows = self.rows(&erased);
        let n_tasks = rows.tasks.len();
        rows.insert(turn).await?;
        Ok(PortionOutcome::Stored(n_tasks))
    }

    /// A text that was erased for the law is no answer to anything, if a model says it again.
    fn rows(&self, erased: &BTreeSet<String>) -> AnswerRows {
        let mut rows = AnswerRows::default();
        for (prompt, answers) in &self.lines {
            let kept: Vec<_> =
                answers.iter().filter(|answer| !erased.contains(&answer.hash)).collect();
            rows.completions.extend(kept.iter().map(|answer| answer.row.clone()));
            let kept: Vec<_> =
                kept.into_iter().map(|answer| (answer.id, answer.hash.clone())).collect();
            for (pair, answers) in pairs(&kept).into_iter().enumerate() {
                self.ask(&mut rows, *prompt, pair, answers);
            }
        }
        rows
    }

    fn ask(
        &self,
        rows: &mut AnswerRows,
        prompt: PromptId,
        pair: usize,
        answers: [CompletionId; 2],
    ) {
        let task = NewTask {
            project: self.project,
            prompt,
            kind: task::TaskKind::Compare,
            overlap: self.overlap,
            run: Some(self.run),
            origin: format!("sample:{}:{prompt}:{pair}", self.run),
        };
        let task = task.open();
        let id = task.id.clone();
        rows.tasks.push(task);
        for (position, completion) in answers.into_iter().enumerate() {
            rows.task_completions.push(task_completion::ActiveModel {
                task_id: id.clone(),
                position: Set(position as i32),
                completion_id: Set(completion),
            });
        }
    }
}

impl AnswerRows {
    async fn insert(self, db: &impl ConnectionTrait) -> Result<(), DbErr> {
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

/// Neighbours among the distinct texts: k of them make k / 2 pairs, so that no answer is read
/// twice; equal answers are never compared.
fn pairs(answers: &[(CompletionId, String)]) -> Vec<[CompletionId; 2]> {
    let mut seen = HashSet::new();
    let distinct: Vec<_> =
        answers.iter().filter(|(_, hash)| seen.insert(hash)).map(|(id, _)| *id).collect();
    distinct.chunks_exact(2).map(|pair| [pair[0], pair[1]]).collect()
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
