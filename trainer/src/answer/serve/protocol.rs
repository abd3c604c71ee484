//! What clients send and get, in OpenAI's words: requests, answers, pieces of answers, errors.

use super::not_there;
use crate::answer::generate::DrawRule;
use actix_web::{HttpResponse, ResponseError, http::StatusCode};
use entity::report::FinishReason;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::fmt;

/// Stop texts that a request may name.
const MOST_STOPS: usize = 4;

/// A refusal or a failure, as clients of OpenAI read it.
#[derive(Debug)]
pub(super) struct ApiError {
    pub status: StatusCode,
    pub code: Option<&'static str>,
    /// The field that is wrong.
    pub param: Option<&'static str>,
    pub message: String,
}

impl ApiError {
    pub(super) fn invalid(param: &'static str, message: impl Into<String>) -> Self {
        let (status, message) = (StatusCode::BAD_REQUEST, message.into());
        Self { status, code: None, param: Some(param), message }
    }

    pub(super) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code: Some(code), param: None, message: message.into() }
    }

    pub(super) fn body(&self) -> Value {
        let kind = match self.status.as_u16() {
            401 => "authentication_error",
            429 | 503 => "overloaded_error",
            500.. => "server_error",
            _ => "invalid_request_error",
        };
        json!({"error": {
            "message": self.message, "type": kind, "param": self.param, "code": self.code,
        }})
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse {
        HttpResponse::build(self.status).json(self.body())
    }
}

/// The body of `/v1/chat/completions`. What is not here is passed over, but for what
/// would change the answer (`not_there`).
#[derive(Debug, Deserialize)]
pub(super) struct ChatRequest {
    pub model: String,
    messages: Vec<ChatMessage>,
    #[serde(default)]
    pub stream: bool,
    stream_options: Option<StreamOptions>,
    temperature: Option<f64>,
    top_p: Option<f64>,
    top_k: Option<i64>,
    min_p: Option<f64>,
    max_tokens: Option<usize>,
    max_completion_tokens: Option<usize>,
    seed: Option<i64>,
    stop: Option<OneOrMany>,
    n: Option<u64>,
    tools: Option<Vec<Value>>,
    logprobs: Option<bool>,
    response_format: Option<ResponseFormat>,
    #[serde(flatten)]
    others: Map<String, Value>,
}

#[derive(Debug, Deserialize)]
struct ChatMessage {
    role: String,
    content: Option<MessageContent>,
    tool_calls: Option<Vec<Value>>,
    // What the model thought before an earlier answer, under one of the names in use.
    reasoning_content: Option<String>,
    reasoning: Option<String>,
    thinking: Option<String>,
}

/// A text, or texts in parts; pictures and sounds are refused.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum MessageContent {
    Text(String),
    Parts(Vec<ContentPart>),
}

#[derive(Debug, Deserialize)]
struct ContentPart {
    #[serde(rename = "type")]
    kind: String,
    text: Option<String>,
}

#[derive(Debug, Deserialize)]
struct StreamOptions {
    #[serde(default)]
    include_usage: bool,
}

#[derive(Debug, Deserialize)]
struct ResponseFormat {
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

/// How an answer is drawn.
#[derive(Debug, PartialEq)]
pub(super) struct SamplingOptions {
    pub rule: DrawRule,
    /// None where the client leaves it to the server.
    pub max_tokens: Option<usize>,
    pub seed: Option<u64>,
    pub stops: Vec<String>,
}

impl ChatRequest {
    pub(super) fn parse(body: &[u8]) -> Result<Self, ApiError> {
        serde_json::from_slice(body).map_err(|error| ApiError {
            status: StatusCode::BAD_REQUEST,
            code: Some("invalid_json"),
            param: None,
            message: format!("The body is no chat request: {error}."),
        })
    }

    pub(super) fn wants_usage(&self) -> bool {
        self.stream_options.as_ref().is_some_and(|options| options.include_usage)
    }

    /// The conversation as the chat template reads it.
    pub(super) fn conversation(&self) -> Result<Vec<Value>, ApiError> {
        if self.messages.is_empty() {
            return Err(ApiError::invalid("messages", "There are no messages."));
        }
        self.messages.iter().map(ChatMessage::rendered).collect()
    }

