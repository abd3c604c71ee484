//! Naming a base that a worker then fetches, for every project.

use crate::{
    training::launch::{self, LaunchRequest},
    web::{
        form::{FieldErrors, FormError},
        typed::MAX_ADDRESS,
    },
};
use entity::{
    account,
    ids::{ProjectId, RunId},
    run::RunKind,
    run_config::{ConfigError, FetchConfig, FetchSource, RunConfig},
};
use sea_orm::DatabaseConnection;
use serde::Deserialize;
use storage::database::write;

/// What people copy from a browser, before the name.
const HUB: &str = "https://huggingface.co/";

/// Where a base is, as typed.
#[derive(Default, Deserialize)]
pub struct BaseSource {
    #[serde(default)]
    pub source: String,
    #[serde(default)]
    pub revision: String,
}

impl BaseSource {
    /// What is to be fetched, or what is wrong with it.
    fn checked(&self, is_admin: bool) -> Result<FetchConfig, FieldErrors> {
        let mut errors = FieldErrors::default();
        let source = &*errors.line("source", &self.source, MAX_ADDRESS);
        let revision = errors.line("revision", &self.revision, MAX_ADDRESS);
        if !errors.is_empty() {
            return Err(errors);
        }
        let source = source.strip_prefix(HUB).map_or(source, |name| name.trim_end_matches('/'));
        let revision = match &*revision {
            "" => FetchConfig::MAIN,
            revision => revision,
        };
        let config = FetchConfig { source: source.to_owned(), revision: revision.to_owned() };
        let mistakes = mistakes(&config, is_admin);
        if mistakes.is_empty() { Ok(config) } else { Err(mistakes) }
    }
}

/// A folder is an administrator's to name, because it may be whatever the worker can read.
fn mistakes(config: &FetchConfig, is_admin: bool) -> FieldErrors {
    let is_folder = matches!(config.source(), Some(FetchSource::Folder(_)));
    if is_folder && !is_admin {
        return FieldErrors::one("source", "problem-base-folder-refused");
    }
    let told = |problem: ConfigError| match &*problem.field {
        "revision" if is_folder => ("revision", "problem-base-revision-of-folder"),
        "revision" => ("revision", "problem-base-revision"),
        _ if config.source.is_empty() => ("source", "problem-base-empty"),
        _ if is_admin => ("source", "problem-base-source-or-folder"),
        _ => ("source", "problem-base-source"),
    };
    let mut errors = FieldErrors::default();
    for (field, problem) in config.problems().into_iter().map(told) {
        errors.add(field, problem);
    }
    errors
}

/// Queues the run that fetches the base; it is a run of that project.
pub async fn order(
    db: &DatabaseConnection,
    by: &account::Model,
    project: ProjectId,
    typed: &BaseSource,
) -> Result<RunId, FormError> {
    let config = typed.checked(by.is_admin)?;
    let request = LaunchRequest {
        project,
        kind: RunKind::Fetch,
        config: serde_json::to_value(config)?,
        inputs: Vec::new(),
        by: Some(by.id),
    };
    let request = &request;
    write(db, |turn| async move { Ok(launch::queue(&*turn, request).await?) }).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(source: &str, revision: &str, is_admin: bool) -> Result<FetchConfig, FieldErrors> {
        BaseSource { source: source.to_owned(), revision: revision.to_owned() }.checked(is_admin)
    }

    #[test]
    fn a_name_is_read_as_people_paste_it() {
        for typed in ["Qwen/Qwen3-0.6B", " https://huggingface.co/Qwen/Qwen3-0.6B/ "] {
            let config = checked(typed, " ", false).unwrap();
            assert_eq!((&*config.source, &*config.revision), ("Qwen/Qwen3-0.6B", "main"));
        }
    }

    #[test]
    fn a_mistake_is_told_at_its_field_in_words_for_whoever_made_it() {
        let told = |source, revision, is_admin| checked(source, revision, is_admin).unwrap_err();
        assert_eq!(told(" ", "", false), FieldErrors::one("source", "problem-base-empty"));
        assert_eq!(told("qwen", "", false), FieldErrors::one("source", "problem-base-source"));
        assert_eq!(
            told("qwen", "", true),
            FieldErrors::one("source", "problem-base-source-or-folder")
        );
        assert_eq!(
            told("./mine", "", true),
            FieldErrors::one("source", "problem-base-source-or-folder")
        );
        assert_eq!(
            told("a/b", "two words", false),
            FieldErrors::one("revision", "problem-base-revision")
        );
        assert_eq!(
            told("/a", "v2", true),
            FieldErrors::one("revision", "problem-base-revision-of-folder")
        );
    }

    #[test]
    fn a_folder_is_an_administrators_to_name() {
        assert!(checked("/srv/models/mine", "", true).is_ok());
        for folder in ["/srv/models/mine", "./mine", "../mine"] {
            let told = checked(folder, "v2", false).unwrap_err();
            assert_eq!(told, FieldErrors::one("source", "problem-base-folder-refused"), "{folder}");
        }
    }
}
