//! What a person is to be told, before it has a language: a Fluent key and its arguments. Checks
//! and errors carry it, pages translate it.

use crate::web::i18n::Language;
use entity::message::KeyedMessage;
use std::{borrow::Cow, fmt};

/// A Fluent key with named arguments.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    pub key: Cow<'static, str>,
    pub args: Vec<(Cow<'static, str>, MessageValue)>,
}

/// An argument of a [`Message`].
#[derive(Clone, Debug, PartialEq)]
pub enum MessageValue {
    /// As it is: a name, or what somebody typed.
    Text(String),
    /// Written in the person's way; plurals go by it.
    Number(f64),
    /// In the person's language too.
    Message(Box<Message>),
    /// What a program said, likewise.
    Program(KeyedMessage),
}

impl Message {
    pub fn new(key: impl Into<Cow<'static, str>>) -> Self {
        Self { key: key.into(), args: Vec::new() }
    }

    /// What has no key: the words of a program or a person, as they are.
    pub fn quoted(text: impl Into<String>) -> Self {
        Self::new("quoted").with("text", text.into())
    }

    /// Adds an argument.
    #[must_use]
    pub fn with(
        mut self,
        name: impl Into<Cow<'static, str>>,
        value: impl Into<MessageValue>,
    ) -> Self {
        self.args.push((name.into(), value.into()));
        self
    }

    /// The message in a language.
    pub fn text(&self, language: Language) -> String {
        let mut text = language.text(&self.key);
        for (name, value) in &self.args {
            text = match value {
                MessageValue::Text(value) => text.arg(name, value),
                MessageValue::Number(value) => text.arg(name, *value),
                MessageValue::Message(value) => text.arg(name, value.text(language)),
                MessageValue::Program(value) => text.arg(name, language.say(value)),
            };
        }
        text.to_string()
    }
}

/// In English: for logs.
impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text(Language::English))
    }
}

impl From<&'static str> for Message {
    fn from(key: &'static str) -> Self {
        Self::new(key)
    }
}

impl From<&str> for MessageValue {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for MessageValue {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<Message> for MessageValue {
    fn from(message: Message) -> Self {
        Self::Message(Box::new(message))
    }
}

impl From<KeyedMessage> for MessageValue {
    fn from(message: KeyedMessage) -> Self {
        Self::Program(message)
    }
}

/// What a program said, by itself.
impl From<KeyedMessage> for Message {
    fn from(message: KeyedMessage) -> Self {
        Self::new("quoted").with("text", message)
    }
}

impl From<usize> for MessageValue {
    fn from(number: usize) -> Self {
        Self::Number(number as f64)
    }
}

impl From<i32> for MessageValue {
    fn from(number: i32) -> Self {
        Self::Number(number.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_waits_for_its_language() {
        let message = Message::new("settings-new-short").with("n", 10);
        assert!(message.text(Language::English).contains("10"));
        assert_ne!(message.text(Language::English), message.text(Language::Russian));
    }

    #[test]
    fn an_argument_may_be_a_message_itself() {
        let label = Message::new("people-name");
        let message = Message::new("setting-problem")
            .with("setting", label.clone())
            .with("problem", Message::new("problem-number"));
        for language in Language::ALL {
            let text = message.text(language);
            assert!(text.starts_with(&format!("{}: ", label.text(language))), "{text}");
        }
    }
}
