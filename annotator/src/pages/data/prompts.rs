//! `/projects/{project}/prompts`: what people are asked, and bringing more of it in.

use crate::{
    data::{export, formats, import::ImportCounts, prompts, texts, uploads},
    web::{
        access::{Access, Manager, ManagerOrEngineer},
        error::AppError,
        form::{FieldErrors, FormError},
        message::Message,
        page::{self, Page, PageNumber},
    },
};
use actix_multipart::Multipart;
use actix_session::Session;
use actix_web::{HttpResponse, http::header, web};
use askama::Template;
use entity::{conversation::PromptBody, ids::PromptId, prompt};
use futures_util::TryStreamExt;
use sea_orm::{
    ColumnTrait, DatabaseConnection, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder,
};
use serde::Deserialize;
use tokio::io::AsyncReadExt;
use tokio_util::io::ReaderStream;

const PER_PAGE: u64 = 50;

#[derive(Template)]
#[template(path = "prompts/list.html")]
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
        let number = PageNumber { page: number }.within(totals.number_of_pages);
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
    query: web::Query<PageNumber>,
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
    let taken = uploads::paste(&db, access.account.id, access.project.id, &form.prompts).await;
    back_to_prompts(page, access, taken, &session, &db).await
}

/// A file of JSON Lines, as the command line reads it.
pub async fn upload(
    page: Page,
    Manager(access): Manager,
    multipart: Multipart,
    session: Session,
    db: web::Data<DatabaseConnection>,
) -> Result<HttpResponse, AppError> {
    let file = file_of(multipart).await?;
    let taken = uploads::upload(&db, access.account.id, access.project.id, &file).await;
    back_to_prompts(page, access, taken, &session, &db).await
}

/// The list of prompts, or what was wrong with those that were sent.
async fn back_to_prompts(
    page: Page,
    access: Access,
    taken: Result<ImportCounts, FormError>,
    session: &Session,
    db: &DatabaseConnection,
) -> Result<HttpResponse, AppError> {
    match taken {
        Ok(counts) => {
            page::notify(session, "notice-prompts-added", counts.new_rows())?;
            Ok(page::see_other(&access.url("/prompts")))
        }
        Err(FormError::Invalid(errors)) => {
            let mut view = PromptsPage::new(page, access, 1, db).await?;
            view.errors = errors;
            page::invalid(&view)
        }
        Err(FormError::Failed(error)) => Err(error),
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

/// The path of an export: `{format}.jsonl`.
#[derive(Deserialize)]
pub struct ExportPath {
    format: String,
}

/// The project's work in one of TRL's formats.
pub async fn download(
    ManagerOrEngineer(access): ManagerOrEngineer,
    path: web::Path<ExportPath>,
    db: web::Data<DatabaseConnection>,
) -> Result<HttpResponse, AppError> {
    let format = formats::exported_as(&path.format).ok_or(AppError::NotFound)?;
    let ([train, eval], _) = export::rows(&db, access.project.id, format.contents()).await?;
    let rows = tokio::fs::File::from_std(train).chain(tokio::fs::File::from_std(eval));
    let name = format!("attachment; filename=\"{}.jsonl\"", path.format);
    Ok(HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, "application/x-ndjson"))
        .insert_header((header::CONTENT_DISPOSITION, name))
        .streaming(ReaderStream::new(rows)))
}
