//! `/projects/{project}/prompts/{prompt}/withdraw` and `/restore`: taking a prompt out of the work,
//! and bringing it back. Either twice is once.

use crate::{
    data::withdrawal,
    web::{
        access::{Access, Manager},
        error::AppError,
        of::Of,
        page,
    },
};
use actix_session::Session;
use actix_web::{HttpResponse, web};
use entity::prompt;
use sea_orm::DatabaseConnection;

pub async fn withdraw(
    Of(Manager(access), prompt): Of<Manager, prompt::Model>,
    session: Session,
    db: web::Data<DatabaseConnection>,
) -> Result<HttpResponse, AppError> {
    if withdrawal::withdraw(&db, &prompt, access.account.id).await? {
        page::notify(&session, "notice-prompt-withdrawn", "")?;
    }
    Ok(back_to(&access, &prompt))
}

pub async fn restore(
    Of(Manager(access), prompt): Of<Manager, prompt::Model>,
    session: Session,
    db: web::Data<DatabaseConnection>,
) -> Result<HttpResponse, AppError> {
    if withdrawal::restore(&db, &prompt, access.account.id).await? {
        page::notify(&session, "notice-prompt-restored", "")?;
    }
    Ok(back_to(&access, &prompt))
}

fn back_to(access: &Access, prompt: &prompt::Model) -> HttpResponse {
    page::see_other(&access.url(&format!("/prompts/{}", prompt.id)))
}
