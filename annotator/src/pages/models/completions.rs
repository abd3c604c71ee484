//! `/projects/{project}/models/{model}/v1/chat/completions`: OpenAI's chat API for a model of the
//! registry, streamed or not. What a client sends and gets is `trainer serve`'s; refusals that a
//! person may read are in their language.

use crate::pages::models::list::find;
use crate::{
    models::live::{Answer, LiveModels, Unavailable},
    web::{access::Engineer, error::AppError, i18n::Language, page::Page},
};
use actix_web::{
    HttpRequest, HttpResponse,
    http::{StatusCode, header},
    web::{self, Bytes},
};
use entity::{ids::ProjectId, model};
use sea_orm::DatabaseConnection;
use serde_json::{Value, json};

/// No answer: a status and a body as clients of OpenAI read it.
pub struct Refusal {
    status: StatusCode,
    body: Value,
}

impl Refusal {
    fn new(status: StatusCode, code: &str, message: impl ToString) -> Self {
        let kind = if status.is_server_error() { "server_error" } else { "invalid_request_error" };
        let body = json!({"error": {
            "message": message.to_string(), "type": kind, "param": null, "code": code,
        }});
        Self { status, body }
    }

    /// What `trainer serve` refused, in the person's language where a person can do something.
    async fn of(answer: Answer, language: Language) -> Self {
        let status = StatusCode::from_u16(answer.status()).unwrap_or(StatusCode::BAD_GATEWAY);
        let mut body: Value = answer.json().await.unwrap_or_default();
        if !body["error"].is_object() {
            return Self::new(StatusCode::BAD_GATEWAY, "failed", language.text("chat-broken"));
        }
        let told = |name: &str| body["error"][name].as_str();
        let key = match (told("code"), told("param")) {
            (Some("context_length_exceeded"), _) => Some("chat-too-long"),
            (Some("no_chat_template"), _) => Some("chat-no-template"),
            (Some("overloaded"), _) => Some("chat-overloaded"),
            (_, Some("temperature")) => Some("chat-bad-temperature"),
            _ => None,
        };
        if let Some(key) = key {
            body["error"]["message"] = language.text(key).to_string().into();
        }
        Self { status, body }
    }

    fn unavailable(why: &Unavailable, language: Language) -> Self {
        let (status, unavailable) = (StatusCode::SERVICE_UNAVAILABLE, "model_unavailable");
        match why {
            Unavailable::Off => Self::new(status, unavailable, language.text("chat-off")),
            Unavailable::Busy(most) => {
                Self::new(status, "overloaded", language.text("chat-busy").arg("most", *most))
            }
            Unavailable::Failed(reason) => {
                let reason = language.say(reason);
                Self::new(status, unavailable, language.text("chat-failed").arg("reason", reason))
            }
        }
    }

    pub fn message(&self) -> &str {
        self.body["error"]["message"].as_str().unwrap_or_default()
    }
}

/// The model's answer, if it gives one.
pub async fn ask(
    live: &LiveModels,
    language: Language,
    model: &model::Model,
    body: Bytes,
) -> Result<Answer, Refusal> {
    if model.deleted_at.is_some() {
        let message = language.text("chat-deleted");
        return Err(Refusal::new(StatusCode::GONE, "model_deleted", message));
    }
    if model.kind == model::ModelKind::Reward {
        let message = language.text("chat-reward");
        return Err(Refusal::new(StatusCode::BAD_REQUEST, "not_a_language_model", message));
    }
    let asked = live.ask(model, body).await;
    let answer = asked.map_err(|why| Refusal::unavailable(&why, language))?;
    if answer.status() == StatusCode::OK {
        Ok(answer)
    } else {
        Err(Refusal::of(answer, language).await)
    }
}

/// Checked before a model is loaded for it.
fn not_json(request: &HttpRequest) -> Option<Refusal> {
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    if kind.is_some_and(|kind| kind.starts_with("application/json")) {
        return None;
    }
    let (status, code) = (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type");
    Some(Refusal::new(status, code, "Send JSON, with Content-Type: application/json."))
}

pub async fn create(
    request: HttpRequest,
    page: Page,
    Engineer(access): Engineer,
    path: web::Path<(ProjectId, String)>,
    body: Bytes,
    db: web::Data<DatabaseConnection>,
    live: web::Data<LiveModels>,
) -> Result<HttpResponse, AppError> {
    let model = find(db.get_ref(), &access, &path.1).await?;
    let answer = match not_json(&request) {
        Some(refusal) => Err(refusal),
        None => ask(&live, page.language, &model, body).await,
    };
    Ok(match answer {
        Err(refusal) => HttpResponse::build(refusal.status).json(refusal.body),
        Ok(answer) => HttpResponse::Ok()
            .insert_header((header::CONTENT_TYPE, answer.content_type()))
            // Compression and proxies would hold pieces back.
            .insert_header((header::CONTENT_ENCODING, "identity"))
            .insert_header((header::CACHE_CONTROL, "no-store"))
            .insert_header(("x-accel-buffering", "no"))
            .streaming(answer.into_stream()),
    })
}
