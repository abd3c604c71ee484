//! `/projects/{project}/prompts`: what people are asked, and bringing more of it in.

use crate::{
    data::{
        export, formats,
        import::{limits::ImportLimits, queue::ImportQueue, store::StoredRows},
        prompts, texts,
        uploads::{self, PastedPrompts},
    },
    pages::data::imports,
    people::audit::{self, AuditAction, AuditSubject},
    web::{
        access::{Access, Manager, ManagerOrEngineer},
        error::AppError,
        form::{FieldErrors, FormError},
        format,
        list_part::{ListPart, ListPosition},
        page::{self, Page},
        typed::{self, TypedForm, TypedQuery},
    },
};
use actix_multipart::Multipart;
use actix_session::Session;
use actix_web::{
    HttpRequest, HttpResponse,
    http::{Method, header},
    web,
};
use askama::Template;
use entity::{
    ids::{ImportId, PromptId},
    import, prompt,
};
use sea_orm::{
    ColumnTrait, DatabaseConnection, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder,
    QuerySelect,
};
use serde::Deserialize;
use serde_json::json;
use std::time::Duration;
use tokio::{io::AsyncReadExt, sync::Semaphore, time::timeout};
use tokio_util::io::ReaderStream;

const PER_PAGE: usize = 50;

/// Imports that the page lists: the newest.
const IMPORTS: u64 = 5;

/// How long a small file is waited for, so that its page says at once how it went.
const PATIENCE: Duration = Duration::from_secs(1);

#[derive(Template)]
#[template(path = "prompts/list.html")]
struct PromptsPage {
    page: Page,
    access: Access,
    n_prompts: u64,
    prompts: Vec<Listed>,
    /// Where the neighbours of this part of the list are.
    newer: Option<String>,
    older: Option<String>,
    imports: Vec<import::Model>,
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
        position: &ListPosition,
        db: &DatabaseConnection,
    ) -> Result<Self, AppError> {
        let all = prompts::of_project(access.project.id);
        let n_prompts = all.clone().count(db).await?;
        let key: (_, fn(&prompt::Model) -> PromptId) = (prompt::Column::Id, |row| row.id);
        let ListPart { rows, newer, older } =
            ListPart::load(db, all, key, position, PER_PAGE).await?;
        let bodies = texts::beginnings(db, rows.iter().map(|row| row.text_hash.clone())).await?;
        let imports = import::Entity::find()
            .filter(import::Column::ProjectId.eq(access.project.id))
            .order_by_desc(import::Column::CreatedAt)
            .limit(IMPORTS)
            .all(db)
            .await?;
        let removed = page.text("text-removed").to_string();
        let listed = |row: &prompt::Model| {
            let (beginning, is_plain) = match bodies.get(&row.text_hash) {
                Some(body) => prompts::in_a_list(body),
                None => (removed.clone(), false),
            };
            Listed { id: row.id, beginning, is_plain, is_withdrawn: row.withdrawn_at.is_some() }
        };
        Ok(Self {
            n_prompts,
            prompts: rows.iter().map(listed).collect(),
            newer,
            older,
            imports,
            pasted: String::new(),
            errors: FieldErrors::default(),
            page,
            access,
        })
    }
}

impl PromptsPage {
    fn max_megabytes(&self) -> u64 {
        ImportLimits::UPLOAD.file_bytes >> 20
    }
}

pub async fn show(
    page: Page,
    Manager(access): Manager,
    query: TypedQuery<ListPosition>,
    db: web::Data<DatabaseConnection>,
) -> Result<HttpResponse, AppError> {
    page::html(&PromptsPage::new(page, access, &query, &db).await?)
}

#[derive(Deserialize)]
pub struct PasteForm {
    prompts: String,
}