    /// What can be asked for and is not there is refused rather than passed over.
    pub(super) fn drawing(&self) -> Result<SamplingOptions, ApiError> {
        if self.n.is_some_and(|n| n != 1) {
            return Err(ApiError::invalid("n", "This server gives one answer per request: n = 1."));
        }
        if let Some(name) = not_there::asked_for(&self.others) {
            let message = format!("This server has no {name}: leave it out.");
            return Err(ApiError::invalid(name, message));
        }
        if self.tools.as_ref().is_some_and(|tools| !tools.is_empty()) {
            return Err(ApiError::invalid("tools", "This server calls no tools."));
        }
        if self.logprobs == Some(true) {
            let message = "This server gives no log-probabilities; `trainer logprobs` does.";
            return Err(ApiError::invalid("logprobs", message));
        }
        if self.response_format.as_ref().is_some_and(|format| format.kind != "text") {
            return Err(ApiError::invalid("response_format", "This server answers in plain text."));
        }
        let max_tokens = self.max_completion_tokens.or(self.max_tokens);
        if max_tokens == Some(0) {
            return Err(ApiError::invalid("max_tokens", "max_tokens must be at least 1."));
        }
        let stops = match &self.stop {
            None => Vec::new(),
            Some(OneOrMany::One(stop)) => vec![stop.clone()],
            Some(OneOrMany::Many(stops)) => stops.clone(),
        };
        if stops.len() > MOST_STOPS {
            return Err(ApiError::invalid("stop", "At most four stop texts can be given."));
        }
        let seed = self.seed.map(i64::cast_unsigned);
        let rule = DrawRule::checked(self.temperature, self.top_k, self.top_p, self.min_p)
            .map_err(|(name, must)| ApiError::invalid(name, format!("{name} must be {must}.")))?;
        Ok(SamplingOptions { rule, max_tokens, seed, stops })
    }
}

impl ChatMessage {
    fn rendered(&self) -> Result<Value, ApiError> {
        let role = match self.role.as_str() {
            // OpenAI's newer name for the same thing.
            "developer" => "system",
            role @ ("system" | "user" | "assistant") => role,
            other => {
                let message = format!(
                    "The role {other:?} is not known here: system, user and assistant are."
                );
                return Err(ApiError::invalid("messages", message));
            }
        };
        if self.tool_calls.as_ref().is_some_and(|calls| !calls.is_empty()) {
            return Err(ApiError::invalid("messages", "This server calls no tools."));
        }
        let content = match &self.content {
            None => String::new(),
            Some(MessageContent::Text(text)) => text.clone(),
            Some(MessageContent::Parts(parts)) => {
                let texts: Option<Vec<&str>> = parts
                    .iter()
                    .map(|part| part.text.as_deref().filter(|_| part.kind == "text"))
                    .collect();
                let message = "This model reads texts only.";
                texts.ok_or_else(|| ApiError::invalid("messages", message))?.concat()
            }
        };
        let mut message = json!({ "role": role, "content": content });
        let thoughts = self.reasoning_content.as_ref().or(self.reasoning.as_ref());
        if let Some(thoughts) = thoughts.or(self.thinking.as_ref()) {
            message["reasoning_content"] = json!(thoughts);
        }
        Ok(message)
    }
}

/// One answer under its id.
#[derive(Clone, Debug)]
pub(super) struct ChatAnswer {
    pub id: String,
    pub created: u64,
    pub model: String,
    pub n_prompt_tokens: usize,
}

impl ChatAnswer {
    /// The whole answer.
    pub(super) fn whole(&self, text: &str, reason: FinishReason, n_tokens: usize) -> Value {
        json!({
            "id": self.id, "object": "chat.completion", "created": self.created, "model": self.model,
            "choices": [{
                "index": 0,
                "message": {"role": "assistant", "content": text, "refusal": null},
                "logprobs": null,
                "finish_reason": reason,
            }],
            "usage": self.usage(n_tokens),
        })
    }

    /// The piece that opens a stream.
    pub(super) fn opening(&self) -> Value {
        self.piece(&json!({"role": "assistant", "content": ""}), None)
    }

    pub(super) fn text(&self, text: &str) -> Value {
        self.piece(&json!({ "content": text }), None)
    }

    pub(super) fn end(&self, reason: FinishReason) -> Value {
        self.piece(&json!({}), Some(reason))
    }

    fn piece(&self, delta: &Value, reason: Option<FinishReason>) -> Value {
        json!({
            "id": self.id, "object": "chat.completion.chunk", "created": self.created,
            "model": self.model,
            "choices": [{"index": 0, "delta": delta, "logprobs": null, "finish_reason": reason}],
        })
    }

