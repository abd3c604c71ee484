//! The server's addresses.

use super::{
    ServerState,
    engine::{AnswerPiece, WantedAnswer},
    protocol::{ApiError, ChatAnswer, ChatRequest},
};
use actix_web::{
    HttpRequest, HttpResponse,
    http::{StatusCode, header},
    web::{self, Bytes, ServiceConfig},
};
use async_stream::stream;
use serde_json::{Value, json};
use std::{
    convert::Infallible,
    time::{SystemTime, UNIX_EPOCH},
};
use tokio::sync::mpsc::UnboundedReceiver;

/// The largest request.
pub(super) const MAX_BODY_BYTES: usize = 8 << 20;

/// Tokens of an answer whose client does not say how many.
const DEFAULT_MAX_TOKENS: usize = 1024;

pub(super) fn routes(app: &mut ServiceConfig) {
    app.route("/health", web::get().to(health))
        .route("/v1/models", web::get().to(models))
        .route("/v1/chat/completions", web::post().to(chat))
        .default_service(web::to(nothing));
}

async fn health(state: web::Data<ServerState>) -> HttpResponse {
    HttpResponse::Ok().json(json!({
        "status": "ok", "model": state.name,
        "waiting": state.engine.n_waiting(), "tokens": state.engine.n_tokens(),
    }))
}

async fn nothing(request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let message = format!(
        "There is no {} {}; there are GET /health, GET /v1/models and POST /v1/chat/completions.",
        request.method(),
        request.path()
    );
    Err(ApiError::new(StatusCode::NOT_FOUND, "unknown_url", message))
}

async fn models(
    request: HttpRequest,
    state: web::Data<ServerState>,
) -> Result<HttpResponse, ApiError> {
    state.admit(&request)?;
    let model = json!({
        "id": state.name, "object": "model", "created": state.started, "owned_by": "attune",
        "max_model_len": state.context,
    });
    Ok(HttpResponse::Ok().json(json!({"object": "list", "data": [model]})))
}

async fn chat(
    request: HttpRequest,
    body: Bytes,
    state: web::Data<ServerState>,
) -> Result<HttpResponse, ApiError> {
    state.admit(&request)?;
    ensure_json(&request)?;
    let asked = ChatRequest::parse(&body)?;
    // A long conversation takes a while to render and to tokenise, and others ask meanwhile.
    let (asked, wanted) = {
        let state = state.clone();
        web::block(move || state.wanted(&asked).map(|wanted| (asked, wanted)))
            .await
            .map_err(|_| failed("the server is ending"))??
    };
    let answer = ChatAnswer {
        id: format!("chatcmpl-{}", uuid::Uuid::now_v7().simple()),
        created: now(),
        model: state.name.clone(),
        n_prompt_tokens: wanted.ids.len(),
    };
    let pieces = state.engine.ask(wanted).ok_or_else(|| {
        let message = "Too many answers wait already; try again in a moment.";
        ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "overloaded", message)
    })?;
    if asked.stream {
        Ok(streamed(answer, pieces, asked.wants_usage()))
    } else {
        whole(&answer, pieces).await
    }
}

impl ServerState {
    /// Refuses who does not send the key; without a key everybody is let in.
    fn admit(&self, request: &HttpRequest) -> Result<(), ApiError> {
        let Some(key) = &self.api_key else { return Ok(()) };
        let sent = request.headers().get(header::AUTHORIZATION).and_then(|sent| sent.to_str().ok());
        if sent.and_then(|sent| sent.strip_prefix("Bearer ")) == Some(key) {
            return Ok(());
        }
        let message = "This server wants its key: Authorization: Bearer KEY.";
        Err(ApiError::new(StatusCode::UNAUTHORIZED, "invalid_api_key", message))
    }

