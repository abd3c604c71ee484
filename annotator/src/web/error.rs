//! What can go wrong in a request, what the person is told, and what is logged.

use crate::{
    keeping::deletion::hold::Deleted,
    web::{
        assets,
        i18n::Language,
        page::{self, Page},
        request_log::RequestId,
    },
};
use actix_web::{
    Error, FromRequest, HttpResponse, ResponseError,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    http::{StatusCode, header},
    middleware::Next,
};
use askama::Template;

/// The one error of every handler. Details go to the log; the person sees what to do next.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// 303 to the sign-in page, which returns here.
    #[error("sign in first")]
    SignInFirst { next: String },
    /// 400: a form without the session's token, usually because the session ended meanwhile.
    #[error("the form's token is not the session's")]
    StaleForm,
    /// 400: something that no page of ours sends; the text names it.
    #[error("{0}")]
    BadRequest(String),
    /// 403: signed in, but without the role this needs.
    #[error("this needs another role")]
    Forbidden,
    /// 404: it does not exist, or not for this person.
    #[error("not found")]
    NotFound,
    /// 409: it changed meanwhile; the text says what.
    #[error("{0}")]
    Conflict(String),
    /// 410: its files were deleted; its page says when and by whom.
    #[error("deleted")]
    Gone,
    /// 413: the upload is larger than accepted.
    #[error("the upload is too large")]
    TooLarge,
    /// 429: too many attempts to sign in.
    #[error("too many attempts")]
    TooManyAttempts,
    /// 500: the database failed.
    #[error("database: {0}")]
    Database(#[from] sea_orm::DbErr),
    /// 500: a page could not be written.
    #[error("template: {0}")]
    Template(#[from] askama::Error),
    /// 500: anything else.
    #[error("{0:#}")]
    Internal(#[from] anyhow::Error),
}

impl From<Deleted> for AppError {
    fn from(error: Deleted) -> Self {
        match error {
            Deleted::Database(error) => Self::Database(error),
            Deleted::Project | Deleted::Model(_) => Self::Conflict(error.to_string()),
        }
    }
}

impl From<std::io::Error> for AppError {
    fn from(error: std::io::Error) -> Self {
        Self::Internal(error.into())
    }
}

impl From<serde_json::Error> for AppError {
    fn from(error: serde_json::Error) -> Self {
        Self::Internal(error.into())
    }
}

impl ResponseError for AppError {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::SignInFirst { .. } => StatusCode::SEE_OTHER,
            Self::StaleForm | Self::BadRequest(_) => StatusCode::BAD_REQUEST,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Conflict(_) => StatusCode::CONFLICT,
            Self::Gone => StatusCode::GONE,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooManyAttempts => StatusCode::TOO_MANY_REQUESTS,
            Self::Database(_) | Self::Template(_) | Self::Internal(_) => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
        }
    }

    /// Headers only: [`error_pages`] writes the page, because only it knows the language.
    fn error_response(&self) -> HttpResponse {
        match self {
            Self::SignInFirst { next } => {
                page::see_other(&format!("/sign-in?next={}", page::query_value(next)))
            }
            _ => HttpResponse::new(self.status_code()),
        }
    }
}

/// A title and a sentence of advice, in Fluent keys.
fn words(status: StatusCode, error: &Error) -> (&'static str, &'static str) {
    match error.as_error::<AppError>() {
        Some(AppError::StaleForm) => return ("error-stale-title", "error-stale-advice"),
        Some(AppError::Conflict(_)) => return ("error-conflict-title", "error-conflict-advice"),
        _ => {}
    }
    match status.as_u16() {
        403 => ("error-forbidden-title", "error-forbidden-advice"),
        404 => ("error-not-found-title", "error-not-found-advice"),
        410 => ("error-gone-title", "error-gone-advice"),
        413 => ("error-too-large-title", "error-too-large-advice"),
        429 => ("error-too-many-title", "error-too-many-advice"),
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
    if status.is_server_error() {
        tracing::error!(%error, "request failed");
    } else {
        tracing::info!(%error, status = status.as_u16(), "request refused");
    }
    let (title, advice) = words(status, error);
    let detail = match error.as_error::<AppError>() {
        Some(AppError::BadRequest(detail) | AppError::Conflict(detail)) => Some(detail.clone()),
        _ => None,
    };
    let page = Page::extract(response.request()).await?;
    let number = RequestId::of(response.request());
    let body =
        ErrorPage { page, title, advice, detail, number }.render().map_err(AppError::from)?;
    let html = HttpResponse::build(status).insert_header(header::ContentType::html()).body(body);
    Ok(ServiceResponse::new(response.into_parts().0, html))
}

#[derive(Debug, Template)]
#[template(path = "unavailable.html")]
struct UnavailablePage {
    language: Language,
    number: Option<RequestId>,
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
        tracing::error!(%error, "a request could not be answered");
        Unavailable(UnavailablePage { language, number }).into()
    })
}

/// For every address without a page.
pub async fn not_found() -> Result<HttpResponse, AppError> {
    Err(AppError::NotFound)
}
