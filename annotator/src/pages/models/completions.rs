//! `/projects/{project}/models/{model}/v1/chat/completions`: OpenAI's chat API for a model of the
//! registry, streamed or not. What a client sends and gets is `trainer serve`'s; refusals that a
//! person may read are in their language.

use crate::{
    models::live::{Answer, LiveModels, ModelUnavailable},
    web::{
        access::Engineer, error::AppError, i18n::Language, message::Message, of::Of, page::Page,
        streams::OpenStreams, watched_streams::while_allowed,
    },
};
use actix_web::{
    HttpRequest, HttpResponse,
    http::{StatusCode, header},
    web::{self, Bytes},
};
use entity::model;
use futures_util::StreamExt;
use serde_json::{Value, json};

/// No answer: a status and a body as clients of OpenAI read it, but for its message.
pub struct ChatRefusal {
    status: StatusCode,
    body: Value,
    message: Message,
}

impl ChatRefusal {
    fn new(status: StatusCode, code: &str, message: impl Into<Message>) -> Self {
        let kind = if status.is_server_error() { "server_error" } else { "invalid_request_error" };
        let body = json!({"error": {"message": null, "type": kind, "param": null, "code": code}});
        Self { status, body, message: message.into() }
    }

    /// What `trainer serve` refused, in the person's language where a person can do something.
    async fn of(answer: Answer) -> Self {
        let status = StatusCode::from_u16(answer.status()).unwrap_or(StatusCode::BAD_GATEWAY);
        let body: Value = answer.json().await.unwrap_or_default();
        if !body["error"].is_object() {
            return Self::new(StatusCode::BAD_GATEWAY, "failed", "chat-broken");
        }
        let told = |name: &str| body["error"][name].as_str();
        let message = match (told("code"), told("param")) {
            (Some("context_length_exceeded"), _) => "chat-too-long".into(),
            (Some("no_chat_template"), _) => "chat-no-template".into(),
            (Some("overloaded"), _) => "chat-overloaded".into(),
            (_, Some("temperature")) => "chat-bad-temperature".into(),
            _ => Message::quoted(told("message").unwrap_or_default()),
        };
        Self { status, body, message }
    }

    fn unavailable(why: &ModelUnavailable) -> Self {
        let (status, unavailable) = (StatusCode::SERVICE_UNAVAILABLE, "model_unavailable");
        match why {
            ModelUnavailable::Off => Self::new(status, unavailable, "chat-off"),
            ModelUnavailable::Busy(most) => {
                Self::new(status, "overloaded", Message::new("chat-busy").with("most", *most))
            }
            ModelUnavailable::Failed(reason) => {
                let message = Message::new("chat-failed").with("reason", reason.clone());
                Self::new(status, unavailable, message)
            }
        }
    }

    pub fn into_message(self) -> Message {
        self.message
    }

    fn into_response(mut self, language: Language) -> HttpResponse {
        self.body["error"]["message"] = self.message.text(language).into();
        HttpResponse::build(self.status).json(self.body)
    }
}

/// The model's answer, if it gives one.
pub async fn ask(
    live: &LiveModels,
    model: &model::Model,
    body: Bytes,
) -> Result<Answer, ChatRefusal> {
    if model.deleted_at.is_some() {
        return Err(ChatRefusal::new(StatusCode::GONE, "model_deleted", "chat-deleted"));
    }
    if model.kind == model::ModelKind::Reward {
        return Err(ChatRefusal::new(
            StatusCode::BAD_REQUEST,
            "not_a_language_model",
            "chat-reward",
        ));
    }
    let answer = live.ask(model, body).await.map_err(|why| ChatRefusal::unavailable(&why))?;
    if answer.status() == StatusCode::OK { Ok(answer) } else { Err(ChatRefusal::of(answer).await) }
}

/// Checked before a model is loaded for it.
fn not_json(request: &HttpRequest) -> Option<ChatRefusal> {
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    if kind.is_some_and(|kind| kind.starts_with("application/json")) {
        return None;
    }
    let (status, code) = (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type");
    Some(ChatRefusal::new(status, code, "chat-not-json"))
}

pub async fn create(
    request: HttpRequest,
    page: Page,
    Of(by, model): Of<Engineer, model::Model>,
    body: Bytes,
    live: web::Data<LiveModels>,
    streams: web::Data<OpenStreams>,
) -> Result<HttpResponse, AppError> {
    let Ok(open) = streams.open(by.account.id) else {
        let (status, code) = (StatusCode::TOO_MANY_REQUESTS, "too_many_streams");
        return Ok(ChatRefusal::new(status, code, "chat-too-many").into_response(page.language));
    };
    let answer = match not_json(&request) {
        Some(refusal) => Err(refusal),
        None => while_allowed(&request, ask(&live, &model, body)).await?,
    };
    Ok(match answer {
        Err(refusal) => refusal.into_response(page.language),
        Ok(answer) => HttpResponse::Ok()
            .insert_header((header::CONTENT_TYPE, answer.content_type()))
            // Compression and proxies would hold pieces back.
            .insert_header((header::CONTENT_ENCODING, "identity"))
            .insert_header((header::CACHE_CONTROL, "no-store"))
            .insert_header(("x-accel-buffering", "no"))
            .streaming(answer.into_stream().map(move |piece| {
                let _ = &open; // counted until the answer is whole
                piece
            })),
    })
}
