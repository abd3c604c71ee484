//! Browsers fetch pages that nobody has asked for yet. Ours may have an effect: whoever opens *Write*
//! is given a task, a notice is shown once. So a guess is not answered, and the browser asks again
//! when the person does.

use actix_web::{
    Error, HttpResponse,
    body::{BoxBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::header::{self, HeaderMap},
    middleware::Next,
};

/// How browsers say that nobody asked: today's header, and those of before.
const HEADERS: [&str; 4] = ["sec-purpose", "purpose", "x-purpose", "x-moz"];

fn is_guess(headers: &HeaderMap) -> bool {
    let said = HEADERS.iter().flat_map(|name| headers.get_all(*name));
    let mut said = said.filter_map(|value| value.to_str().ok());
    said.any(|value| {
        let value = value.to_ascii_lowercase();
        ["prefetch", "prerender", "preview"].iter().any(|purpose| value.contains(purpose))
    })
}

/// Middleware: files may be fetched early, pages not.
pub async fn refuse_guesses(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let is_file = request.match_pattern().is_some_and(|path| path.starts_with("/static/"));
    if !is_file && is_guess(request.headers()) {
        let mut refused = HttpResponse::ServiceUnavailable();
        refused.insert_header((header::CACHE_CONTROL, "no-store"));
        return Ok(request.into_response(refused.finish()));
    }
    Ok(next.call(request).await?.map_into_boxed_body())
}
