//! `/projects/{project}/prompts/{prompt}`: a prompt and what people said of it.

use crate::{
    data::texts,
    people::accounts,
    web::{
        access::{Access, ManagerOrEngineer},
        error::AppError,
        format,
        page::{self, Page},
    },
    work::{
        kinds,
        task_view::{ConversationTurn, conversation},
    },
};
use actix_web::{HttpResponse, web};
use askama::Template;
use entity::{
    ids::{JudgementId, ProjectId, PromptId},
    judgement, prompt, task,
    time::UnixMillis,
};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseConnection, EntityTrait, QueryFilter, QueryOrder,
    QuerySelect,
};

/// Judgements that the page shows: the newest.
const SHOWN: u64 = 500;

#[derive(Template)]
#[template(path = "prompts/one.html")]
struct PromptPage {
    page: Page,
    access: Access,
    id: PromptId,
    /// Since when, if it is.
    withdrawn: Option<String>,
    conversation: Vec<ConversationTurn>,
    said: Vec<Line>,
}

/// A judgement in the list.
struct Line {
    id: JudgementId,
    kind: &'static str,
    gist: String,
    by: Option<String>,
    at: UnixMillis,
    revision: i32,
}

pub async fn show(
    page: Page,
    ManagerOrEngineer(access): ManagerOrEngineer,
    path: web::Path<(ProjectId, String)>,
    db: web::Data<DatabaseConnection>,
) -> Result<HttpResponse, AppError> {
    let db = db.get_ref();
    let prompt = find(db, &access, &path.1).await?;
    let asked = texts::load(db, &prompt.text_hash).await?;
    let conversation = conversation(page.language, asked.as_deref());
    let said = said_of(db, &page, prompt.id).await?;
    let withdrawn = prompt.withdrawn_at.map(format::date_time);
    page::html(&PromptPage { page, access, id: prompt.id, withdrawn, conversation, said })
}

/// The prompt that an address names, if it is of this project.
pub async fn find(
    db: &impl ConnectionTrait,
    access: &Access,
    id: &str,
) -> Result<prompt::Model, AppError> {
    let id: PromptId = id.parse().map_err(|_| AppError::NotFound)?;
    let prompt = prompt::Entity::find_by_id(id).one(db).await?;
    prompt.filter(|prompt| prompt.project_id == access.project.id).ok_or(AppError::NotFound)
}

async fn said_of(
    db: &impl ConnectionTrait,
    page: &Page,
    prompt: PromptId,
) -> Result<Vec<Line>, AppError> {
    let tasks = task::Entity::find().filter(task::Column::PromptId.eq(prompt)).all(db).await?;
    let rows = judgement::Entity::find()
        .filter(judgement::Column::TaskId.is_in(tasks.iter().map(|task| task.id)))
        .order_by_desc(judgement::Column::Id)
        .limit(SHOWN)
        .all(db)
        .await?;
    let payloads = rows.iter().map(|row| &row.payload);
    let bodies = texts::load_all(db, kinds::text_hashes(payloads)).await?;
    let people = accounts::names(db, rows.iter().filter_map(|row| row.account_id)).await?;
    let line = |row: &judgement::Model| Line {
        id: row.id,
        kind: kinds::read(&row.payload).name(),
        gist: kinds::gist(page, &row.payload, &bodies),
        by: row.account_id.and_then(|id| people.get(&id).cloned()),
        at: row.created_at,
        revision: row.revision,
    };
    Ok(rows.iter().map(line).collect())
}
