//! What a task page shows, whatever its kind.

use crate::{
    data::prompts,
    web::{form::FieldErrors, i18n::Language, markdown},
    work::form::TaskForm,
};
use entity::{
    assignment::AssignmentState,
    conversation::{ChatMessage, MessageRole, PromptBody},
};

/// What a task page of any kind shows.
pub struct TaskView {
    pub url: String,
    pub conversation: Vec<ConversationTurn>,
    pub guidelines_html: String,
    pub state: AssignmentState,
    /// The answer before this one, for another look.
    pub previous: Option<String>,
    /// What the form holds: as just typed, else the draft, else the last answer.
    pub form: TaskForm,
    pub errors: FieldErrors,
    /// The answer as it will be shown, if that was asked for.
    pub preview_html: Option<String>,
    /// What another window has stored, while the form holds something else.
    pub other: Option<OtherText>,
    /// The form holds what was just sent and is not stored.
    pub is_unsaved: bool,
    /// The version of the assignment that this page has seen.
    pub version: i64,
    /// Values and words of the reasons for a skip.
    pub skip_reasons: Vec<(&'static str, String)>,
    /// A fresh key for the submit that this page will make.
    pub idempotency_key: String,
}

impl TaskView {
    /// Already answered or skipped: this page changes that.
    pub fn is_revision(&self) -> bool {
        use AssignmentState::{Extra, Skipped, Submitted};
        matches!(self.state, Submitted | Extra | Skipped)
    }

    pub fn is_leased(&self) -> bool {
        self.state == AssignmentState::Leased
    }

    pub fn is_expired(&self) -> bool {
        self.state == AssignmentState::Expired
    }
}

/// What another window has stored of a task, to be shown beside what this one holds.
pub struct OtherText {
    /// As somebody reads it.
    pub text: String,
    /// Its fields as JSON, for a script to fill in.
    pub fields: String,
    /// When it was stored.
    pub at: String,
    /// It was sent, and is no draft.
    pub is_answer: bool,
}

impl OtherText {
    /// By which pages tell one from the other.
    pub fn kind(&self) -> &'static str {
        if self.is_answer { "answer" } else { "draft" }
    }
}

/// One message of the prompt.
pub struct ConversationTurn {
    pub class: &'static str,
    pub speaker: String,
    pub html: String,
}

/// A prompt as it is shown: from its canonical JSON, none when it was removed.
pub fn conversation(language: Language, canonical_json: Option<&str>) -> Vec<ConversationTurn> {
    let Some(json) = canonical_json else {
        let html = language.text("text-removed").to_string();
        return vec![ConversationTurn {
            class: "user",
            speaker: language.text("speaker-user").to_string(),
            html,
        }];
    };
    let turn = |message: ChatMessage| {
        let (class, key) = match message.role {
            MessageRole::System => ("system", "speaker-system"),
            MessageRole::User => ("user", "speaker-user"),
            MessageRole::Assistant => ("assistant", "speaker-assistant"),
        };
        ConversationTurn {
            class,
            speaker: language.text(key).to_string(),
            html: markdown::to_html(&message.content),
        }
    };
    match prompts::parse(json) {
        PromptBody::Text(text) => vec![ConversationTurn {
            class: "user",
            speaker: language.text("speaker-plain-text").to_string(),
            html: markdown::to_html(&text),
        }],
        PromptBody::Messages(messages) => messages.into_iter().map(turn).collect(),
    }
}