/// One prompt per paragraph.
pub async fn paste(
    page: Page,
    Manager(access): Manager,
    form: TypedForm<PasteForm>,
    session: Session,
    queue: web::Data<ImportQueue>,
    db: web::Data<DatabaseConnection>,
) -> Result<HttpResponse, AppError> {
    let (by, project) = (access.account.id, access.project.id);
    match uploads::paste(&db, &queue, by, project, &form.prompts).await {
        Ok(PastedPrompts::Stored(StoredRows { counts, erased })) => {
            // Sent twice is sent once: what was there already is nobody's mistake.
            match counts.new_rows() {
                _ if !erased.is_empty() => {
                    page::notify(&session, "notice-prompts-erased", numbered(&erased))?;
                }
                0 => page::notify(&session, "notice-prompts-known", counts.known)?,
                n_new => page::notify(&session, "notice-prompts-added", n_new)?,
            }
            Ok(page::see_other(&access.url("/prompts")))
        }
        Ok(PastedPrompts::Queued(import)) => to_import(&access, &queue, import).await,
        Err(FormError::Invalid(errors)) => {
            refused(page, access, &db, errors, form.into_inner().prompts).await
        }
        Err(FormError::Failed(error)) => Err(error),
    }
}

/// Places as people count them, no more than a notice holds.
fn numbered(places: &[usize]) -> String {
    const NAMED: usize = 20;
    let named: Vec<String> =
        places.iter().take(NAMED).map(|place| (place + 1).to_string()).collect();
    let others = if places.len() > NAMED { ", …" } else { "" };
    format!("{}{others}", named.join(", "))
}

/// A file of JSON Lines, as the command line reads it.
pub async fn upload(
    page: Page,
    Manager(access): Manager,
    form: Multipart,
    queue: web::Data<ImportQueue>,
    db: web::Data<DatabaseConnection>,
) -> Result<HttpResponse, AppError> {
    match uploads::upload(&queue, access.account.id, access.project.id, form).await {
        Ok(import) => to_import(&access, &queue, import).await,
        Err(FormError::Invalid(errors)) => refused(page, access, &db, errors, String::new()).await,
        Err(FormError::Failed(error)) => Err(error),
    }
}

/// The page of the import, which says how it went if the file is small.
async fn to_import(
    access: &Access,
    queue: &ImportQueue,
    import: ImportId,
) -> Result<HttpResponse, AppError> {
    queue.settled(import, PATIENCE).await?;
    Ok(page::see_other(&access.url(&format!("/imports/{import}"))))
}

/// The forms again, with what was wrong with what was sent.
async fn refused(
    page: Page,
    access: Access,
    db: &DatabaseConnection,
    errors: FieldErrors,
    pasted: String,
) -> Result<HttpResponse, AppError> {
    let view = PromptsPage::new(page, access, &ListPosition::default(), db).await?;
    page::invalid(&PromptsPage { errors, pasted, ..view })
}

/// How many exports are made at once, and how long another one waits for its turn.
static EXPORTS: Semaphore = Semaphore::const_new(2);
const EXPORT_PATIENCE: Duration = Duration::from_secs(10);

/// The path of an export: `{format}.jsonl`.
#[derive(Deserialize)]
pub struct ExportPath {
    format: String,
}

/// The project's work in one of TRL's formats.
pub async fn download(
    request: HttpRequest,
    ManagerOrEngineer(access): ManagerOrEngineer,
    path: web::Path<ExportPath>,
    db: web::Data<DatabaseConnection>,
) -> Result<HttpResponse, AppError> {
    let format = formats::exported_as(&path.format).ok_or(AppError::NotFound)?;
    let mut answer = HttpResponse::Ok();
    answer.insert_header((header::CONTENT_TYPE, "application/x-ndjson")).insert_header((
        header::CONTENT_DISPOSITION,
        format!("attachment; filename=\"{}.jsonl\"", path.format),
    ));
    if request.method() == Method::HEAD {
        return Ok(answer.finish());
    }
    // Each holds rows in memory and reads on a connection of its own.
    let turn = timeout(EXPORT_PATIENCE, EXPORTS.acquire()).await;
    let _turn = turn.ok().and_then(Result::ok).ok_or(AppError::Busy)?;
    let (subject, details) =
        (AuditSubject::project(access.project.id), json!({"format": path.format}));
    let by = access.account.id;
    audit::record_alone(db.get_ref(), by, AuditAction::DataExport, subject, details).await?;
    let ([train, eval], _) = export::rows(&db, access.project.id, format.contents()).await?;
    let rows = tokio::fs::File::from_std(train).chain(tokio::fs::File::from_std(eval));
    Ok(answer.streaming(ReaderStream::new(rows)))
}
