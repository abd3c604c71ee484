//! A form is accepted only with the token of the session that it was shown in (synchroniser token).
//! The middleware refuses every other POST, so no form can forget it.

use crate::web::error::AppError;
use actix_multipart::Multipart;
use actix_session::{Session, SessionExt};
use actix_web::{
    Error, FromRequest, HttpMessage,
    body::MessageBody,
    dev::{Payload, ServiceRequest, ServiceResponse},
    error::PayloadError,
    http::header,
    middleware::Next,
    web,
};
use futures_util::{TryStreamExt, future, stream};
use rand::distr::{Alphanumeric, SampleString};
use subtle::ConstantTimeEq;

const TOKEN: &str = "csrf";

/// The hidden field that carries the token; a script may send it as a header of the same name.
pub const FIELD: &str = "csrf";

const MAX_TOKEN_BYTES: usize = 128;

/// The session's token, made at its first use.
pub fn token(session: &Session) -> Result<String, AppError> {
    if let Ok(Some(token)) = session.get::<String>(TOKEN) {
        return Ok(token);
    }
    renew(session)
}

/// A fresh token: at sign-in, with the fresh session key.
pub fn renew(session: &Session) -> Result<String, AppError> {
    let token = Alphanumeric.sample_string(&mut rand::rng(), 32);
    session
        .insert(TOKEN, &token)
        .map_err(|error| AppError::Internal(anyhow::anyhow!("{error}")))?;
    Ok(token)
}

/// Middleware: reads the form, checks its token in constant time, hands the body on.
pub async fn require_token(
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    if request.method().is_safe() {
        return Ok(next.call(request).await?.map_into_boxed_body());
    }
    let body =
        match web::Bytes::from_request(&request.request().clone(), &mut request.take_payload())
            .await
        {
            Ok(body) => body,
            Err(error) => return Ok(request.error_response(error).map_into_boxed_body()),
        };
    let sent = match request.headers().get(FIELD) {
        Some(value) => value.to_str().ok().map(str::to_owned),
        None => sent_token(&request, &body).await,
    };
    let expected: Option<String> = request.get_session().get(TOKEN).ok().flatten();
    let matches = match (&sent, &expected) {
        (Some(sent), Some(expected)) => bool::from(sent.as_bytes().ct_eq(expected.as_bytes())),
        _ => false,
    };
    if !matches {
        return Ok(request.error_response(AppError::StaleForm).map_into_boxed_body());
    }
    request.set_payload(Payload::from(body));
    Ok(next.call(request).await?.map_into_boxed_body())
}

/// The token in a form's body, however the form is encoded.
async fn sent_token(request: &ServiceRequest, body: &web::Bytes) -> Option<String> {
    let kind = request.headers().get(header::CONTENT_TYPE)?.to_str().ok()?;
    if kind.starts_with("multipart/form-data") {
        return multipart_token(request, body).await;
    }
    if !kind.starts_with("application/x-www-form-urlencoded") {
        return None;
    }
    let fields =
        web::Query::<Vec<(String, String)>>::from_query(std::str::from_utf8(body).ok()?).ok()?;
    fields.into_inner().into_iter().find(|(field, _)| field == FIELD).map(|(_, token)| token)
}

/// The token in a form with a file, where it comes before the file.
async fn multipart_token(request: &ServiceRequest, body: &web::Bytes) -> Option<String> {
    let stream = stream::once(future::ok::<_, PayloadError>(body.clone()));
    let mut form = Multipart::new(request.headers(), stream);
    while let Ok(Some(mut field)) = form.try_next().await {
        if field.name() == Some(FIELD) {
            let token = field.bytes(MAX_TOKEN_BYTES).await.ok()?.ok()?;
            return String::from_utf8(token.to_vec()).ok();
        }
    }
    None
}
