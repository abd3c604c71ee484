//! `/projects/{project}/prompts/{prompt}`: a prompt and what people said of it.

use crate::{
    data::texts,
    keeping::erasure,
    people::{accounts, person_name::PersonName},
    web::{
        access::{Access, ManagerOrEngineer},
        error::AppError,
        format,
        of::Of,
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
    ids::{JudgementId, PromptId},
    judgement, prompt, task,
    time::UnixMillis,
};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseConnection, EntityTrait, QueryFilter, QueryOrder,
    QuerySelect, sea_query::Query,
};

/// Judgements that the page shows: the newest.
const SHOWN: u64 = 500;

#[derive(Template)]
#[template(path = "prompts/show.html")]
struct PromptPage {
    page: Page,
    access: Access,
    id: PromptId,
    /// Since when, if it is.
    withdrawn: Option<String>,
    /// When it was erased, if it was.
    erased: Option<String>,
    /// Its hash, for an administrator.
    text: Option<String>,
    conversation: Vec<ConversationTurn>,
    said: Vec<Line>,
}

/// A judgement in the list.
struct Line {
    id: JudgementId,
    kind: &'static str,
    gist: String,
    by: Option<PersonName>,
    at: UnixMillis,
    revision: i32,
}

pub async fn show(
    page: Page,
    Of(ManagerOrEngineer(access), prompt): Of<ManagerOrEngineer, prompt::Model>,
    db: web::Data<DatabaseConnection>,
) -> Result<HttpResponse, AppError> {
    let db = db.get_ref();
    let asked = texts::load(db, &prompt.text_hash).await?;
    let conversation = conversation(page.language, asked.as_deref()).await;
    let said = said_of(db, &page, prompt.id).await?;
    let withdrawn = prompt.withdrawn_at.map(format::date_time);
    let erased = erasure::of_texts(db, [prompt.text_hash.clone()]).await?.map(format::date_time);
    let text = access.account.is_admin.then_some(prompt.text_hash);
    let id = prompt.id;
    page::html(&PromptPage { page, access, id, withdrawn, erased, text, conversation, said })
}

async fn said_of(
    db: &impl ConnectionTrait,
    page: &Page,
    prompt: PromptId,
) -> Result<Vec<Line>, AppError> {
    let tasks = Query::select()
        .column(task::Column::Id)
        .from(task::Entity)
        .and_where(task::Column::PromptId.eq(prompt))
        .to_owned();
    let rows = judgement::Entity::find()
        .filter(judgement::Column::TaskId.in_subquery(tasks))
        .order_by_desc(judgement::Column::Id)
        .limit(SHOWN)
        .all(db)
        .await?;
    let payloads = rows.iter().map(|row| &row.payload);
    let bodies = texts::beginnings(db, kinds::text_hashes(payloads)).await?;
    let people = accounts::names(db, rows.iter().filter_map(|row| row.account_id)).await?;
    let line = |row: &judgement::Model| Line {
        id: row.id,
        kind: kinds::stored_answer(&row.payload).name(),
        gist: kinds::gist(page, &row.payload, &bodies),
        by: row.account_id.and_then(|id| people.get(&id).cloned()),
        at: row.created_at,
        revision: row.revision,
    };
    Ok(rows.iter().map(line).collect())
}
