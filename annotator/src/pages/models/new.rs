//! `/projects/{project}/models/new`: naming a base that a worker then fetches, for every project.

use crate::training::launch::LaunchRequest;
use crate::{
    training::launch,
    web::{
        access::{Access, Engineer},
        error::AppError,
        form::FieldErrors,
        page::{self, Page},
    },
};
use actix_session::Session;
use actix_web::{HttpResponse, web};
use askama::Template;
use entity::{
    ids::RunId,
    run::{self, RunKind},
    run_config::{ConfigError, FetchConfig, FetchSource, RunConfig},
};
use sea_orm::{DatabaseConnection, EntityTrait};
use serde::Deserialize;
use storage::database::begin_write;

/// What people copy from a browser, before the name.
const HUB: &str = "https://huggingface.co/";

#[derive(Template)]
#[template(path = "models/new.html")]
struct NewBasePage {
    page: Page,
    access: Access,
    form: BaseForm,
    errors: FieldErrors,
}

impl NewBasePage {
    /// Whether a folder of the worker's machine may be named as well.
    fn takes_folders(&self) -> bool {
        self.access.account.is_admin
    }
}

#[derive(Default, Deserialize)]
pub struct BaseForm {
    #[serde(default)]
    source: String,
    #[serde(default)]
    revision: String,
}

impl BaseForm {
    /// What is to be fetched, or what is wrong with it.
    fn checked(&self, is_admin: bool) -> Result<FetchConfig, Vec<Mistake>> {
        let source = self.source.trim();
        let source = source.strip_prefix(HUB).map_or(source, |name| name.trim_end_matches('/'));
        let revision = match self.revision.trim() {
            "" => FetchConfig::MAIN,
            revision => revision,
        };
        let config = FetchConfig { source: source.to_owned(), revision: revision.to_owned() };
        let mistakes = mistakes(&config, is_admin);
        if mistakes.is_empty() { Ok(config) } else { Err(mistakes) }
    }
}

/// A field, and the Fluent key of what is wrong with it.
type Mistake = (&'static str, &'static str);

/// A folder is an administrator's to name, because it may be whatever the worker can read.
fn mistakes(config: &FetchConfig, is_admin: bool) -> Vec<Mistake> {
    let is_folder = matches!(config.source(), Some(FetchSource::Folder(_)));
    if is_folder && !is_admin {
        return vec![("source", "problem-base-folder-refused")];
    }
    let told = |problem: ConfigError| match &*problem.field {
        "revision" if is_folder => ("revision", "problem-base-revision-of-folder"),
        "revision" => ("revision", "problem-base-revision"),
        _ if config.source.is_empty() => ("source", "problem-base-empty"),
        _ if is_admin => ("source", "problem-base-source-or-folder"),
        _ => ("source", "problem-base-source"),
    };
    config.problems().into_iter().map(told).collect()
}

#[derive(Deserialize)]
pub struct Prefill {
    /// A run whose form is shown again.
    from: Option<RunId>,
}

pub async fn show(
    page: Page,
    Engineer(access): Engineer,
    prefill: web::Query<Prefill>,
    db: web::Data<DatabaseConnection>,
) -> Result<HttpResponse, AppError> {
    let form = match prefill.from {
        Some(run) => as_typed(&db, &access, run).await?,
        None => BaseForm::default(),
    };
    page::html(&NewBasePage { page, access, form, errors: FieldErrors::default() })
}

/// The form of a run that was launched before.
async fn as_typed(
    db: &DatabaseConnection,
    access: &Access,
    run: RunId,
) -> Result<BaseForm, AppError> {
    let run = run::Entity::find_by_id(run).one(db).await?;
    let run = run.filter(|run| run.project_id == access.project.id && run.kind == RunKind::Fetch);
    let config = run.ok_or(AppError::NotFound)?.config;
    let FetchConfig { source, revision } = serde_json::from_value(config).unwrap_or_default();
    let revision = if revision == FetchConfig::MAIN { String::new() } else { revision };
    Ok(BaseForm { source, revision })
}

pub async fn launch(
    page: Page,
    Engineer(access): Engineer,
    form: web::Form<BaseForm>,
    session: Session,
    db: web::Data<DatabaseConnection>,
) -> Result<HttpResponse, AppError> {
    let form = form.into_inner();
    let config = match form.checked(access.account.is_admin) {
        Ok(config) => config,
        Err(problems) => {
            let mut errors = FieldErrors::default();
            for (field, problem) in problems {
                errors.add(field, problem);
            }
            return page::invalid(&NewBasePage { page, access, form, errors });
        }
    };
    let request = LaunchRequest {
        project: access.project.id,
        kind: RunKind::Fetch,
        config: serde_json::to_value(config)?,
        inputs: Vec::new(),
        by: Some(access.account.id),
    };
    let changes = begin_write(&db).await?;
    let run = launch::queue(&changes, &request).await?;
    changes.commit().await?;
    page::notify(&session, "notice-run-queued", "")?;
    Ok(page::see_other(&access.url(&format!("/runs/{run}"))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(source: &str, revision: &str, is_admin: bool) -> Result<FetchConfig, Vec<Mistake>> {
        BaseForm { source: source.to_owned(), revision: revision.to_owned() }.checked(is_admin)
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
        assert_eq!(told(" ", "", false), [("source", "problem-base-empty")]);
        assert_eq!(told("qwen", "", false), [("source", "problem-base-source")]);
        assert_eq!(told("qwen", "", true), [("source", "problem-base-source-or-folder")]);
        assert_eq!(told("./mine", "", true), [("source", "problem-base-source-or-folder")]);
        assert_eq!(told("a/b", "two words", false), [("revision", "problem-base-revision")]);
        assert_eq!(told("/a", "v2", true), [("revision", "problem-base-revision-of-folder")]);
    }

    #[test]
    fn a_folder_is_an_administrators_to_name() {
        assert!(checked("/srv/models/mine", "", true).is_ok());
        for folder in ["/srv/models/mine", "./mine", "../mine"] {
            let told = checked(folder, "v2", false).unwrap_err();
            assert_eq!(told, [("source", "problem-base-folder-refused")], "{folder}");
        }
    }
}
