//! Prompts and answers that come in by the web app: pasted, or as a file. A few prompts are stored
//! at once; whatever is more is an import, for which nobody waits.

use crate::{
    data::{
        formats::row::ImportRow,
        import::{
            import_details,
            limits::ImportLimits,
            queue::{ImportQueue, NewImport, QueueError},
            store::{self, CHUNK_BYTES, CHUNK_ROWS, StoredRows},
        },
        prompts, texts,
    },
    people::audit::{self, AuditAction, AuditSubject},
    web::{
        error::AppError,
        form::{FieldErrors, FormError},
        message::Message,
        typed::MAX_TEXT,
    },
};
use actix_multipart::{Field, Multipart, MultipartError};
use actix_web::error::PayloadError;
use entity::{
    conversation::PromptBody,
    dataset_version::DatasetKind,
    ids::{AccountId, ImportId, ProjectId},
    message::KeyedMessage,
};
use futures_util::TryStreamExt;
use sea_orm::{DatabaseConnection, DbErr};
use serde_json::json;
use sha2::{Digest, Sha256};
use std::io;
use storage::{database::write, storable::storable};
use tempfile::NamedTempFile;
use tokio::{fs::File, io::AsyncWriteExt, time::timeout};

/// The most that is kept of a file's name, in letters.
const NAME: usize = 200;

/// What became of prompts that were pasted.
pub enum PastedPrompts {
    Stored(StoredRows),
    /// They are many: this import brings them in.
    Queued(ImportId),
}

/// Takes pasted prompts in, one per paragraph.
pub async fn paste(
    db: &DatabaseConnection,
    queue: &ImportQueue,
    by: AccountId,
    project: ProjectId,
    text: &str,
) -> Result<PastedPrompts, FormError> {
    let mut errors = FieldErrors::default();
    errors.within("prompts", text, MAX_TEXT);
    errors.or_invalid()?;
    let prompts = prompts::from_pasted_text(text);
    if prompts.is_empty() {
        return Err(FieldErrors::one("prompts", "prompts-empty").into());
    }
    if prompts.len() > CHUNK_ROWS || text.len() > CHUNK_BYTES {
        return Ok(PastedPrompts::Queued(queue_pasted(queue, by, project, prompts).await?));
    }
    let alone = |prompt| ImportRow::new(DatasetKind::Prompts, prompt, []);
    let rows: Vec<ImportRow> = prompts.into_iter().map(alone).collect();
    Ok(PastedPrompts::Stored(store_now(db, by, project, &rows).await?))
}

async fn store_now(
    db: &DatabaseConnection,
    by: AccountId,
    project: ProjectId,
    rows: &[ImportRow],
) -> Result<StoredRows, DbErr> {
    write(db, |turn| async move {
        let stored = store::store(&turn, project, rows).await?;
        let details = import_details(&stored.counts);
        let subject = AuditSubject::project(project);
        audit::record(&*turn, by, AuditAction::PromptImport, subject, details).await?;
        Ok(stored)
    })
    .await
}

async fn queue_pasted(
    queue: &ImportQueue,
    by: AccountId,
    project: ProjectId,
    prompts: Vec<PromptBody>,
) -> Result<ImportId, FormError> {
    let refused = |error: &io::Error| not_kept("prompts", error);
    let mut arriving = Arriving::new(queue).map_err(|error| refused(&error))?;
    for prompt in prompts {
        let row = format!("{}\n", json!({"prompt": prompt}));
        arriving.write(row.as_bytes()).await.map_err(|error| refused(&error))?;
    }
    let (file, file_hash, n_bytes) = arriving.finish().await.map_err(|error| refused(&error))?;
    let new = NewImport { project, by, file_name: None, file_hash, n_bytes, leaves_out: false };
    add(queue, new, file, "prompts").await
}

/// Takes in a file of JSON Lines: writes it down as it arrives, for an import to go on with.
pub async fn upload(
    queue: &ImportQueue,
    by: AccountId,
    project: ProjectId,
    form: Multipart,
) -> Result<ImportId, FormError> {
    let UploadForm { file, file_name, file_hash, n_bytes, leaves_out } =
        receive(queue, form, ImportLimits::UPLOAD).await?;
    let new = NewImport { project, by, file_name, file_hash, n_bytes, leaves_out };
    add(queue, new, file, "file").await
}

