//! Taking a prompt out of the work, and bringing it back: what a manager does, with its line in the
//! audit log. Either twice is once.

use crate::{
    data::prompts,
    people::audit::{self, AuditAction, AuditSubject},
};
use entity::{ids::AccountId, prompt};
use sea_orm::{DatabaseConnection, DbErr};
use serde_json::json;
use storage::database::write;

/// False when the prompt was out already.
pub async fn withdraw(
    db: &DatabaseConnection,
    prompt: &prompt::Model,
    by: AccountId,
) -> Result<bool, DbErr> {
    write(db, |turn| async move {
        let is_news = prompts::withdraw(&*turn, prompt.id).await?;
        if is_news {
            let subject = AuditSubject::in_project(prompt.project_id, prompt.id);
            audit::record(&*turn, by, AuditAction::PromptWithdraw, subject, json!({})).await?;
        }
        Ok(is_news)
    })
    .await
}

/// False when the prompt was at work.
pub async fn restore(
    db: &DatabaseConnection,
    prompt: &prompt::Model,
    by: AccountId,
) -> Result<bool, DbErr> {
    write(db, |turn| async move {
        let is_news = prompts::restore(&*turn, prompt.id).await?;
        if is_news {
            let subject = AuditSubject::in_project(prompt.project_id, prompt.id);
            audit::record(&*turn, by, AuditAction::PromptRestore, subject, json!({})).await?;
        }
        Ok(is_news)
    })
    .await
}