    /// The piece after the end, for those who asked for it.
    pub(super) fn usage_piece(&self, n_tokens: usize) -> Value {
        json!({
            "id": self.id, "object": "chat.completion.chunk", "created": self.created,
            "model": self.model, "choices": [], "usage": self.usage(n_tokens),
        })
    }

    fn usage(&self, n_tokens: usize) -> Value {
        json!({
            "prompt_tokens": self.n_prompt_tokens,
            "completion_tokens": n_tokens,
            "total_tokens": self.n_prompt_tokens + n_tokens,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(more: &Value) -> ChatRequest {
        let mut body = json!({"model": "m", "messages": [{"role": "user", "content": "Hi"}]});
        for (name, value) in more.as_object().unwrap() {
            body[name] = value.clone();
        }
        ChatRequest::parse(body.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn a_bare_request_takes_openais_defaults() {
        let drawing = parse(&json!({"user": "passed over"})).drawing().unwrap();
        let defaults = SamplingOptions {
            rule: DrawRule::at(1.0),
            max_tokens: None,
            seed: None,
            stops: vec![],
        };
        assert_eq!(drawing, defaults);
    }

    #[test]
    fn the_newer_name_of_the_length_wins_and_a_stop_may_be_alone() {
        let request = parse(&json!({"max_tokens": 5, "max_completion_tokens": 7, "stop": "END"}));
        let drawing = request.drawing().unwrap();
        assert_eq!((drawing.max_tokens, drawing.stops), (Some(7), vec!["END".to_owned()]));
    }

    #[test]
    fn what_is_not_there_is_refused_by_its_name() {
        for (more, param) in [
            (json!({"n": 2}), "n"),
            (json!({"tools": [{}]}), "tools"),
            (json!({"logprobs": true}), "logprobs"),
            (json!({"response_format": {"type": "json_object"}}), "response_format"),
            (json!({"temperature": 3}), "temperature"),
            (json!({"top_p": 0}), "top_p"),
            (json!({"max_tokens": 0}), "max_tokens"),
            (json!({"stop": ["a", "b", "c", "d", "e"]}), "stop"),
            (json!({"top_k": -2}), "top_k"),
            (json!({"min_p": 1.5}), "min_p"),
            (json!({"logit_bias": {"50256": -100}}), "logit_bias"),
            (json!({"presence_penalty": 0.5}), "presence_penalty"),
            (json!({"frequency_penalty": -0.5}), "frequency_penalty"),
            (json!({"repetition_penalty": 1.1}), "repetition_penalty"),
            (json!({"ignore_eos": true}), "ignore_eos"),
            (json!({"guided_choice": ["yes", "no"]}), "guided_choice"),
        ] {
            let error = parse(&more).drawing().unwrap_err();
            assert_eq!(error.body()["error"]["param"], param);
            assert_eq!(error.body()["error"]["type"], "invalid_request_error");
        }
    }

    #[test]
    fn calls_of_tools_in_a_conversation_are_refused_and_none_are_passed_over() {
        let with = |calls: Value| {
            let message = json!({"role": "assistant", "content": null, "tool_calls": calls});
            parse(&json!({"messages": [message]})).conversation()
        };
        assert!(with(Value::Null).is_ok() && with(json!([])).is_ok());
        assert!(with(json!([{"function": {"name": "f"}}])).is_err());
    }

    #[test]
    fn what_was_thought_before_an_answer_reaches_the_chat_template() {
        for name in ["reasoning_content", "reasoning", "thinking"] {
            let said =
                json!({"role": "assistant", "content": "4", name: "2 + 2", "tool_calls": null});
            let said = parse(&json!({"messages": [said]})).conversation().unwrap();
            let wanted = json!({"role": "assistant", "content": "4", "reasoning_content": "2 + 2"});
            assert_eq!(said, [wanted]);
        }
    }

    #[test]
    fn texts_in_parts_are_one_text_and_a_picture_is_refused() {
        let parts = |parts: Value| {
            parse(&json!({"messages": [{"role": "developer", "content": parts}]})).conversation()
        };
        let said = parts(json!([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]));
        assert_eq!(said.unwrap(), [json!({"role": "system", "content": "ab"})]);
        assert!(parts(json!([{"type": "image_url", "image_url": {}}])).is_err());
    }
}
