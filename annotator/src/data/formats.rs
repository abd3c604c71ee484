//! The formats that rows of data have, one file each: TRL's types. What is particular to one (how it
//! is read from a file, stored, written, exported, and called) is in its file; [`of`] lists them.

pub mod preference;
pub mod prompts;
pub mod row;
pub mod sft;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use entity::{
    conversation::{ChatMessage, PromptBody},
    dataset_version::DatasetKind,
    dataset_version_item::DatasetSplit,
    ids::{ProjectId, PromptId},
};
use futures_util::future::BoxFuture;
use row::{ImportRow, RowFields, RowRefusal};
use sea_orm::{DatabaseTransaction, DbErr, Iterable};
use serde_json::{Value, json};

/// All that is particular to a format. A row is a prompt and the answers that it has beside it.
pub trait DataFormat: Sync {
    /// What a dataset version of this format holds, unless something narrower is asked for.
    fn contents(&self) -> DatasetContents;

    fn words(&self) -> &'static FormatWords;

    /// How its rows are taken out of a project; none where they are not.
    fn export(&self) -> Option<&'static ExportName> {
        None
    }

    /// Every field that a row of this format may have beside `prompt`.
    fn fields(&self) -> &'static [&'static str];

    /// The fields of the answers, in their order.
    fn answers(&self) -> &'static [&'static str];

    /// A row out of its fields; none when it is of another format.
    fn read(&self, fields: &RowFields) -> Result<Option<ImportRow>, RowRefusal>;

    /// Stores rows of this format, with their judgements if they say one; which of them are new.
    fn store<'a>(
        &'a self,
        turn: &'a DatabaseTransaction,
        project: ProjectId,
        rows: Vec<PlacedRow>,
    ) -> BoxFuture<'a, Result<Vec<bool>, DbErr>>;

    fn kind(&self) -> DatasetKind {
        self.contents().kind()
    }

    /// The row as a run reads it: an answer to messages is a message, an answer to text is text.
    fn write(&self, prompt: &PromptBody, answers: Vec<String>) -> Value {
        let mut row = json!({ "prompt": prompt });
        for (field, answer) in self.answers().iter().zip(answers) {
            row[*field] = match prompt {
                PromptBody::Text(_) => Value::String(answer),
                PromptBody::Messages(_) => json!([ChatMessage::assistant(answer)]),
            };
        }
        row
    }
}

/// A row that [`DataFormat::read`] made, whose prompt and texts are stored.
pub struct PlacedRow {
    pub prompt: PromptId,
    /// Its prompt is new, or was withdrawn and came back, with this row.
    pub is_new_prompt: bool,
    /// The hashes of its answers.
    pub answers: Vec<String>,
}

/// The table of the formats.
pub fn of(kind: DatasetKind) -> &'static dyn DataFormat {
    match kind {
        DatasetKind::Demonstrations => &sft::SftRows,
        DatasetKind::Preferences => &preference::PreferenceRows,
        DatasetKind::Prompts => &prompts::PromptRows,
    }
}

/// Every format, in the order in which a row is held against them.
pub fn all() -> impl Iterator<Item = &'static dyn DataFormat> {
    DatasetKind::iter().map(of)
}

/// The texts of a format: Fluent keys, but for what a command line prints.
pub struct FormatWords {
    /// What its rows are.
    pub name: &'static str,
    /// What is frozen when a run that reads it is launched.
    pub freezes: &'static str,
    /// How many rows a version has, by `train` and `eval`.
    pub counts: &'static str,
    /// Why a run that reads it has nothing to read, and what to do about it.
    pub nothing_to_read: &'static str,
    /// Its rows, counted by `annotator import`.
    pub counted: &'static str,
}

/// A format in which a project's work is taken out.
pub struct ExportName {
    /// On the command line and in an address.
    pub slug: &'static str,
    /// What the command line says of it.
    pub help: &'static str,
    /// The Fluent key of the button that downloads it.
    pub label: &'static str,
}

