//! A form is accepted only with the token of the session that it was shown in (synchroniser token).
//! The middleware refuses every other POST, so no form can forget it.

use crate::error::AppError;
use actix_session::{Session, SessionExt};
use actix_web::{
    Error, FromRequest, HttpMessage,
    body::MessageBody,
    dev::{Payload, ServiceRequest, ServiceResponse},
    http::header,
    middleware::Next,
    web,
};
use rand::distr::{Alphanumeric, SampleString};
use subtle::ConstantTimeEq;

const TOKEN: &str = "csrf";

/// The hidden field that carries the token; a script may send it as a header of the same name.
pub const FIELD: &str = "csrf";

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
        None => sent_token(&request, &body),
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

/// The token in a urlencoded body.
fn sent_token(request: &ServiceRequest, body: &[u8]) -> Option<String> {
    let kind = request.headers().get(header::CONTENT_TYPE)?.to_str().ok()?;
    if !kind.starts_with("application/x-www-form-urlencoded") {
        return None;
    }
    let fields =
        web::Query::<Vec<(String, String)>>::from_query(std::str::from_utf8(body).ok()?).ok()?;
    fields.into_inner().into_iter().find(|(field, _)| field == FIELD).map(|(_, token)| token)
}
