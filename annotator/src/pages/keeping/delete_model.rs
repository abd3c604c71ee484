//! `/projects/{project}/models/{model}/delete`: what hangs on a model, and giving up its weights.

use crate::pages::models::list::{find, kept};
use crate::training::kinds::definition;
use crate::{
    keeping::deletion::{
        models::{self, Hanging, Outcome},
        sweep,
    },
    models::live::LiveModels,
    web::{
        access::{Access, Engineer},
        error::AppError,
        format,
        page::{self, Page},
    },
};
use actix_session::Session;
use actix_web::{HttpResponse, web};
use askama::Template;
use entity::{ids::ProjectId, model, run};
use sea_orm::DatabaseConnection;
use storage::artifact_store::ArtifactStore;

/// Links of a sort that are shown: the first.
const SHOWN: usize = 10;

#[derive(Template)]
#[template(path = "models/delete.html")]
struct DeleteModelPage {
    page: Page,
    access: Access,
    model: model::Model,
    hanging: Hanging,
}

impl DeleteModelPage {
    /// Whether nothing at all would notice.
    fn is_alone(&self) -> bool {
        let Hanging { needed_by, readers, children, n_answers, .. } = &self.hanging;
        needed_by.is_empty() && readers.is_empty() && children.is_empty() && *n_answers == 0
    }

    fn is_base(&self) -> bool {
        self.model.project_id.is_none()
    }

    fn frees(&self) -> Option<String> {
        self.hanging.frees.map(format::bytes)
    }

    /// A model's page is in its own project, that of a base in this one.
    fn models(&self, models: &[model::Model]) -> Links {
        let link = |model: &model::Model| {
            let project = model.project_id.unwrap_or(self.access.project.id);
            (format!("/projects/{project}/models/{}", model.id), model.name.clone())
        };
        Links::to(models, link)
    }

    fn runs(&self, runs: &[run::Model]) -> Links {
        let link = |run: &run::Model| {
            let (kind, at) = (definition(run.kind).name, format::date_time(run.created_at));
            let url = format!("/projects/{}/runs/{}", run.project_id, run.id);
            (url, format!("{} · {at}", self.page.text(kind)))
        };
        Links::to(runs, link)
    }
}

/// Addresses and words of the first of a sort, and how many more there are.
struct Links {
    shown: Vec<(String, String)>,
    n_more: usize,
}

impl Links {
    fn to<T>(all: &[T], link: impl Fn(&T) -> (String, String)) -> Self {
        let shown = all.iter().take(SHOWN).map(link).collect();
        Self { shown, n_more: all.len().saturating_sub(SHOWN) }
    }
}

/// The model, if this person may delete it: a base is everybody's, so an administrator's alone.
async fn deletable(
    db: &DatabaseConnection,
    access: &Access,
    id: &str,
) -> Result<model::Model, AppError> {
    let model = find(db, access, id).await?;
    if model.project_id.is_none() && !access.account.is_admin {
        return Err(AppError::Forbidden);
    }
    Ok(model)
}

pub async fn show(
    page: Page,
    Engineer(access): Engineer,
    path: web::Path<(ProjectId, String)>,
    db: web::Data<DatabaseConnection>,
) -> Result<HttpResponse, AppError> {
    let model = kept(deletable(&db, &access, &path.1).await?)?;
    let hanging = Hanging::on(db.get_ref(), &model).await?;
    page::html(&DeleteModelPage { page, access, model, hanging })
}

/// Deletes the model; while a run needs it, shows which.
pub async fn delete(
    page: Page,
    Engineer(access): Engineer,
    path: web::Path<(ProjectId, String)>,
    session: Session,
    db: web::Data<DatabaseConnection>,
    store: web::Data<ArtifactStore>,
    live: web::Data<LiveModels>,
) -> Result<HttpResponse, AppError> {
    let model = deletable(&db, &access, &path.1).await?;
    match models::delete(&db, &model, access.account.id).await? {
        Outcome::Needed => {
            let hanging = Hanging::on(db.get_ref(), &model).await?;
            return page::invalid(&DeleteModelPage { page, access, model, hanging });
        }
        Outcome::Deleted => page::notify(&session, "notice-model-deleted", &model.name)?,
        Outcome::DeletedBefore => {}
    }
    live.put_away(model.id);
    // What does not go now goes with the next sweep.
    if let Err(error) = sweep::remove_unneeded(db.get_ref(), &store, &model.artifact_hash).await {
        tracing::warn!(model = %model.id, error = format!("{error:#}"), "its weights stay for now");
    }
    Ok(page::see_other(&access.url(&format!("/models/{}", model.id))))
}
