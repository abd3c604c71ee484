//! The embedded files that pages load. Their address holds their hash, so a browser keeps them for
//! a year and still sees a new one at once.

use crate::web::{address, error::AppError};
use actix_web::{
    HttpResponse,
    http::header,
    web::{self, Bytes},
};
use rust_embed::{EmbeddedFile, RustEmbed};
use sha2::{Digest, Sha256};
use std::{
    borrow::Cow,
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};
use storage::artifact_store::ArtifactStore;

#[derive(RustEmbed)]
#[folder = "static/"]
struct Static;

/// How much of a file's SHA-256 stands for it in its address.
const HASH_BYTES: usize = 6;

/// What stands for a file in its address.
fn hash(file: &EmbeddedFile) -> String {
    short_hash(&file.metadata.sha256_hash())
}

fn short_hash(sha256: &[u8]) -> String {
    hex::encode(&sha256[..HASH_BYTES])
}

/// The address of a file: `/static/{hash}/{name}`.
pub fn url(name: &str) -> String {
    let hash = Static::get(name).map(|file| hash(&file));
    address::address(&format!("/static/{}/{name}", hash.as_deref().unwrap_or("missing")))
}

/// The longest file of another version that is served.
const MAX_BYTES: u64 = 4 << 20;

/// How long the files of a version that is started nowhere any more are kept.
const KEPT: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Where the files of every version lie that was started lately: beside the artifacts, which all web
/// apps of an installation share. While a newer version takes over, a page of one of them asks the
/// other for its files.
fn shared_folder(store: &ArtifactStore) -> PathBuf {
    store.root().join("static")
}

/// Lays this version's files beside those of others, and removes what is long out of use.
pub fn share(store: &ArtifactStore) -> io::Result<()> {
    let folder = shared_folder(store);
    for name in Static::iter() {
        let Some(file) = Static::get(&name) else { continue };
        let place = folder.join(hash(&file));
        fs::create_dir_all(&place)?;
        let target = place.join(&*name);
        if !target.exists() {
            // Whole or not at all.
            let partial = tempfile::NamedTempFile::new_in(&folder)?;
            fs::write(partial.path(), &file.data)?;
            partial.persist(&target)?;
        }
        fs::File::options().append(true).open(&target)?.set_modified(SystemTime::now())?;
    }
    for place in fs::read_dir(&folder)?.flatten() {
        let files = || fs::read_dir(place.path()).into_iter().flatten().flatten();
        let is_used = |file: fs::DirEntry| {
            let used = file.metadata().and_then(|metadata| metadata.modified());
            used.is_ok_and(|used| used.elapsed().is_ok_and(|since| since < KEPT))
        };
        if place.path().is_dir() && !files().any(is_used) {
            fs::remove_dir_all(place.path())?;
        }
    }
    Ok(())
}

/// The file that another version has laid there, if it is what its address says.
fn of_another_version(folder: &Path, asked: &str, name: &str) -> Option<Bytes> {
    let is_hash =
        asked.len() == 2 * HASH_BYTES && asked.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if !is_hash || name.starts_with('.') || !name.bytes().all(is_plain) {
        return None;
    }
    let file = fs::File::open(folder.join(asked).join(name)).ok()?;
    if !file.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.len() <= MAX_BYTES) {
        return None;
    }
    let mut content = Vec::new();
    file.take(MAX_BYTES).read_to_end(&mut content).ok()?;
    (short_hash(&Sha256::digest(&content)) == asked).then(|| content.into())
}

/// The file of that hash, and no other, of whichever version: what a browser gets under an address it
/// keeps for a year. That there is none it keeps for no moment, because another process may have it.
pub async fn serve(
    path: web::Path<(String, String)>,
    store: web::Data<ArtifactStore>,
) -> Result<HttpResponse, AppError> {
    let (asked, name) = path.into_inner();
    let kind = mime_guess::from_path(&name).first_or_octet_stream();
    let own = Static::get(&name).filter(|file| hash(file) == asked);
    let content = match own.map(|file| file.data) {
        Some(Cow::Borrowed(embedded)) => Some(Bytes::from_static(embedded)),
        Some(Cow::Owned(read)) => Some(Bytes::from(read)),
        None => {
            let folder = shared_folder(&store);
            let look = move || of_another_version(&folder, &asked, &name);
            web::block(look).await.ok().flatten()
        }
    };
    let Some(content) = content else {
        return Ok(HttpResponse::NotFound()
            .insert_header((header::CACHE_CONTROL, "no-store"))
            .finish());
    };
    Ok(HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, kind.to_string()))
        .insert_header((header::CACHE_CONTROL, "public, max-age=31536000, immutable"))
        .body(content))
}
