//! What a person is told when something went wrong, and what is logged of it.

use crate::web::{
    address, assets,
    error::{AppError, RETRY_AFTER},
    i18n::Language,
    message::Message,
    page::Page,
    principal::Principal,
    request_log::{self, RequestId},
    sent_form::{self, FormAgain},
    session,
};
use actix_web::{
    Error, FromRequest, HttpResponse, ResponseError,
    body::{BoxBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::{StatusCode, header},
    middleware::Next,
};
use askama::Template;

/// A title and a sentence of advice, in Fluent keys.
fn words(status: StatusCode, error: &Error) -> (&'static str, &'static str) {
    match error.as_error::<AppError>() {
        Some(AppError::StaleForm) => return ("error-stale-title", "error-stale-advice"),
        Some(AppError::NoCookie { .. }) => {
            return ("error-no-cookie-title", "error-no-cookie-advice");
        }
        Some(AppError::Busy) => return ("error-busy-title", "error-busy-advice"),
        Some(error) if error.is_out_of_room() => return ("error-full-title", "error-full-advice"),
        Some(AppError::Conflict(_)) => return ("error-conflict-title", "error-conflict-advice"),
        Some(AppError::TooManyStreams) => return ("error-streams-title", "error-streams-advice"),
        _ => {}
    }
    match status.as_u16() {
        403 => ("error-forbidden-title", "error-forbidden-advice"),
        404 => ("error-not-found-title", "error-not-found-advice"),
        408 => ("error-slow-title", "error-slow-advice"),
        410 => ("error-gone-title", "error-gone-advice"),
        413 => ("error-too-large-title", "error-too-large-advice"),
        415 => ("error-body-kind-title", "error-body-kind-advice"),
        429 => ("error-too-many-title", "error-too-many-advice"),
        503 => ("error-unavailable-title", "error-unavailable-advice"),
        400..500 => ("error-request-title", "error-request-advice"),
        _ => ("error-internal-title", "error-internal-advice"),
    }
}

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage {
    page: Page,
    title: &'static str,
    advice: &'static str,
    /// What exactly was refused; never the insides of a failure.
    detail: Option<String>,
    /// What the log knows this request by.
    number: Option<RequestId>,
    /// What was sent, where the failure is ours.
    again: Option<FormAgain>,
}

/// Middleware: logs a failure once and answers with a page in the person's language.
pub async fn error_pages(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let response = next.call(request).await?;
    let status = response.status();
    let Some(error) = response.response().error().filter(|_| status.as_u16() >= 400) else {
        return Ok(response.map_into_boxed_body());
    };
    let ours = error.as_error::<AppError>();
    let retry_after = ours.and_then(AppError::retry_after);
    let said = error.to_string();
    let reason = request_log::clipped(&said);
    if status.is_server_error() && !matches!(ours, Some(AppError::Busy)) {
        tracing::error!(error = %reason, "request failed");
    } else {
        tracing::info!(error = %reason, status = status.as_u16(), "request refused");
    }
    let (title, advice) = words(status, error);
    let no_https = Message::new("error-no-cookie-secure");
    let detail = match ours {
        Some(AppError::BadRequest(detail) | AppError::Conflict(detail)) => Some(detail),
        Some(AppError::NoCookie { needs_https: true }) => Some(&no_https),
        _ => None,
    };
    let again = status.is_server_error().then(|| sent_form::again(response.request())).flatten();
    let number = RequestId::of(response.request());
    let is_away = ours.is_some_and(AppError::is_unavailable);
    if is_away {
        let account = Principal::known(response.request()).map(Principal::into_account);
        let language = Language::of(response.request(), account.as_ref());
        let page = Unavailable(UnavailablePage { language, number, again }).error_response();
        return Ok(ServiceResponse::new(response.into_parts().0, page));
    }
    let page = Page::extract(response.request()).await?;
    let detail = detail.map(|detail| page.translate(detail));
    let body = ErrorPage { page, title, advice, detail, number, again }
        .render()
        .map_err(AppError::from)?;
    let mut html = HttpResponse::build(status);
    html.insert_header(header::ContentType::html());
    if let Some(seconds) = retry_after {
        html.insert_header((header::RETRY_AFTER, seconds));
    }
    let html = html.body(body);
    Ok(ServiceResponse::new(response.into_parts().0, html))
}

#[derive(Debug, Template)]
#[template(path = "unavailable.html")]
struct UnavailablePage {
    language: Language,
    number: Option<RequestId>,
    again: Option<FormAgain>,
}

/// A failure that left nothing to make a usual page of: no session, no account.
#[derive(Debug, thiserror::Error)]
#[error("the database does not answer")]
struct Unavailable(UnavailablePage);

impl ResponseError for Unavailable {
    fn status_code(&self) -> StatusCode {
        StatusCode::SERVICE_UNAVAILABLE
    }

    fn error_response(&self) -> HttpResponse {
        HttpResponse::build(self.status_code())
            .insert_header(header::ContentType::html())
            .insert_header(RETRY_AFTER)
            .body(self.0.render().unwrap_or_default())
    }
}

/// Middleware around sessions and [`error_pages`], which need the database: what fails there, most
/// often because it does not answer, is told on a page that needs nothing.
pub async fn last_resort(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let language = Language::of(request.request(), None);
    let number = RequestId::of(request.request());
    next.call(request).await.map_err(|error| {
        if !error.as_response_error().status_code().is_server_error() {
            return error;
        }
        let said = error.to_string();
        tracing::error!(error = %request_log::clipped(&said), "a request could not be answered");
        Unavailable(UnavailablePage { language, number, again: None }).into()
    })
}

/// What is answered whoever asks.
const OF_NOBODY: [&str; 3] = ["/static/{hash}/{name}", "/health", "/ready"];

/// Middleware, directly within sessions: where it could not be read whose a request is, because the
/// database does not answer, it says so on a page that holds what was sent.
pub async fn unknown_sender(
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let Some(error) = session::failed_to_load() else {
        return Ok(next.call(request).await?.map_into_boxed_body());
    };
    if request.match_pattern().is_some_and(|route| OF_NOBODY.contains(&route.as_str())) {
        return Ok(next.call(request).await?.map_into_boxed_body());
    }
    tracing::error!(error = %request_log::clipped(&error.to_string()), "a session cannot be read");
    let again = sent_form::read(&mut request).await;
    let language = Language::of(request.request(), None);
    let number = RequestId::of(request.request());
    Ok(request.error_response(Unavailable(UnavailablePage { language, number, again })))
}
