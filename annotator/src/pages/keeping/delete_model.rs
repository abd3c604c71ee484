//! `/projects/{project}/models/{model}/delete`: what hangs on a model, and giving up its weights.

use crate::{
    keeping::deletion::models::{self, DeletionOutcome, ModelDeletionImpact},
    models::{files::kept, live::LiveModels},
    training::kinds::definition,
    web::{
        access::{Access, Engineer},
        address,
        error::AppError,
        format,
        of::Of,
        page::{self, Page},
    },
};
use actix_session::Session;
use actix_web::{HttpResponse, web};
use askama::Template;
use entity::{model, run};
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
    impact: ModelDeletionImpact,
}

impl DeleteModelPage {
    /// Whether nothing at all would notice.
    fn is_alone(&self) -> bool {
        let ModelDeletionImpact { needed_by, readers, children, n_answers, .. } = &self.impact;
        needed_by.is_empty() && readers.is_empty() && children.is_empty() && *n_answers == 0
    }

    fn is_base(&self) -> bool {
        self.model.project_id.is_none()
    }

    fn frees(&self) -> Option<String> {
        self.impact.frees.map(|n_bytes| format::bytes(self.page.language, n_bytes))
    }

    /// A model's page is in its own project, that of a base in this one.
    fn models(&self, models: &[model::Model]) -> Links {
        let link = |model: &model::Model| {
            let project = model.project_id.unwrap_or(self.access.project.id);
            (address::in_project(project, &format!("/models/{}", model.id)), model.name.clone())
        };
        Links::to(models, link)
    }

    fn runs(&self, runs: &[run::Model]) -> Links {
        let link = |run: &run::Model| {
            let (kind, at) = (definition(run.kind).name, format::date_time(run.created_at));
            let url = address::in_project(run.project_id, &format!("/runs/{}", run.id));
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

/// The model, if this person may delete it.
fn deletable(access: &Access, model: model::Model) -> Result<model::Model, AppError> {
    if models::may_delete(&access.account, &model) { Ok(model) } else { Err(AppError::Forbidden) }
}

pub async fn show(
    page: Page,
    Of(Engineer(access), model): Of<Engineer, model::Model>,
    db: web::Data<DatabaseConnection>,
) -> Result<HttpResponse, AppError> {
    let model = kept(deletable(&access, model)?)?;
    let impact = ModelDeletionImpact::of(db.get_ref(), &model).await?;
    page::html(&DeleteModelPage { page, access, model, impact })
}

/// Deletes the model; while a run needs it, shows which.
pub async fn delete(
    page: Page,
    Of(Engineer(access), model): Of<Engineer, model::Model>,
    session: Session,
    db: web::Data<DatabaseConnection>,
    store: web::Data<ArtifactStore>,
    live: web::Data<LiveModels>,
) -> Result<HttpResponse, AppError> {
    let model = deletable(&access, model)?;
    match models::give_up(&db, &store, &live, &model, access.account.id).await? {
        DeletionOutcome::Needed => {
            let impact = ModelDeletionImpact::of(db.get_ref(), &model).await?;
            return page::invalid(&DeleteModelPage { page, access, model, impact });
        }
        DeletionOutcome::Deleted => page::notify(&session, "notice-model-deleted", &model.name)?,
        DeletionOutcome::DeletedBefore => {}
    }
    Ok(page::see_other(&access.url(&format!("/models/{}", model.id))))
}
