//! Prompts and answers that come in by the web app: pasted, or as a file. What is refused changes
//! nothing.

use crate::{
    data::{
        formats::row::ImportRow,
        import::{self, ImportCounts},
        prompts,
    },
    people::audit,
    web::{
        form::{FieldErrors, FormError},
        message::Message,
    },
};
use entity::{
    dataset_version::DatasetKind,
    ids::{AccountId, ProjectId},
};
use sea_orm::{DatabaseConnection, DbErr};
use serde_json::json;

/// Takes pasted prompts in, one per paragraph.
pub async fn paste(
    db: &DatabaseConnection,
    by: AccountId,
    project: ProjectId,
    text: &str,
) -> Result<ImportCounts, FormError> {
    let prompts = prompts::from_pasted_text(text);
    if prompts.is_empty() {
        return Err(FieldErrors::one("prompts", "prompts-empty").into());
    }
    let alone = |prompt| ImportRow::new(DatasetKind::Prompts, prompt, []);
    let rows: Vec<ImportRow> = prompts.into_iter().map(alone).collect();
    Ok(bring_in(db, by, project, &rows).await?)
}

/// Takes in a file of JSON Lines, as the command line reads it.
pub async fn upload(
    db: &DatabaseConnection,
    by: AccountId,
    project: ProjectId,
    file: &[u8],
) -> Result<ImportCounts, FormError> {
    match import::read_bytes(file) {
        Ok(rows) => Ok(bring_in(db, by, project, &rows).await?),
        Err(why) => {
            let refusal = Message::new("prompts-file-refused").with("error", why);
            Err(FieldErrors::one("file", refusal).into())
        }
    }
}

async fn bring_in(
    db: &DatabaseConnection,
    by: AccountId,
    project: ProjectId,
    rows: &[ImportRow],
) -> Result<ImportCounts, DbErr> {
    let counts = import::store_all(db, project, rows).await?;
    let details = json!({"new": counts.new_rows(), "known": counts.known});
    audit::record(db, by, "prompt.import", project, details).await?;
    Ok(counts)
}
