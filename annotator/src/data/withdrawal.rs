//! Taking a prompt out of the work, and bringing it back: what a manager does, with its line in the
//! audit log. Either twice is once.

use crate::{data::prompts, people::audit};
use entity::ids::{AccountId, PromptId};
use sea_orm::{DatabaseConnection, DbErr};
use serde_json::json;
use storage::database::write;

/// False when the prompt was out already.
pub async fn withdraw(
    db: &DatabaseConnection,
    prompt: PromptId,
    by: AccountId,
) -> Result<bool, DbErr> {
    write(db, |turn| async move {
        let is_news = prompts::withdraw(&*turn, prompt).await?;
        if is_news {
            audit::record(&*turn, by, "prompt.withdraw", prompt, json!({})).await?;
        }
        Ok(is_news)
    })
    .await
}

/// False when the prompt was at work.
pub async fn restore(
    db: &DatabaseConnection,
    prompt: PromptId,
    by: AccountId,
) -> Result<bool, DbErr> {
    write(db, |turn| async move {
        let is_news = prompts::restore(&*turn, prompt).await?;
        if is_news {
            audit::record(&*turn, by, "prompt.restore", prompt, json!({})).await?;
        }
        Ok(is_news)
    })
    .await
}
