//! TRL's rows for SFT, `prompt` + `completion`, which demonstrations give; a conversation in
//! `messages` that ends with the answer is read as well.

use crate::{
    data::{
        formats::{
            DataFormat, DatasetContents, ExportName, FormatWords,
            row::{ImportRow, RowFields, RowRefusal, not_empty},
        },
        prompts, texts,
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
        row: &'a ImportRow,
    ) -> BoxFuture<'a, Result<bool, DbErr>> {
        Box::pin(async move {
            let (prompt, _) = prompts::store(turn, project, &row.prompt).await?;
            let text_hash = texts::store(turn, &row.answers[0]).await?;
            let (kind, origin) = (TaskKind::Demonstrate, format!("import:{prompt}:{text_hash}"));
            let new = NewTask { project, prompt, kind, overlap: 1, run: None, origin };
            let Some(task) = tasks::store_answered(turn, new).await? else { return Ok(false) };
            let payload = JudgementPayload::Demonstration { text_hash };
            judgement::store_imported(turn, task, payload, ShownOrder(Vec::new())).await?;
            Ok(true)
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
            let answer = not_empty(last.content, "messages")?;
            let prompt = PromptBody::Messages(messages);
            Ok(ImportRow::new(DatasetKind::Demonstrations, prompt, [answer]))
        }
        _ => Err(RowRefusal::NoAnswer),
    }
}
