//! The embedded files that pages load. Their address holds their hash, so a browser keeps them for
//! a year and still sees a new one at once.

use crate::web::{address, error::AppError};
use actix_web::{
    HttpResponse,
    http::header,
    web::{self, Bytes},
};
use rust_embed::{EmbeddedFile, RustEmbed};
use std::borrow::Cow;

#[derive(RustEmbed)]
#[folder = "static/"]
struct Static;

/// What stands for a file in its address.
fn hash(file: &EmbeddedFile) -> String {
    hex::encode(&file.metadata.sha256_hash()[..6])
}

/// The address of a file: `/static/{hash}/{name}`.
pub fn url(name: &str) -> String {
    let hash = Static::get(name).map(|file| hash(&file));
    address::address(&format!("/static/{}/{name}", hash.as_deref().unwrap_or("missing")))
}

/// The file of that hash, and no other: while a newer version takes over, a page of one may ask the
/// other for its files, and what a browser gets under an address it keeps for a year.
pub async fn serve(path: web::Path<(String, String)>) -> Result<HttpResponse, AppError> {
    let (asked, name) = path.into_inner();
    let file = Static::get(&name).filter(|file| hash(file) == asked);
    let file = file.ok_or(AppError::NotFound)?;
    let kind = mime_guess::from_path(&name).first_or_octet_stream();
    let content = match file.data {
        Cow::Borrowed(embedded) => Bytes::from_static(embedded),
        Cow::Owned(read) => Bytes::from(read),
    };
    Ok(HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, kind.to_string()))
        .insert_header((header::CACHE_CONTROL, "public, max-age=31536000, immutable"))
        .body(content))
}