    fn wanted(&self, asked: &ChatRequest) -> Result<WantedAnswer, ApiError> {
        if asked.model != self.name {
            let message = format!(
                "The model {:?} is not here; this server has {:?}.",
                asked.model, self.name
            );
            return Err(ApiError::new(StatusCode::NOT_FOUND, "model_not_found", message));
        }
        let drawing = asked.drawing()?;
        let ids = self.prompt(asked)?;
        let room = self.context.saturating_sub(ids.len());
        if room == 0 {
            let message = format!(
                "The conversation has {} tokens, and the model reads {} with its answer. Shorten it.",
                ids.len(),
                self.context
            );
            let code = "context_length_exceeded";
            return Err(ApiError::new(StatusCode::BAD_REQUEST, code, message));
        }
        Ok(WantedAnswer {
            ids,
            max_new_tokens: drawing.max_tokens.unwrap_or(DEFAULT_MAX_TOKENS).min(room),
            rule: drawing.rule,
            seed: drawing.seed.unwrap_or_else(|| uuid::Uuid::new_v4().as_u64_pair().0),
            stops: drawing.stops,
        })
    }

    fn prompt(&self, asked: &ChatRequest) -> Result<Vec<i64>, ApiError> {
        let conversation = asked.conversation()?;
        if !self.tokenizer.has_chat_template() {
            let message = "This model has no chat template, so it cannot be talked to; add a \
                           chat_template.jinja to its folder, or fine-tune it on conversations.";
            return Err(ApiError::new(StatusCode::BAD_REQUEST, "no_chat_template", message));
        }
        let rendered = self.tokenizer.render(&conversation, true);
        let ids = rendered.and_then(|text| self.tokenizer.encode(&text, false));
        ids.map_err(|error| ApiError::invalid("messages", format!("{error:#}")))
    }
}

/// Another site's page can send a form here unasked, but not JSON.
fn ensure_json(request: &HttpRequest) -> Result<(), ApiError> {
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    if kind.is_some_and(|kind| kind.starts_with("application/json")) {
        return Ok(());
    }
    let message = "Send JSON, with Content-Type: application/json.";
    Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", message))
}

fn failed(reason: impl Into<String>) -> ApiError {
    ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "failed", reason)
}

async fn whole(
    answer: &ChatAnswer,
    mut pieces: UnboundedReceiver<AnswerPiece>,
) -> Result<HttpResponse, ApiError> {
    let mut text = String::new();
    while let Some(piece) = pieces.recv().await {
        match piece {
            AnswerPiece::Text(piece) => text.push_str(&piece),
            AnswerPiece::End { finish_reason, n_tokens } => {
                let body = answer.whole(&text, finish_reason, n_tokens);
                return Ok(HttpResponse::Ok().json(body));
            }
            AnswerPiece::Failed(reason) => return Err(failed(reason)),
        }
    }
    Err(failed("the server is ending"))
}

/// Server-sent events: pieces, an end, `[DONE]`. A client that leaves drops the receiver.
fn streamed(
    answer: ChatAnswer,
    mut pieces: UnboundedReceiver<AnswerPiece>,
    with_usage: bool,
) -> HttpResponse {
    let events = stream! {
        yield event(&answer.opening());
        while let Some(piece) = pieces.recv().await {
            match piece {
                AnswerPiece::Text(piece) => yield event(&answer.text(&piece)),
                AnswerPiece::End { finish_reason, n_tokens } => {
                    yield event(&answer.end(finish_reason));
                    if with_usage {
                        yield event(&answer.usage_piece(n_tokens));
                    }
                    yield Ok(Bytes::from_static(b"data: [DONE]\n\n"));
                }
                AnswerPiece::Failed(reason) => yield event(&failed(reason).body()),
            }
        }
    };
    HttpResponse::Ok()
        .content_type("text/event-stream")
        .insert_header((header::CACHE_CONTROL, "no-cache"))
        .streaming(events)
}

fn event(data: &Value) -> Result<Bytes, Infallible> {
    Ok(Bytes::from(format!("data: {data}\n\n")))
}

/// Seconds since 1970.
pub(super) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
