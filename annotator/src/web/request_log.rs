//! One line in the log for every request, and a number that ties together whatever is said while
//! it is answered: it is in the log, in the response, and on error pages for people to tell.

use crate::{metrics::metrics, web::error::with_headers};
use actix_http::error::DispatchError;
use actix_web::{
    Error, HttpMessage, HttpRequest,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    http::header::{HeaderName, HeaderValue},
    middleware::Next,
};
use std::{fmt, net::SocketAddr, time::Instant};
use storage::statements;
use tracing::{
    Instrument,
    field::{Empty, display},
};
use uuid::Uuid;

/// Taken over from a proxy that numbers requests itself.
const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// Polled by monitors and open pages; logged at debug.
const ROUTINE: [&str; 3] = ["/health", "/ready", "/notices/new"];

/// Longer numbers are not taken over.
const MAX_LENGTH: usize = 64;

/// Longer texts are cut short in the log: what strangers send may be of any size.
const MAX_LOGGED: usize = 500;

/// A text for the log: its beginning.
pub fn clipped(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_LOGGED)]
}

/// A request's number.
#[derive(Clone, Debug)]
pub struct RequestId(HeaderValue);

impl RequestId {
    /// Of a request that passed [`log_requests`].
    pub fn of(request: &HttpRequest) -> Option<Self> {
        request.extensions().get::<Self>().cloned()
    }

    /// The sender's number if it is a plain one: nobody may write lines into the log.
    fn sent(request: &ServiceRequest) -> Option<Self> {
        let value = request.headers().get(HEADER)?;
        let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
        let bytes = value.as_bytes();
        let is_sane = (1..=MAX_LENGTH).contains(&bytes.len()) && bytes.iter().all(is_plain);
        is_sane.then(|| Self(value.clone()))
    }

    /// Twelve random digits: few enough to read them aloud.
    fn fresh() -> Self {
        let digits = Uuid::new_v4().simple().to_string();
        Self(HeaderValue::from_str(&digits[..12]).expect("digits are a header's value"))
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.to_str().unwrap_or_default())
    }
}

/// Middleware: numbers the request, counts it, and says how it was answered, also where a middleware
/// failed and no handler was reached. Who asked is added by [`crate::web::principal::Principal`]. What
/// programs ask all the time is said at `debug` only.
pub async fn log_requests(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let id = RequestId::sent(&request).unwrap_or_else(RequestId::fresh);
    request.extensions_mut().insert(id.clone());
    let method = clipped(request.method().as_str()).to_owned();
    let path = clipped(request.path()).to_owned();
    let route = request.match_pattern();
    let is_routine = path.starts_with("/static/") || ROUTINE.contains(&path.as_str());
    let span = tracing::info_span!("request", request_id = %id, %method, path, account = Empty);
    let started = Instant::now();
    let _in_flight = metrics().http.arrived();
    let answering = async move {
        let (mut answer, n_statements) = statements::counted(next.call(request)).await;
        let status = match &answer {
            Ok(response) => response.status(),
            Err(error) => error.as_response_error().status_code(),
        };
        let (status, took) = (status.as_u16(), started.elapsed());
        metrics().http.answered(&method, route, status, took);
        let duration_ms = took.as_millis() as u64;
        if is_routine {
            tracing::debug!(status, duration_ms, n_statements, "answered");
        } else {
            tracing::info!(status, duration_ms, n_statements, "answered");
        }
        if let Ok(response) = &mut answer {
            response.headers_mut().insert(HEADER, id.0.clone());
        }
        answer.map_err(|error| with_headers(error, |headers| drop(headers.insert(HEADER, id.0))))
    };
    answering.instrument(span).await
}

/// Says of a connection that ended before its time why: strangers who speak no HTTP are nobody's
/// concern, and an answer of ours that broke off is.
pub fn log_dropped(peer: Option<SocketAddr>, error: &DispatchError) {
    let (peer, said) = (peer.map(display), error.to_string());
    let error_said = clipped(&said);
    match error {
        DispatchError::Parse(_) => tracing::info!(peer, error = error_said, "this is no request"),
        DispatchError::Service(_)
        | DispatchError::Body(_)
        | DispatchError::Upgrade
        | DispatchError::InternalError => {
            tracing::error!(peer, error = error_said, "an answer broke off");
        }
        _ => tracing::debug!(peer, error = error_said, "a connection broke off"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    fn sent(value: &str) -> Option<String> {
        let request = TestRequest::get().insert_header((HEADER, value)).to_srv_request();
        RequestId::sent(&request).map(|id| id.to_string())
    }

    #[test]
    fn a_proxys_number_is_taken_over_if_it_is_plain() {
        assert_eq!(sent("a-1_b.2").as_deref(), Some("a-1_b.2"));
        for odd in ["", "two words", "a\"b", "<b>", "ключ", &"a".repeat(65)] {
            assert_eq!(sent(odd), None, "{odd}");
        }
    }

    #[test]
    fn a_fresh_number_is_short_and_differs_from_the_next() {
        let id = RequestId::fresh().to_string();
        assert_eq!(id.len(), 12);
        assert_ne!(id, RequestId::fresh().to_string());
    }
}
