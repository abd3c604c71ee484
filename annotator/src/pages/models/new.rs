//! `/projects/{project}/models/new`: naming a base that a worker then fetches, for every project.

use crate::{
    models::new_base::{self, BaseSource},
    web::{
        access::{Access, Engineer},
        error::AppError,
        form::{FieldErrors, FormError},
        page::{self, Page},
        typed::{TypedForm, TypedQuery},
    },
};
use actix_session::Session;
use actix_web::{HttpResponse, web};
use askama::Template;
use entity::{
    ids::RunId,
    run::{self, RunKind},
    run_config::FetchConfig,
};
use sea_orm::{DatabaseConnection, EntityTrait};
use serde::Deserialize;

#[derive(Template)]
#[template(path = "models/new.html")]
struct NewBasePage {
    page: Page,
    access: Access,
    form: BaseSource,
    errors: FieldErrors,
}

impl NewBasePage {
    /// Whether a folder of the worker's machine may be named as well.
    fn takes_folders(&self) -> bool {
        self.access.account.is_admin
    }
}

#[derive(Deserialize)]
pub struct Prefill {
    /// A run whose form is shown again.
    from: Option<RunId>,
}

pub async fn show(
    page: Page,
    Engineer(access): Engineer,
    prefill: TypedQuery<Prefill>,
    db: web::Data<DatabaseConnection>,
) -> Result<HttpResponse, AppError> {
    let form = match prefill.from {
        Some(run) => as_typed(&db, &access, run).await?,
        None => BaseSource::default(),
    };
    page::html(&NewBasePage { page, access, form, errors: FieldErrors::default() })
}

/// The form of a run that was launched before.
async fn as_typed(
    db: &DatabaseConnection,
    access: &Access,
    run: RunId,
) -> Result<BaseSource, AppError> {
    let run = run::Entity::find_by_id(run).one(db).await?;
    let run = run.filter(|run| run.project_id == access.project.id && run.kind == RunKind::Fetch);
    let config = run.ok_or(AppError::NotFound)?.config;
    let FetchConfig { source, revision } = serde_json::from_value(config).unwrap_or_default();
    let revision = if revision == FetchConfig::MAIN { String::new() } else { revision };
    Ok(BaseSource { source, revision })
}

pub async fn launch(
    page: Page,
    Engineer(access): Engineer,
    form: TypedForm<BaseSource>,
    session: Session,
    db: web::Data<DatabaseConnection>,
) -> Result<HttpResponse, AppError> {
    let form = form.into_inner();
    match new_base::order(&db, &access.account, access.project.id, &form).await {
        Ok(run) => {
            page::notify(&session, "notice-run-queued", "")?;
            Ok(page::see_other(&access.url(&format!("/runs/{run}"))))
        }
        Err(FormError::Invalid(errors)) => {
            page::invalid(&NewBasePage { page, access, form, errors })
        }
        Err(FormError::Failed(error)) => Err(error),
    }
}
