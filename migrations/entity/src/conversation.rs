//! A prompt is a conversation: a list of messages, as in the chat formats of TRL and OpenAI.

use serde::{Deserialize, Serialize};

/// Who speaks in a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MessageRole {
    System,
    User,
    Assistant,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChatMessage {
    pub role: MessageRole,
    pub content: String,
}

impl ChatMessage {
    pub fn user(content: impl Into<String>) -> Self {
        Self { role: MessageRole::User, content: content.into() }
    }

    pub fn assistant(content: impl Into<String>) -> Self {
        Self { role: MessageRole::Assistant, content: content.into() }
    }
}

/// A prompt as it was given: plain text, which takes no chat template, or messages, which do.
/// TRL makes the same difference ("standard" and "conversational").
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum PromptBody {
    Text(String),
    Messages(Vec<ChatMessage>),
}

impl PromptBody {
    /// The text that is stored and hashed: one JSON value, keys in a fixed order.
    pub fn to_canonical_json(&self) -> String {
        serde_json::to_string(self).expect("strings always serialise")
    }
}
