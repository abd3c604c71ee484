//! Prompts alone: what people are asked, and what a model is sampled on or improved with.

use crate::data::{
    formats::{
        DataFormat, DatasetContents, FormatWords, PlacedRow, PromptSelection,
        row::{ImportRow, RowFields, RowRefusal},
    },
    prompts,
};
use entity::{dataset_version::DatasetKind, ids::ProjectId};
use futures_util::future::BoxFuture;
use sea_orm::{DatabaseTransaction, DbErr};

pub struct PromptRows;

impl DataFormat for PromptRows {
    fn contents(&self) -> DatasetContents {
        DatasetContents::Prompts(PromptSelection::All)
    }

    fn words(&self) -> &'static FormatWords {
        &FormatWords {
            name: "dataset-kind-prompts",
            freezes: "dataset-freeze-prompts",
            counts: "dataset-counts-prompts",
            nothing_to_read: "problem-no-prompts",
            counted: "prompts",
        }
    }

    fn fields(&self) -> &'static [&'static str] {
        &[]
    }

    fn answers(&self) -> &'static [&'static str] {
        &[]
    }

    /// What no other format claimed.
    fn read(&self, fields: &RowFields) -> Result<Option<ImportRow>, RowRefusal> {
        let prompt = fields.prompt("prompt")?;
        Ok(Some(ImportRow::new(DatasetKind::Prompts, prompt, [])))
    }

    fn store<'a>(
        &'a self,
        turn: &'a DatabaseTransaction,
        project: ProjectId,
        rows: Vec<PlacedRow>,
    ) -> BoxFuture<'a, Result<Vec<bool>, DbErr>> {
        Box::pin(async move {
            prompts::ask_for_demonstrations(turn, project, rows.iter().map(|row| row.prompt))
                .await?;
            Ok(rows.iter().map(|row| row.is_new_prompt).collect())
        })
    }
}
