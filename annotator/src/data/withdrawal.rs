//! Taking a prompt out of the work, and bringing it back: what a manager does, with its line in the
//! audit log. Either twice is once.

use crate::{data::prompts, people::audit};
use entity::ids::{AccountId, PromptId};
use sea_orm::{DatabaseConnection, DbErr};
use serde_json::json;
use storage::database::begin_write;

/// False when the prompt was out already.
pub async fn withdraw(
    db: &DatabaseConnection,
    prompt: PromptId,
    by: AccountId,
) -> Result<bool, DbErr> {
    let turn = begin_write(db).await?;
    if !prompts::withdraw(&turn, prompt).await? {
        return Ok(false);
    }
    audit::record(&turn, by, "prompt.withdraw", prompt, json!({})).await?;
    turn.commit().await?;
    Ok(true)
}

/// False when the prompt was at work.
pub async fn restore(
    db: &DatabaseConnection,
    prompt: PromptId,
    by: AccountId,
) -> Result<bool, DbErr> {
    let turn = begin_write(db).await?;
    if !prompts::restore(&turn, prompt).await? {
        return Ok(false);
    }
    audit::record(&turn, by, "prompt.restore", prompt, json!({})).await?;
    turn.commit().await?;
    Ok(true)
}