/// The format that is exported under that name.
pub fn exported_as(slug: &str) -> Option<&'static dyn DataFormat> {
    all().find(|format| format.export().is_some_and(|export| export.slug == slug))
}

/// Reads the name of a format on a command line.
pub fn export_parser() -> impl TypedValueParser<Value = DatasetKind> {
    let names = all().filter_map(DataFormat::export);
    PossibleValuesParser::new(names.map(|name| PossibleValue::new(name.slug).help(name.help)))
        .map(|slug| exported_as(&slug).expect("clap accepts these names alone").kind())
}

/// Which prompts a version of prompts alone holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PromptSelection {
    /// Those that models may be trained on; the held-out ones stay unseen.
    #[default]
    Train,
    HeldOut,
    All,
}

impl PromptSelection {
    /// The file of the version that prompts of this side are in, if they are in it: the rows to work
    /// on are those of `train.jsonl`. Beside prompts to learn from are the held-out ones, to measure
    /// on.
    pub fn file(self, side: DatasetSplit) -> Option<DatasetSplit> {
        match (self, side) {
            (Self::All, _)
            | (Self::Train, DatasetSplit::Train)
            | (Self::HeldOut, DatasetSplit::Eval) => Some(DatasetSplit::Train),
            (Self::Train, DatasetSplit::Eval) => Some(DatasetSplit::Eval),
            (Self::HeldOut, DatasetSplit::Train) => None,
        }
    }
}

/// What to freeze.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DatasetContents {
    /// `prompt` + `completion`.
    Demonstrations,
    /// `prompt` + `chosen` + `rejected`.
    Preferences,
    /// The same, with a `margin` by how much better the chosen answer was called.
    PreferencesWithMargins,
    /// `prompt` alone.
    Prompts(PromptSelection),
}

impl DatasetContents {
    pub fn kind(self) -> DatasetKind {
        match self {
            Self::Demonstrations => DatasetKind::Demonstrations,
            Self::Preferences | Self::PreferencesWithMargins => DatasetKind::Preferences,
            Self::Prompts(_) => DatasetKind::Prompts,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_format_is_found_by_its_kind_and_by_the_name_of_its_export() {
        for kind in DatasetKind::iter() {
            assert_eq!(of(kind).kind(), kind);
        }
        let exported = |slug| exported_as(slug).map(DataFormat::kind);
        assert_eq!(exported("trl-sft"), Some(DatasetKind::Demonstrations));
        assert_eq!(exported("trl-preference"), Some(DatasetKind::Preferences));
        assert_eq!(exported("TRL-SFT"), None);
    }

    #[test]
    fn every_prompt_is_either_for_training_or_held_out() {
        let works_on =
            |selection: PromptSelection, side| selection.file(side) == Some(DatasetSplit::Train);
        for side in [DatasetSplit::Train, DatasetSplit::Eval] {
            assert_ne!(
                works_on(PromptSelection::Train, side),
                works_on(PromptSelection::HeldOut, side)
            );
            assert!(works_on(PromptSelection::All, side));
        }
        assert!(works_on(PromptSelection::HeldOut, DatasetSplit::Eval));
        assert_eq!(PromptSelection::Train.file(DatasetSplit::Eval), Some(DatasetSplit::Eval));
    }

    #[test]
    fn an_answer_to_messages_is_a_message_and_an_answer_to_text_is_text() {
        let preference = of(DatasetKind::Preferences);
        let write = |prompt: &str| {
            let prompt: PromptBody = serde_json::from_str(prompt).unwrap();
            preference.write(&prompt, vec!["yes".into(), "no".into()])
        };
        assert_eq!(
            write(r#""Why?""#),
            json!({"prompt": "Why?", "chosen": "yes", "rejected": "no"})
        );
        assert_eq!(
            write(r#"[{"role":"user","content":"Why?"}]"#),
            json!({
                "prompt": [{"role": "user", "content": "Why?"}],
                "chosen": [{"role": "assistant", "content": "yes"}],
                "rejected": [{"role": "assistant", "content": "no"}]
            })
        );
    }
}
