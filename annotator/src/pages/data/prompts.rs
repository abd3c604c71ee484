//! `/projects/{project}/prompts`: what people are asked, and bringing more of it in.

use crate::{
    data::{
        export,
        formats::{self, row::ImportRow},
        import, prompts, texts,
    },
    people::audit,
    web::{
        access::{Access, Manager, ManagerOrEngineer},
        error::AppError,
        form::FieldErrors,
        message::Message,
        page::{self, Number, Page},
    },
};
use actix_multipart::Multipart;
use actix_session::Session;
use actix_web::{HttpResponse, http::header, web};
use askama::Template;
use entity::{conversation::PromptBody, dataset_version::DatasetKind, ids::PromptId, prompt};
use futures_util::TryStreamExt;
use sea_orm::{
    ColumnTrait, DatabaseConnection, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder,
};
use serde::Deserialize;
use serde_json::json;
use tokio::io::AsyncReadExt;
use tokio_util::io::ReaderStream;

const PER_PAGE: u64 = 50;

#[derive(Template)]
#[template(path = "prompts/show.html")]
struct PromptsPage {
    page: Page,
    access: Access,
    n_prompts: u64,
    prompts: Vec<Listed>,
    /// From 1.
    number: u64,
    n_pages: u64,
    pasted: String,
    errors: FieldErrors,
}

/// A prompt by its beginning.
struct Listed {
    id: PromptId,
    beginning: String,
    /// Given without messages, so that no chat template is put around it.
    is_plain: bool,
    is_withdrawn: bool,
}

impl PromptsPage {
    async fn new(
        page: Page,
        access: Access,
        number: u64,
        db: &DatabaseConnection,
    ) -> Result<Self, AppError> {
        let newest = prompt::Entity::find()
            .filter(prompt::Column::ProjectId.eq(access.project.id))
            .order_by_desc(prompt::Column::Id)
            .paginate(db, PER_PAGE);
        let totals = newest.num_items_and_pages().await?;
        let number = Number { page: number }.within(totals.number_of_pages);
        let rows = newest.fetch_page(number - 1).await?;
        let bodies = texts::load_all(db, rows.iter().map(|row| row.text_hash.clone())).await?;
        let removed = page.text("text-removed").to_string();
        let listed = |row: &prompt::Model| {
            let (beginning, is_plain) = match bodies.get(&row.text_hash) {
                Some(body) => {
                    let prompt = prompts::parse(body);
                    let is_plain = matches!(prompt, PromptBody::Text(_));
                    (texts::beginning(&prompts::headline(prompt)), is_plain)
                }
                None => (removed.clone(), false),
            };
            Listed { id: row.id, beginning, is_plain, is_withdrawn: row.withdrawn_at.is_some() }
        };
        Ok(Self {
            n_prompts: totals.number_of_items,
            n_pages: totals.number_of_pages,
            prompts: rows.iter().map(listed).collect(),
            number,
            pasted: String::new(),
            errors: FieldErrors::default(),
            page,
            access,
        })
    }
}

pub async fn show(
    page: Page,
    Manager(access): Manager,
    query: web::Query<Number>,
    db: web::Data<DatabaseConnection>,
) -> Result<HttpResponse, AppError> {
    page::html(&PromptsPage::new(page, access, query.page, &db).await?)
}

#[derive(Deserialize)]
pub struct PasteForm {
    prompts: String,
}

/// One prompt per paragraph.
pub async fn paste(
    page: Page,
    Manager(access): Manager,
    form: web::Form<PasteForm>,
    session: Session,
    db: web::Data<DatabaseConnection>,
) -> Result<HttpResponse, AppError> {
    let alone = |prompt| ImportRow::new(DatasetKind::Prompts, prompt, []);
    let rows: Vec<ImportRow> =
        prompts::from_pasted_text(&form.prompts).into_iter().map(alone).collect();
    if rows.is_empty() {
        let mut view = PromptsPage::new(page, access, 1, &db).await?;
        view.errors.add("prompts", "prompts-empty");
        return page::invalid(&view);
    }
    bring_in(&access, &rows, &session, &db).await
}

/// A file of JSON Lines, as the command line reads it.
pub async fn upload(
    page: Page,
    Manager(access): Manager,
    multipart: Multipart,
    session: Session,
    db: web::Data<DatabaseConnection>,
) -> Result<HttpResponse, AppError> {
    let bytes = file_of(multipart).await?;
    match import::read_bytes(&bytes) {
        Ok(rows) => bring_in(&access, &rows, &session, &db).await,
        Err(error) => {
            let mut view = PromptsPage::new(page, access, 1, &db).await?;
            let refusal = Message::new("prompts-file-refused").with("error", error);
            view.errors.add("file", refusal);
            page::invalid(&view)
        }
    }
}

/// The content of the field `file`. Its size is bounded by the limit on every body.
async fn file_of(mut multipart: Multipart) -> Result<Vec<u8>, AppError> {
    let broken = |error: actix_multipart::MultipartError| {
        AppError::bad_request(Message::new("upload-unreadable").with("reason", error.to_string()))
    };
    while let Some(mut field) = multipart.try_next().await.map_err(broken)? {
        if field.name() == Some("file") {
            let mut bytes = Vec::new();
            while let Some(chunk) = field.try_next().await.map_err(broken)? {
                bytes.extend_from_slice(&chunk);
            }
            return Ok(bytes);
        }
    }
    Ok(Vec::new())
}

async fn bring_in(
    access: &Access,
    rows: &[ImportRow],
    session: &Session,
    db: &DatabaseConnection,
) -> Result<HttpResponse, AppError> {
    let counts = import::store_all(db, access.project.id, rows).await?;
    let details = json!({"new": counts.new_rows(), "known": counts.known});
    audit::record(db, access.account.id, "prompt.import", access.project.id, details).await?;
    page::notify(session, "notice-prompts-added", counts.new_rows())?;
    Ok(page::see_other(&access.url("/prompts")))
}

/// The project's work in one of TRL's formats.
pub async fn download(
    ManagerOrEngineer(access): ManagerOrEngineer,
    path: web::Path<(String, String)>,
    db: web::Data<DatabaseConnection>,
) -> Result<HttpResponse, AppError> {
    let format = formats::exported_as(&path.1).ok_or(AppError::NotFound)?;
    let ([train, eval], _) = export::rows(&db, access.project.id, format.contents()).await?;
    let rows = tokio::fs::File::from_std(train).chain(tokio::fs::File::from_std(eval));
    let name = format!("attachment; filename=\"{}.jsonl\"", path.1);
    Ok(HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, "application/x-ndjson"))
        .insert_header((header::CONTENT_DISPOSITION, name))
        .streaming(ReaderStream::new(rows)))
}
