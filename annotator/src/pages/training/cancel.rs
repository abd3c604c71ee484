//! `/projects/{project}/runs/{run}/cancel`: asking a run to stop.

use crate::{
    people::{audit, notices},
    training::launch,
    web::{access::Engineer, error::AppError, of::Of, page},
};
use actix_session::Session;
use actix_web::{HttpResponse, web};
use entity::run;
use sea_orm::{ColumnTrait, Condition, DatabaseConnection};
use serde_json::json;
use storage::database::begin_write;

pub async fn cancel(
    Of(Engineer(access), run): Of<Engineer, run::Model>,
    session: Session,
    db: web::Data<DatabaseConnection>,
) -> Result<HttpResponse, AppError> {
    let changes = begin_write(db.get_ref()).await?;
    let this = Condition::all().add(run::Column::Id.eq(run.id));
    if launch::ask_to_stop(&changes, this).await? > 0 {
        // Whoever stops their own run need not be told that it ended.
        notices::see(&changes, &run, access.account.id).await?;
        audit::record(&changes, access.account.id, "run.cancel", run.id, json!({})).await?;
        changes.commit().await?;
        page::notify(&session, "notice-run-cancelled", "")?;
    }
    Ok(page::see_other(&access.url(&format!("/runs/{}", run.id))))
}
