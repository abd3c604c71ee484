//! What every answer forbids a browser, whatever the answer is: also where a middleware failed.

use crate::web::{cookies, error::with_headers};
use actix_web::{
    Error,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    http::header::{self, HeaderMap, HeaderName, HeaderValue},
    middleware::Next,
};

/// Everything comes from here, and nothing inline is executed or applied.
const CONTENT_SECURITY_POLICY: &str = "default-src 'self'; base-uri 'none'; object-src 'none'; \
     form-action 'self'; frame-ancestors 'none'";

/// For a year browsers come back over HTTPS alone.
const STRICT_TRANSPORT_SECURITY: &str = "max-age=31536000";

const EVERYWHERE: [(HeaderName, &str); 6] = [
    (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "same-origin"),
    (header::CROSS_ORIGIN_OPENER_POLICY, "same-origin"),
    (header::CACHE_CONTROL, "private, no-cache"),
];

/// Middleware: adds what the answer does not say by itself.
pub async fn security_headers(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let is_https = cookies::are_secure(request.request());
    let mut answer = next.call(request).await;
    if let Ok(response) = &mut answer {
        add_missing(response.headers_mut(), is_https);
    }
    answer.map_err(|error| with_headers(error, |headers| add_missing(headers, is_https)))
}

fn add_missing(headers: &mut HeaderMap, is_https: bool) {
    let https = is_https.then_some((header::STRICT_TRANSPORT_SECURITY, STRICT_TRANSPORT_SECURITY));
    for (name, value) in EVERYWHERE.into_iter().chain(https) {
        if !headers.contains_key(&name) {
            headers.insert(name, HeaderValue::from_static(value));
        }
    }
}
