//! `/projects/{project}/models/{model}/chat`: talking to a model. Nothing that is said here is kept
//! on the server: the conversation goes back and forth in the form.

use crate::pages::models::completions;
use crate::training::kinds::definition;
use crate::{
    data::{formats::row::MOST_MESSAGES, texts},
    models::{files::kept, live::LiveModels},
    training::settings,
    web::{
        access::{Access, Engineer},
        error::AppError,
        form::FieldErrors,
        of::Of,
        page::{self, Page},
        typed::TypedForm,
        watched_streams::while_allowed,
    },
};
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use entity::{
    conversation::{ChatMessage, MessageRole},
    model,
    run::RunKind,
    run_config::SampleConfig,
};
use serde::{Deserialize, de::Error as _};
use serde_json::{Value, json};
use std::collections::HashMap;

#[derive(Template)]
#[template(path = "models/chat.html")]
struct ChatPage {
    page: Page,
    access: Access,
    model: model::Model,
    is_on: bool,
    form: ChatForm,
    turns: Vec<ChatMessage>,
    errors: FieldErrors,
}

impl ChatPage {
    /// Whether the settings must be unfolded: something was typed there, or is wrong there.
    fn has_settings(&self) -> bool {
        let is_wrong = self.errors.iter().any(|(field, _)| *field != "message");
        !self.form.system.is_empty() || is_wrong
    }

    fn turns_json(&self) -> Result<String, askama::Error> {
        serde_json::to_string(&self.turns).map_err(|error| askama::Error::Custom(error.into()))
    }

    fn speaker(&self, turn: &ChatMessage) -> String {
        match turn.role {
            MessageRole::Assistant => self.model.name.clone(),
            _ => self.page.text("chat-you").to_string(),
        }
    }

    fn class(&self, turn: &ChatMessage) -> &'static str {
        if turn.role == MessageRole::Assistant { "assistant" } else { "user" }
    }

    fn is_reward(&self) -> bool {
        self.model.kind == model::ModelKind::Reward
    }
}

/// What is typed, and what was said so far.
#[derive(Clone, Debug, Deserialize)]
pub struct ChatForm {
    message: String,
    system: String,
    temperature: String,
    top_p: String,
    max_new_tokens: String,
    /// The conversation before the message, as JSON.
    turns: String,
}

impl Default for ChatForm {
    fn default() -> Self {
        let empty = String::new;
        Self {
            message: empty(),
            system: empty(),
            temperature: "0.7".to_owned(),
            top_p: "1".to_owned(),
            max_new_tokens: "256".to_owned(),
            turns: empty(),
        }
    }
}

impl ChatForm {
    /// What was said before the message; an error when it did not arrive whole.
    fn turns(&self) -> serde_json::Result<Vec<ChatMessage>> {
        match self.turns.trim() {
            "" => Ok(Vec::new()),
            turns => {
                let turns: Vec<ChatMessage> = serde_json::from_str(turns)?;
                if turns.len() > MOST_MESSAGES {
                    return Err(serde_json::Error::custom("too many messages"));
                }
                Ok(turns)
            }
        }
    }

    /// The settings of an answer, under the rules of a sample run.
    fn drawing(&self) -> Result<SampleConfig, Vec<settings::FormMistake>> {
        let typed = [
            ("temperature", &self.temperature),
            ("top_p", &self.top_p),
            ("max_new_tokens", &self.max_new_tokens),
        ];
        let typed: HashMap<String, String> =
            typed.map(|(name, text)| (name.to_owned(), text.clone())).into();
        let config = settings::parse(definition(RunKind::Sample), &typed)?;
        serde_json::from_value(config).map_err(|_| vec![("temperature", "problem-number")])
    }

    fn request(
        &self,
        model: &model::Model,
        turns: &[ChatMessage],
        drawing: &SampleConfig,
    ) -> Value {
        let system = Some(self.system.trim()).filter(|system| !system.is_empty());
        let system = system
            .map(|content| ChatMessage { role: MessageRole::System, content: content.to_owned() });
        let messages: Vec<&ChatMessage> = system.iter().chain(turns).collect();
        json!({
            "model": model.name, "messages": messages, "temperature": drawing.temperature,
            "top_p": drawing.top_p, "max_tokens": drawing.max_new_tokens,
        })
    }
}

pub async fn show(
    page: Page,
    Of(Engineer(access), model): Of<Engineer, model::Model>,
    live: web::Data<LiveModels>,
) -> Result<HttpResponse, AppError> {
    let model = kept(model)?;
    let (form, errors) = (ChatForm::default(), FieldErrors::default());
    page::html(&ChatPage { page, access, model, is_on: live.is_on(), form, turns: vec![], errors })
}

/// The way without a script: the page again, with the answer.
pub async fn answer(
    request: HttpRequest,
    page: Page,
    Of(Engineer(access), model): Of<Engineer, model::Model>,
    form: TypedForm<ChatForm>,
    live: web::Data<LiveModels>,
) -> Result<HttpResponse, AppError> {
    let (mut form, mut errors) = (form.into_inner(), FieldErrors::default());
    let mut turns = form.turns().unwrap_or_default();
    let answering = answered(&model, &form, &live, &mut errors);
    if let Some(answer) = while_allowed(&request, answering).await? {
        let question = std::mem::take(&mut form.message);
        turns.extend([ChatMessage::user(question), ChatMessage::assistant(answer)]);
    }
    let is_invalid = !errors.is_empty();
    let shown = ChatPage { page, access, model, is_on: live.is_on(), form, turns, errors };
    if is_invalid { page::invalid(&shown) } else { page::html(&shown) }
}

/// The model's answer to the form, or why there is none in `errors`.
async fn answered(
    model: &model::Model,
    form: &ChatForm,
    live: &LiveModels,
    errors: &mut FieldErrors,
) -> Option<String> {
    if texts::is_blank(&form.message) {
        errors.add("message", "chat-empty");
    }
    let turns = form.turns();
    if turns.is_err() {
        errors.add("message", "chat-turns-damaged");
    }
    let drawing = form.drawing();
    for (field, problem) in drawing.as_ref().err().into_iter().flatten() {
        errors.add(field, settings::explain(definition(RunKind::Sample), field, problem));
    }
    let drawing = drawing.ok().filter(|_| errors.is_empty())?;
    let turns = [turns.ok()?, vec![ChatMessage::user(&form.message)]].concat();
    let request = form.request(model, &turns, &drawing);
    match completions::ask(live, model, request.to_string().into()).await {
        Ok(answer) => {
            let said = answer.json().await.unwrap_or_default();
            let text = said["choices"][0]["message"]["content"].as_str().map(str::to_owned);
            if text.is_none() {
                errors.add("message", "chat-broken");
            }
            text
        }
        Err(refusal) => {
            errors.add("message", refusal.into_message());
            None
        }
    }
}