async fn add(
    queue: &ImportQueue,
    new: NewImport,
    file: NamedTempFile,
    field: &'static str,
) -> Result<ImportId, FormError> {
    queue.add(new, file).await.map_err(|error| match error {
        QueueError::TooMany => FieldErrors::one(field, "import-too-many").into(),
        QueueError::Disk(error) => not_kept(field, &error),
        QueueError::Database(error) => error.into(),
    })
}

/// A form with a file that has arrived.
pub struct UploadForm {
    pub file: NamedTempFile,
    pub file_name: Option<String>,
    pub file_hash: String,
    pub n_bytes: u64,
    pub leaves_out: bool,
}

/// Reads the form: its first field `file`, and whether `leave_out` is ticked.
pub async fn receive(
    queue: &ImportQueue,
    mut form: Multipart,
    limits: ImportLimits,
) -> Result<UploadForm, FormError> {
    let (mut received, mut leaves_out) = (None, false);
    while let Some(mut field) = in_time(limits, form.try_next()).await? {
        match field.name() {
            Some("leave_out") => leaves_out = true,
            Some("file") if received.is_none() => {
                let name = field.content_disposition().and_then(|part| part.get_filename());
                let name = name.map(short_name).filter(|name| !name.is_empty());
                received = Some((name, receive_file(queue, &mut field, limits).await?));
            }
            _ => {}
        }
    }
    let (file_name, (file, file_hash, n_bytes)) =
        received.ok_or_else(|| FieldErrors::one("file", "upload-no-file"))?;
    if n_bytes == 0 {
        return Err(FieldErrors::one("file", "upload-no-file").into());
    }
    Ok(UploadForm { file, file_name, file_hash, n_bytes, leaves_out })
}

async fn receive_file(
    queue: &ImportQueue,
    field: &mut Field,
    limits: ImportLimits,
) -> Result<(NamedTempFile, String, u64), FormError> {
    let refused = |error: io::Error| not_kept("file", &error);
    let mut arriving = Arriving::new(queue).map_err(refused)?;
    while let Some(bytes) = in_time(limits, field.try_next()).await? {
        if arriving.n_bytes + bytes.len() as u64 > limits.file_bytes {
            return Err(FieldErrors::one("file", said(limits.file_too_large())).into());
        }
        arriving.write(&bytes).await.map_err(refused)?;
    }
    arriving.finish().await.map_err(refused)
}

/// The next piece of a form. The parser waits for ever for the end of some forms that have none,
/// though all of the request is there.
async fn in_time<T>(
    limits: ImportLimits,
    next: impl Future<Output = Result<T, MultipartError>>,
) -> Result<T, FormError> {
    match timeout(limits.silence, next).await {
        Ok(next) => next.map_err(broken),
        Err(_) => Err(broken(MultipartError::Incomplete)),
    }
}

/// A file that is written while it arrives.
struct Arriving {
    file: NamedTempFile,
    writer: File,
    hash: Sha256,
    n_bytes: u64,
}

impl Arriving {
    fn new(queue: &ImportQueue) -> io::Result<Self> {
        let file = queue.incoming()?;
        let writer = File::from_std(file.as_file().try_clone()?);
        Ok(Self { file, writer, hash: Sha256::new(), n_bytes: 0 })
    }

    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hash.update(bytes);
        self.n_bytes += bytes.len() as u64;
        self.writer.write_all(bytes).await
    }

    /// The file, its hash and its length.
    async fn finish(mut self) -> io::Result<(NamedTempFile, String, u64)> {
        self.writer.flush().await?;
        Ok((self.file, hex::encode(self.hash.finalize()), self.n_bytes))
    }
}

/// A file's name as a page can show it.
fn short_name(name: &str) -> String {
    let name: String =
        storable(name).chars().filter(|letter| !letter.is_control()).take(NAME).collect();
    if texts::is_blank(&name) { String::new() } else { name }
}

fn said(why: KeyedMessage) -> Message {
    Message::new("prompts-file-refused").with("error", why)
}

/// The disk that is full, most often.
fn not_kept(field: &'static str, error: &io::Error) -> FormError {
    tracing::error!(%error, "an upload cannot be kept");
    let why = KeyedMessage::from(error);
    FieldErrors::one(field, Message::new("upload-not-kept").with("why", why)).into()
}

/// A form that broke off, or none at all.
fn broken(error: MultipartError) -> FormError {
    FormError::Failed(match error {
        MultipartError::Payload(PayloadError::Overflow) => AppError::TooLarge,
        MultipartError::Incomplete | MultipartError::Payload(_) => {
            AppError::bad_request("upload-cut-off")
        }
        _ => AppError::bad_request("upload-unreadable"),
    })
}
