//! `/projects/{project}/runs/{run}/resume`: going on with a run that was cancelled or has failed.

use crate::{
    training::{
        kinds::definition,
        resume::{self, ResumeOutcome},
        settings,
    },
    web::{access::Engineer, error::AppError, of::Of, page, typed::TypedForm},
};
use actix_session::Session;
use actix_web::{HttpResponse, web};
use entity::run;
use sea_orm::DatabaseConnection;
use std::collections::HashMap;
use storage::artifact_store::ArtifactStore;

pub async fn resume(
    Of(Engineer(access), run): Of<Engineer, run::Model>,
    typed: TypedForm<HashMap<String, String>>,
    session: Session,
    db: web::Data<DatabaseConnection>,
    store: web::Data<ArtifactStore>,
) -> Result<HttpResponse, AppError> {
    if !definition(run.kind).may_resume(&run, &access.account) {
        return Err(AppError::Forbidden);
    }
    let page = access.url(&format!("/runs/{}", run.id));
    let Ok(config) = settings::changed(definition(run.kind), &run.config, &typed) else {
        page::notify(&session, "notice-run-settings-wrong", "")?;
        return Ok(page::see_other(&page));
    };
    match resume::resume(&db, &store, &run, &config, access.account.id).await? {
        ResumeOutcome::Queued => page::notify(&session, "notice-run-queued", "")?,
        ResumeOutcome::NoCheckpoint => {
            page::notify(&session, "notice-run-has-no-checkpoint", "")?;
        }
        ResumeOutcome::NotOver => {}
    }
    Ok(page::see_other(&page))
}
