//! TRL's rows of preferences, `prompt` + `chosen` + `rejected`, which comparisons give.

use crate::{
    data::formats::{
        DataFormat, DatasetContents, ExportName, FormatWords, PlacedRow,
        row::{ImportRow, RowFields, RowRefusal},
    },
    work::{
        judgement,
        tasks::{self, NewTask},
    },
};
use entity::{
    completion,
    dataset_version::DatasetKind,
    ids::{CompletionId, ProjectId, TaskId},
    judgement::{ComparisonVerdict, JudgementPayload, ShownOrder},
    task::TaskKind,
    task_completion,
    time::UnixMillis,
};
use futures_util::future::BoxFuture;
use sea_orm::{ActiveValue::Set, DatabaseTransaction, DbErr, EntityTrait};
use storage::database::row_chunks;

pub struct PreferenceRows;

impl DataFormat for PreferenceRows {
    fn contents(&self) -> DatasetContents {
        DatasetContents::Preferences
    }

    fn words(&self) -> &'static FormatWords {
        &FormatWords {
            name: "dataset-kind-preferences",
            freezes: "dataset-freeze-preferences",
            counts: "dataset-counts",
            nothing_to_read: "problem-no-preferences",
            counted: "preferences",
        }
    }

    fn export(&self) -> Option<&'static ExportName> {
        Some(&ExportName {
            slug: "trl-preference",
            help: "`prompt` + `chosen` + `rejected`, from comparisons",
            label: "export-preferences",
        })
    }

    fn fields(&self) -> &'static [&'static str] {
        self.answers()
    }

    fn answers(&self) -> &'static [&'static str] {
        &["chosen", "rejected"]
    }

    fn read(&self, fields: &RowFields) -> Result<Option<ImportRow>, RowRefusal> {
        if !fields.has("chosen") && !fields.has("rejected") {
            return Ok(None);
        }
        let prompt = fields.prompt("prompt")?;
        let (chosen, rejected) =
            (fields.answer("chosen", &prompt)?, fields.answer("rejected", &prompt)?);
        if let Some(other) = fields.other_than(&["prompt", "chosen", "rejected"]) {
            return Err(RowRefusal::Together("chosen", other));
        }
        let chosen = chosen.ok_or(RowRefusal::Missing("chosen"))?;
        let rejected = rejected.ok_or(RowRefusal::Missing("rejected"))?;
        if chosen == rejected {
            return Err(RowRefusal::SameAnswers("chosen", "rejected"));
        }
        Ok(Some(ImportRow::new(DatasetKind::Preferences, prompt, [chosen, rejected])))
    }

    /// The chosen answer takes position 0 and is "shown" on the left: nobody was shown anything.
    fn store<'a>(
        &'a self,
        turn: &'a DatabaseTransaction,
        project: ProjectId,
        rows: Vec<PlacedRow>,
    ) -> BoxFuture<'a, Result<Vec<bool>, DbErr>> {
        Box::pin(async move {
            let task = |row: &PlacedRow| {
                let (prompt, kind) = (row.prompt, TaskKind::Compare);
                let origin = format!("import:{prompt}:{}", row.answers.join(":"));
                NewTask { project, prompt, kind, overlap: 1, run: None, origin }
            };
            let made = tasks::store_answered(turn, rows.iter().map(task).collect()).await?;
            let new = || made.iter().zip(&rows).filter_map(|(task, row)| Some(((*task)?, row)));
            store_answers(turn, new()).await?;
            let said = new().map(|(task, _)| {
                let verdict = ComparisonVerdict::Left(2);
                let payload = JudgementPayload::Comparison { verdict, rationale_hash: None };
                (task, payload, ShownOrder(vec![0, 1]))
            });
            judgement::store_imported(turn, said.collect()).await?;
            Ok(made.iter().map(Option::is_some).collect())
        })
    }
}

/// The answers of new tasks, in their places.
async fn store_answers<'a>(
    turn: &DatabaseTransaction,
    new: impl Iterator<Item = (TaskId, &'a PlacedRow)>,
) -> Result<(), DbErr> {
    let (mut completions, mut places) = (Vec::new(), Vec::new());
    for (task, row) in new {
        for (position, text_hash) in (0..).zip(&row.answers) {
            let id = CompletionId::new();
            completions.push(completion::ActiveModel {
                id: Set(id),
                prompt_id: Set(row.prompt),
                text_hash: Set(text_hash.clone()),
                model_id: Set(None),
                run_id: Set(None),
                sample_index: Set(position),
                finish_reason: Set(None),
                n_tokens: Set(None),
                created_at: Set(UnixMillis::now()),
            });
            places.push(task_completion::ActiveModel {
                task_id: Set(task),
                position: Set(position),
                completion_id: Set(id),
            });
        }
    }
    for chunk in row_chunks(completions) {
        completion::Entity::insert_many(chunk).exec_without_returning(turn).await?;
    }
    for chunk in row_chunks(places) {
        task_completion::Entity::insert_many(chunk).exec_without_returning(turn).await?;
    }
    Ok(())
}
