//! What can go wrong in a request. What the person is told of it is in
//! [`crate::web::error_pages`].

use crate::web::{address, message::Message};
use actix_web::{
    Error, HttpResponse, ResponseError,
    error::InternalError,
    http::{
        StatusCode,
        header::{self, HeaderMap},
    },
};
use sea_orm::DbErr;
use std::io;
use storage::database::{WriteError, is_full, is_unavailable};

/// The one error of every handler. Details go to the log; the person sees what to do next.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// 303 to the sign-in page, which returns here.
    #[error("sign in first")]
    SignInFirst { next: String },
    /// 400: a form without the session's token, usually because the session ended meanwhile.
    #[error("the form's token is not the session's")]
    StaleForm,
    /// 400: the same from a browser that sent no cookie at all.
    #[error("the browser sent no cookie")]
    NoCookie {
        /// Cookies are for HTTPS alone, and the page came over plain HTTP.
        needs_https: bool,
    },
    /// 400: something that no page of ours sends; the message names it.
    #[error("{0}")]
    BadRequest(Message),
    /// 403: signed in, but without the role this needs.
    #[error("this needs another role")]
    Forbidden,
    /// 404: it does not exist, or not for this person.
    #[error("not found")]
    NotFound,
    /// 409: it changed meanwhile; the message says what.
    #[error("{0}")]
    Conflict(Message),
    /// 410: its files were deleted; its page says when and by whom.
    #[error("deleted")]
    Gone,
    /// 413: the upload is larger than accepted.
    #[error("the upload is too large")]
    TooLarge,
    /// 408: the body did not arrive in time.
    #[error("the body arrives too slowly")]
    TooSlow,
    /// 415: a body of another type than the address takes, or a compressed one.
    #[error("a body of another type")]
    UnsupportedBody,
    /// 429: too many attempts to sign in.
    #[error("too many attempts")]
    TooManyAttempts,
    /// 429: as many streams as one person may have open.
    #[error("too many streams")]
    TooManyStreams,
    /// 503: as much is under way as may be.
    #[error("too much is under way")]
    Busy,
    /// 500: the database failed; 503 when it does not answer now, or another was in the way for too
    /// long, and the same may succeed in a moment.
    #[error("database: {0}")]
    Database(#[from] DbErr),
    /// 500: a page could not be written.
    #[error("template: {0}")]
    Template(#[from] askama::Error),
    /// 500: anything else.
    #[error("{0:#}")]
    Internal(#[from] anyhow::Error),
}

impl AppError {
    /// 400 with a Fluent key, or a message with arguments.
    pub fn bad_request(message: impl Into<Message>) -> Self {
        Self::BadRequest(message.into())
    }

    /// Whether the database does not answer now, wherever that was noticed.
    pub fn is_unavailable(&self) -> bool {
        self.of_database().is_some_and(is_unavailable)
    }

    /// Whether there is no room left on a disk.
    pub fn is_out_of_room(&self) -> bool {
        let of_file = |error: &anyhow::Error| {
            let said = error.chain().filter_map(|cause| cause.downcast_ref::<io::Error>());
            said.into_iter().any(|error| error.kind() == io::ErrorKind::StorageFull)
        };
        self.of_database().is_some_and(is_full)
            || matches!(self, Self::Internal(error) if of_file(error))
    }

    /// After how many seconds it is worth trying again, where that helps.
    pub fn retry_after(&self) -> Option<u32> {
        match self {
            Self::TooManyAttempts => Some(60),
            Self::Busy => Some(5),
            _ if self.is_unavailable() => Some(AWAY_SECONDS),
            _ if self.is_out_of_room() => Some(60),
            _ => None,
        }
    }

    /// 409, likewise.
    pub fn conflict(message: impl Into<Message>) -> Self {
        Self::Conflict(message.into())
    }
}

impl WriteError for AppError {
    fn of_database(&self) -> Option<&DbErr> {
        match self {
            Self::Database(error) => Some(error),
            Self::Internal(error) => error.chain().find_map(|cause| cause.downcast_ref()),
            _ => None,
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
            Self::StaleForm | Self::NoCookie { .. } | Self::BadRequest(_) => {
                StatusCode::BAD_REQUEST
            }
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Conflict(_) => StatusCode::CONFLICT,
            Self::Gone => StatusCode::GONE,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::UnsupportedBody => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooManyAttempts | Self::TooManyStreams => StatusCode::TOO_MANY_REQUESTS,
            Self::Busy => StatusCode::SERVICE_UNAVAILABLE,
            _ if self.is_unavailable() || self.is_out_of_room() => StatusCode::SERVICE_UNAVAILABLE,
            Self::Database(_) | Self::Template(_) | Self::Internal(_) => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
        }
    }

    /// Headers only: [`crate::web::error_pages`] writes the page, because only it knows the
    /// language.
    fn error_response(&self) -> HttpResponse {
        match self {
            Self::SignInFirst { next } => {
                let next = address::query_value(next);
                HttpResponse::SeeOther()
                    .insert_header((
                        header::LOCATION,
                        address::address(&format!("/sign-in?next={next}")),
                    ))
                    .finish()
            }
            _ => HttpResponse::new(self.status_code()),
        }
    }
}

/// How soon somebody may come back who was told that the database does not answer.
const AWAY_SECONDS: u32 = 3;

/// The same as a header.
pub const RETRY_AFTER: (header::HeaderName, u32) = (header::RETRY_AFTER, AWAY_SECONDS);

/// For every address without a page.
pub async fn not_found() -> Result<HttpResponse, AppError> {
    Err(AppError::NotFound)
}

/// A failure of whatever stands around the handlers, whose answer gets these headers, too.
pub fn with_headers(error: Error, add: impl FnOnce(&mut HeaderMap)) -> Error {
    let mut response = error.error_response();
    add(response.headers_mut());
    InternalError::from_response(error, response).into()
}
