//! `/projects/{project}/runs/{run}/resume`: going on with a run that was cancelled or has failed.

use crate::{
    training::{
        kinds::definition,
        resume::{self, ResumeOutcome},
    },
    web::{access::Engineer, error::AppError, of::Of, page},
};
use actix_session::Session;
use actix_web::{HttpResponse, web};
use entity::run;
use sea_orm::DatabaseConnection;
use storage::artifact_store::ArtifactStore;

pub async fn resume(
    Of(Engineer(access), run): Of<Engineer, run::Model>,
    session: Session,
    db: web::Data<DatabaseConnection>,
    store: web::Data<ArtifactStore>,
) -> Result<HttpResponse, AppError> {
    if !definition(run.kind).may_resume(&run, &access.account) {
        return Err(AppError::Forbidden);
    }
    match resume::resume(&db, &store, &run, access.account.id).await? {
        ResumeOutcome::Queued => page::notify(&session, "notice-run-queued", "")?,
        ResumeOutcome::NoCheckpoint => {
            page::notify(&session, "notice-run-has-no-checkpoint", "")?;
        }
        ResumeOutcome::NotOver => {}
    }
    Ok(page::see_other(&access.url(&format!("/runs/{}", run.id))))
}
