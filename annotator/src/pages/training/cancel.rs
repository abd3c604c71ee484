//! `/projects/{project}/runs/{run}/cancel`: asking a run to stop.

use crate::{
    training::stop,
    web::{access::Engineer, error::AppError, of::Of, page},
};
use actix_session::Session;
use actix_web::{HttpResponse, web};
use entity::run;
use sea_orm::DatabaseConnection;

pub async fn cancel(
    Of(Engineer(access), run): Of<Engineer, run::Model>,
    session: Session,
    db: web::Data<DatabaseConnection>,
) -> Result<HttpResponse, AppError> {
    if stop::cancel(&db, &run, access.account.id).await? {
        page::notify(&session, "notice-run-cancelled", "")?;
    }
    Ok(page::see_other(&access.url(&format!("/runs/{}", run.id))))
}
