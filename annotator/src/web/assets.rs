//! The embedded files that pages load. Their address holds their hash, so a browser keeps them for
//! a year and still sees a new one at once.

use crate::web::{address, error::AppError};
use actix_web::{HttpResponse, http::header, web};
use rust_embed::RustEmbed;

#[derive(RustEmbed)]
#[folder = "static/"]
struct Static;

/// The address of a file: `/static/{hash}/{name}`.
pub fn url(name: &str) -> String {
    let hash = Static::get(name).map(|file| hex::encode(&file.metadata.sha256_hash()[..6]));
    address::address(&format!("/static/{}/{name}", hash.as_deref().unwrap_or("missing")))
}

pub async fn serve(path: web::Path<(String, String)>) -> Result<HttpResponse, AppError> {
    let (_, name) = path.into_inner();
    let file = Static::get(&name).ok_or(AppError::NotFound)?;
    let kind = mime_guess::from_path(&name).first_or_octet_stream();
    Ok(HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, kind.to_string()))
        .insert_header((header::CACHE_CONTROL, "public, max-age=31536000, immutable"))
        .body(file.data.into_owned()))
}
