//! TRL's rows for SFT, `prompt` + `completion`, which demonstrations give; a conversation in
//! `messages` that ends with the answer is read as well.

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
    conversation::{MessageRole, PromptBody},
    dataset_version::DatasetKind,
    ids::ProjectId,
    judgement::{JudgementPayload, ShownOrder},
    message,
    task::TaskKind,
};
use futures_util::future::BoxFuture;
use sea_orm::{DatabaseTransaction, DbErr};

pub struct SftRows;

impl DataFormat for SftRows {
    fn contents(&self) -> DatasetContents {
        DatasetContents::Demonstrations
    }

    fn words(&self) -> &'static FormatWords {
        &FormatWords {
            name: "dataset-kind-demonstrations",
            freezes: "dataset-freeze-demonstrations",
            counts: "dataset-counts",
            nothing_to_read: "problem-no-demonstrations",
            counted: "demonstrations",
        }
    }

    fn export(&self) -> Option<&'static ExportName> {
        Some(&ExportName {
            slug: "trl-sft",
            help: "`prompt` + `completion`, from demonstrations",
            label: "export-demonstrations",
        })
    }

    fn fields(&self) -> &'static [&'static str] {
        &["completion", "messages"]
    }

    fn answers(&self) -> &'static [&'static str] {
        &["completion"]
    }

    fn read(&self, fields: &RowFields) -> Result<Option<ImportRow>, RowRefusal> {
        if fields.has("messages") {
            if let Some(other) = fields.other_than(&["messages"]) {
                return Err(RowRefusal::Together(other, "messages"));
            }
            return from_messages(fields).map(Some);
        }
        if !fields.has("completion") {
            return Ok(None);
        }
        let prompt = fields.prompt("prompt")?;
        let completion = fields.answer("completion", &prompt)?;
        if let Some(other) = fields.other_than(&["prompt", "completion"]) {
            return Err(RowRefusal::Together("completion", other));
        }
        Ok(Some(ImportRow::new(DatasetKind::Demonstrations, prompt, completion)))
    }

    fn store<'a>(
        &'a self,
        turn: &'a DatabaseTransaction,
        project: ProjectId,
        rows: Vec<PlacedRow>,
    ) -> BoxFuture<'a, Result<Vec<bool>, DbErr>> {
        Box::pin(async move {
            let task = |row: &PlacedRow| {
                let (prompt, kind) = (row.prompt, TaskKind::Demonstrate);
                let origin = format!("import:{prompt}:{}", row.answers[0]);
                NewTask { project, prompt, kind, overlap: 1, run: None, origin }
            };
            let made = tasks::store_answered(turn, rows.iter().map(task).collect()).await?;
            let said = made.iter().zip(&rows).filter_map(|(task, row)| {
                let text_hash = row.answers[0].clone();
                let payload = JudgementPayload::Demonstration { text_hash };
                Some(((*task)?, payload, ShownOrder(Vec::new())))
            });
            judgement::store_imported(turn, said.collect()).await?;
            Ok(made.iter().map(Option::is_some).collect())
        })
    }
}

/// The last message is the answer, what goes before it the prompt.
fn from_messages(fields: &RowFields) -> Result<ImportRow, RowRefusal> {
    let PromptBody::Messages(mut messages) = fields.prompt("messages")? else {
        return Err(RowRefusal::WrongType("messages", message!("row-is-a-text", "it is a text")));
    };
    match messages.pop() {
        Some(last) if last.role == MessageRole::Assistant && !messages.is_empty() => {
            let prompt = PromptBody::Messages(messages);
            Ok(ImportRow::new(DatasetKind::Demonstrations, prompt, [last.content]))
        }
        _ => Err(RowRefusal::NoAnswer),
    }
}
