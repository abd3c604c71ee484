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
    ids::{CompletionId, ModelId, PromptId, RunId},
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
    collections::{HashMap, HashSet},
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
        let mut portion = AnswerPortion { n_before: self.n_done, ..AnswerPortion::default() };
        while portion.completions.len() < AT_ONCE && portion.n_bytes < BYTES_AT_ONCE {
            let Some(line) = self.lines.next().transpose()? else { break };
            let line: Line = serde_json::from_str(&line)?;
            let prompt = self.prompts.get(&line.index);
            let prompt = prompt.with_context(|| format!("row {} has no prompt", line.index))?;
            self.add(&mut portion, *prompt, line.completions);
        }
        self.n_done += portion.n_lines;
        Ok(portion)
    }

    fn add(&self, portion: &mut AnswerPortion, prompt: PromptId, answers: Vec<Answer>) {
        let now = UnixMillis::now();
        let mut stored = Vec::with_capacity(answers.len());
        for (sample_index, answer) in answers.into_iter().enumerate() {
            portion.n_bytes += answer.text.len();
            let text = HashedText::new(answer.text);
            let (id, hash) = (CompletionId::new(), text.hash());
            portion.completions.push(completion::ActiveModel {
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
            portion.texts.push(text);
            stored.push((id, hash));
        }
        for (pair, answers) in pairs(&stored).into_iter().enumerate() {
            self.ask(portion, prompt, pair, answers);
        }
        portion.n_lines += 1;
    }

    fn ask(
        &self,
        portion: &mut AnswerPortion,
        prompt: PromptId,
        pair: usize,
        answers: [CompletionId; 2],
    ) {
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
        portion.tasks.push(task);
        for (position, completion) in answers.into_iter().enumerate() {
            portion.task_completions.push(task_completion::ActiveModel {
                task_id: id.clone(),
                position: Set(position as i32),
                completion_id: Set(completion),
            });
        }
    }
}

fn lines_of(path: &Path) -> anyhow::Result<Lines<BufReader<File>>> {
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(BufReader::new(file).lines())
}

/// What became of a portion.
pub(super) enum PortionOutcome {
    Stored,
    /// There was nothing more: the run is followed up.
    Last,
    /// Another process goes on with it, or nobody wants it any more; nothing was written.
    NotOurs,
}

/// Rows that are written together.
#[derive(Default)]
pub(super) struct AnswerPortion {
    /// Lines of the file before it.
    n_before: i32,
    n_lines: i32,
    n_bytes: usize,
    texts: Vec<HashedText>,
    completions: Vec<completion::ActiveModel>,
    tasks: Vec<task::ActiveModel>,
    task_completions: Vec<task_completion::ActiveModel>,
}

impl AnswerPortion {
    pub(super) fn n_tasks(&self) -> usize {
        self.tasks.len()
    }

    pub(super) async fn store(
        &self,
        turn: &DatabaseTransaction,
        run: RunId,
    ) -> Result<PortionOutcome, DbErr> {
        let is_last = self.n_lines == 0;
        let followed_up_at = is_last.then(UnixMillis::now);
        // First: so it is this process that goes on, and none beside it.
        let went_on = run::Entity::update_many()
            .col_expr(run::Column::LinesFollowedUp, (self.n_before + self.n_lines).into())
            .col_expr(run::Column::FollowedUpAt, Expr::value(followed_up_at))
            .filter(run::Column::Id.eq(run))
            .filter(run::Column::LinesFollowedUp.eq(self.n_before))
            .filter(run::Column::FollowedUpAt.is_null())
            .filter(run::Column::ProjectId.not_in_subquery(projects::deleted()))
            .exec(turn)
            .await?;
        if went_on.rows_affected == 0 {
            return Ok(PortionOutcome::NotOurs);
        }
        self.insert(turn).await?;
        Ok(if is_last { PortionOutcome::Last } else { PortionOutcome::Stored })
    }

    async fn insert(&self, db: &impl ConnectionTrait) -> Result<(), DbErr> {
        texts::store_all(db, self.texts.clone()).await?;
        for chunk in row_chunks(self.completions.iter().cloned()) {
            completion::Entity::insert_many(chunk).exec_without_returning(db).await?;
        }
        for chunk in row_chunks(self.tasks.iter().cloned()) {
            task::Entity::insert_many(chunk).exec_without_returning(db).await?;
        }
        for chunk in row_chunks(self.task_completions.iter().cloned()) {
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
