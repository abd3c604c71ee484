//! `/projects/{project}/models/{model}/download`: the Hugging Face folder as a zip, written while it
//! is read, so that no copy of it is held anywhere.

use crate::{
    models::files::{ModelFile, files_of, kept},
    people::audit::{self, AuditAction, AuditSubject},
    web::{access::Engineer, error::AppError, of::Of},
};
use actix_web::{
    HttpRequest, HttpResponse,
    http::{Method, header},
    web,
};
use async_zip::{Compression, ZipEntryBuilder, base::write::ZipFileWriter};
use entity::model;
use futures_util::{AsyncWriteExt, io};
use sea_orm::DatabaseConnection;
use serde_json::json;
use storage::artifact_store::ArtifactStore;
use tokio::{fs::File, io::AsyncWrite};
use tokio_util::{
    compat::{TokioAsyncReadCompatExt, TokioAsyncWriteCompatExt},
    io::ReaderStream,
};

/// What is on its way between the disk and the browser.
const BUFFER: usize = 1 << 20;

/// Above this a zip needs the 64-bit extension, which some old programs do not read.
const MAX_PLAIN_ZIP: u64 = u32::MAX as u64 - (16 << 20);

pub async fn download(
    request: HttpRequest,
    Of(Engineer(access), model): Of<Engineer, model::Model>,
    store: web::Data<ArtifactStore>,
    db: web::Data<DatabaseConnection>,
) -> Result<HttpResponse, AppError> {
    let model = kept(model)?;
    let name = safe_name(&model.name);
    let files = files_of(&store.path(&model.artifact_hash))?;
    if request.method() == Method::GET {
        let (subject, details) =
            (AuditSubject::in_project(access.project.id, model.id), json!({"name": model.name}));
        let by = access.account.id;
        audit::record_alone(db.get_ref(), by, AuditAction::ModelDownload, subject, details).await?;
    }
    let (writer, reader) = tokio::io::duplex(BUFFER);
    let folder = name.clone();
    tokio::spawn(async move {
        // A browser that went away closes the pipe: that is no fault of ours.
        if let Err(error) = write_zip(writer, &folder, &files).await {
            tracing::info!(error = format!("{error:#}"), "a download ended early");
        }
    });
    Ok(HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, "application/zip"))
        .insert_header((header::CONTENT_ENCODING, "identity"))
        .insert_header((
            header::CONTENT_DISPOSITION,
            format!("attachment; filename=\"{name}.zip\""),
        ))
        .streaming(ReaderStream::with_capacity(reader, 64 << 10)))
}

/// Letters, digits, `-`, `_` and `.`: a name that no shell, header or file system trips over.
fn safe_name(name: &str) -> String {
    let safe = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.');
    let name: String = name.chars().map(|letter| if safe(letter) { letter } else { '-' }).collect();
    let name = name.trim_matches(['-', '.']);
    if name.is_empty() { "model".to_owned() } else { name.to_owned() }
}

/// Stored, not compressed: weights hardly shrink, and the network is faster than the processor.
async fn write_zip(
    out: impl AsyncWrite + Unpin,
    folder: &str,
    files: &[ModelFile],
) -> anyhow::Result<()> {
    let mut zip = ZipFileWriter::new(out.compat_write());
    if files.iter().map(|file| file.n_bytes).sum::<u64>() < MAX_PLAIN_ZIP {
        zip = zip.force_no_zip64();
    }
    for file in files {
        let entry =
            ZipEntryBuilder::new(format!("{folder}/{}", file.name).into(), Compression::Stored)
                .unix_permissions(0o644);
        let mut to = zip.write_entry_stream(entry).await?;
        io::copy(File::open(&file.path).await?.compat(), &mut to).await?;
        to.close().await?;
    }
    zip.close().await?.close().await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_leave_its_folder_or_its_header() {
        assert_eq!(safe_name("smollm2-135m.sft"), "smollm2-135m.sft");
        assert_eq!(safe_name("../../etc/passwd"), "etc-passwd");
        assert_eq!(safe_name("a\"\r\nb"), "a---b");
        assert_eq!(safe_name("Модель"), "model");
    }

    #[tokio::test]
    async fn the_zip_holds_every_file_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("deep")).unwrap();
        std::fs::write(folder.path().join("config.json"), "{}").unwrap();
        std::fs::write(folder.path().join("deep/model.safetensors"), vec![7; 300_000]).unwrap();
        let (writer, mut reader) = tokio::io::duplex(4096);
        let files = files_of(folder.path()).unwrap();
        let writing = tokio::spawn(async move { write_zip(writer, "m", &files).await });
        let mut zip = Vec::new();
        tokio::io::AsyncReadExt::read_to_end(&mut reader, &mut zip).await.unwrap();
        writing.await.unwrap().unwrap();

        // Read by another implementation than the one that wrote it.
        let mut archive = zip::ZipArchive::new(std::io::Cursor::new(zip)).unwrap();
        let names: Vec<_> = archive.file_names().map(str::to_owned).collect();
        assert_eq!(names, ["m/config.json", "m/deep/model.safetensors"]);
        let mut weights = Vec::new();
        let mut entry = archive.by_name("m/deep/model.safetensors").unwrap();
        std::io::Read::read_to_end(&mut entry, &mut weights).unwrap();
        assert_eq!(weights, vec![7; 300_000]);
    }
}
