//! Prompts alone: what people are asked, and what a model is sampled on or improved with.

use crate::data::{
    formats::{
        DataFormat, DatasetContents, FormatWords, PromptSelection,
        row::{ImportRow, RowFields, RowRefusal},
    },
    prompts,
};
use entity::{dataset_version::DatasetKind, ids::ProjectId};
use futures_util::future::BoxFuture;
use sea_orm::{DatabaseTransaction, DbErr};
use std::slice;

pub struct PromptRows;

impl DataFormat for PromptRows {
    fn contents(&self) -> DatasetContents {
        DatasetContents::Prompts(PromptSelection::All)
    }

    fn words(&self) -> &'static FormatWords {
        &FormatWords {
            name: "dataset-kind-prompts",
            freezes: "dataset-freeze-prompts",
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
        row: &'a ImportRow,
    ) -> BoxFuture<'a, Result<bool, DbErr>> {
        Box::pin(async move {
            Ok(prompts::add(turn, project, slice::from_ref(&row.prompt)).await? == 1)
        })
    }
}
