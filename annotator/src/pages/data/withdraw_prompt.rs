//! `/projects/{project}/prompts/{prompt}/withdraw` and `/restore`: taking a prompt out of the work,
//! and bringing it back. Either twice is once.

use crate::pages::data::prompt::find;
use crate::{
    data::prompts,
    people::audit,
    web::{
        access::{Access, Manager},
        error::AppError,
        page,
    },
};
use actix_session::Session;
use actix_web::{HttpResponse, web};
use entity::ids::ProjectId;
use sea_orm::DatabaseConnection;
use serde_json::json;
use storage::database::begin_write;

enum Change {
    Withdraw,
    Restore,
}

pub async fn withdraw(
    Manager(access): Manager,
    path: web::Path<(ProjectId, String)>,
    session: Session,
    db: web::Data<DatabaseConnection>,
) -> Result<HttpResponse, AppError> {
    change(Change::Withdraw, &access, &path.1, &session, &db).await
}

pub async fn restore(
    Manager(access): Manager,
    path: web::Path<(ProjectId, String)>,
    session: Session,
    db: web::Data<DatabaseConnection>,
) -> Result<HttpResponse, AppError> {
    change(Change::Restore, &access, &path.1, &session, &db).await
}

async fn change(
    change: Change,
    access: &Access,
    prompt: &str,
    session: &Session,
    db: &DatabaseConnection,
) -> Result<HttpResponse, AppError> {
    let prompt = find(db, access, prompt).await?.id;
    let turn = begin_write(db).await?;
    let (is_changed, action, notice) = match change {
        Change::Withdraw => {
            (prompts::withdraw(&turn, prompt).await?, "prompt.withdraw", "notice-prompt-withdrawn")
        }
        Change::Restore => {
            (prompts::restore(&turn, prompt).await?, "prompt.restore", "notice-prompt-restored")
        }
    };
    if is_changed {
        audit::record(&turn, access.account.id, action, prompt, json!({})).await?;
        turn.commit().await?;
        page::notify(session, notice, "")?;
    }
    Ok(page::see_other(&access.url(&format!("/prompts/{prompt}"))))
}
