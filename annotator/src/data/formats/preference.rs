//! TRL's rows of preferences, `prompt` + `chosen` + `rejected`, which comparisons give.

use crate::{
    data::{
        formats::{
            DataFormat, DatasetContents, ExportName, FormatWords,
            row::{ImportRow, RowFields, RowRefusal},
        },
        prompts, texts,
    },
    work::{
        judgement,
        tasks::{self, NewTask},
    },
};
use entity::{
    completion,
    dataset_version::DatasetKind,
    ids::{CompletionId, ProjectId, PromptId, TaskId},
    judgement::{ComparisonVerdict, JudgementPayload, ShownOrder},
    task::TaskKind,
    task_completion,
    time::UnixMillis,
};
use futures_util::future::BoxFuture;
use sea_orm::{ActiveValue::Set, DatabaseTransaction, DbErr, EntityTrait};

pub struct PreferenceRows;

impl DataFormat for PreferenceRows {
    fn contents(&self) -> DatasetContents {
        DatasetContents::Preferences
    }

    fn words(&self) -> &'static FormatWords {
        &FormatWords {
            name: "dataset-kind-preferences",
            freezes: "dataset-freeze-preferences",
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
        Ok(Some(ImportRow::new(DatasetKind::Preferences, prompt, [chosen, rejected])))
    }

    /// The chosen answer takes position 0 and is "shown" on the left: nobody was shown anything.
    fn store<'a>(
        &'a self,
        turn: &'a DatabaseTransaction,
        project: ProjectId,
        row: &'a ImportRow,
    ) -> BoxFuture<'a, Result<bool, DbErr>> {
        Box::pin(async move {
            let (prompt, _) = prompts::store(turn, project, &row.prompt).await?;
            let mut hashes = Vec::new();
            for answer in &row.answers {
                hashes.push(texts::store(turn, answer).await?);
            }
            let (kind, hashed) = (TaskKind::Compare, hashes.join(":"));
            let origin = format!("import:{prompt}:{hashed}");
            let new = NewTask { project, prompt, kind, overlap: 1, run: None, origin };
            let Some(task) = tasks::store_answered(turn, new).await? else { return Ok(false) };
            for (position, text_hash) in (0..).zip(hashes) {
                store_answer(turn, prompt, task, position, text_hash).await?;
            }
            let verdict = ComparisonVerdict::Left(2);
            let payload = JudgementPayload::Comparison { verdict, rationale_hash: None };
            judgement::store_imported(turn, task, payload, ShownOrder(vec![0, 1])).await?;
            Ok(true)
        })
    }
}

async fn store_answer(
    turn: &DatabaseTransaction,
    prompt: PromptId,
    task: TaskId,
    position: i32,
    text_hash: String,
) -> Result<(), DbErr> {
    let completion = CompletionId::new();
    let row = completion::ActiveModel {
        id: Set(completion),
        prompt_id: Set(prompt),
        text_hash: Set(text_hash),
        model_id: Set(None),
        run_id: Set(None),
        sample_index: Set(position),
        finish_reason: Set(None),
        n_tokens: Set(None),
        created_at: Set(UnixMillis::now()),
    };
    completion::Entity::insert(row).exec_without_returning(turn).await?;
    let place = task_completion::ActiveModel {
        task_id: Set(task),
        position: Set(position),
        completion_id: Set(completion),
    };
    task_completion::Entity::insert(place).exec_without_returning(turn).await?;
    Ok(())
}
