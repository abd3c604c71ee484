//! One line of an import file: which of TRL's types it is, or what is wrong with it.

use crate::data::{formats, texts};
use entity::{
    conversation::{ChatMessage, MessageRole, PromptBody},
    dataset_version::DatasetKind,
    json_problem, message,
    message::KeyedMessage,
    unique_json::BoundedJson,
};
use serde::Deserialize;
use serde_json::{Map, Value};

/// Messages of a conversation: a page shows all of them, to everybody who is asked about it.
pub const MOST_MESSAGES: usize = 10_000;

/// A row, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportRow {
    /// Which format it has.
    pub kind: DatasetKind,
    pub prompt: PromptBody,
    /// As many as the format has, in its order.
    pub answers: Vec<String>,
}

/// Why a line is no row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RowRefusal {
    NotJson(KeyedMessage),
    NotAnObject,
    UnknownField(String),
    Missing(&'static str),
    Together(&'static str, &'static str),
    WrongType(&'static str, KeyedMessage),
    /// A name stands twice in one object, or there are too many values.
    Odd(KeyedMessage),
    Empty(&'static str),
    /// A message of the field has nothing in it; counted from 1.
    EmptyMessage(&'static str, usize),
    /// More messages in the field than [`MOST_MESSAGES`].
    TooManyMessages(&'static str),
    Mixed(&'static str),
    NotOneAnswer(&'static str),
    NoAnswer,
    SameAnswers(&'static str, &'static str),
}

impl RowRefusal {
    /// For whoever sent the file.
    pub fn message(&self) -> KeyedMessage {
        match self {
            Self::NotJson(why) => message!("row-not-json", "not JSON: {why}", why = why),
            Self::NotAnObject => message!(
                "row-no-object",
                "not a row, which is a JSON object in one line, such as {{\"prompt\": \"…\"}}"
            ),
            Self::UnknownField(field) => message!(
                "row-unknown-field",
                "field `{field}` is not read; a row has `prompt`, `prompt` and `completion`, `messages`, or `prompt`, `chosen` and `rejected`",
                field = field
            ),
            Self::Missing(field) => message!(
                "row-missing-field",
                "field `{field}` is missing; `chosen` and `rejected` need each other and a `prompt`",
                field = field
            ),
            Self::Together(field, other) => message!(
                "row-fields-together",
                "field `{field}` does not go with `{other}`",
                field = field,
                other = other
            ),
            Self::WrongType(field, why) => message!(
                "row-wrong-type",
                "field `{field}` is neither a text nor a list of messages with `role` and `content`: {why}",
                field = field,
                why = why
            ),
            Self::Empty(at) => message!("row-empty-field", "field `{field}` is empty", field = at),
            Self::Odd(why) => why.clone(),
            Self::EmptyMessage(field, n) => message!(
                "row-empty-message",
                "message {n} of field `{field}` is empty",
                n = n,
                field = field
            ),
            Self::TooManyMessages(field) => message!(
                "row-too-many-messages",
                "field `{field}` has more than {most} messages: share them out over several rows",
                field = field,
                most = MOST_MESSAGES
            ),
            Self::Mixed(field) => message!(
                "row-mixed-forms",
                "field `{field}` must be given like `prompt`: both as texts or both as lists of messages",
                field = field
            ),
            Self::NotOneAnswer(field) => message!(
                "row-not-one-answer",
                "field `{field}` must be one message of the assistant",
                field = field
            ),
            Self::NoAnswer => message!(
                "row-no-answer",
                "field `messages` must end with a message of the assistant, after at least one other"
            ),
            Self::SameAnswers(one, other) => same_answers(one, other),
        }
    }
}

fn same_answers(one: &str, other: &str) -> KeyedMessage {
    message!(
        "row-same-answers",
        "fields `{one}` and `{other}` say the same: neither is better",
        one = one,
        other = other
    )
}

impl ImportRow {
    pub fn new(
        kind: DatasetKind,
        prompt: PromptBody,
        answers: impl IntoIterator<Item = String>,
    ) -> Self {
        Self { kind, prompt, answers: answers.into_iter().collect() }
    }

    /// About how much room it takes, in bytes.
    pub fn n_bytes(&self) -> usize {
        let prompt = match &self.prompt {
            PromptBody::Text(text) => text.len(),
            PromptBody::Messages(messages) => {
                messages.iter().map(|message| message.content.len()).sum()
            }
        };
        prompt + self.answers.iter().map(String::len).sum::<usize>()
    }

    pub fn parse(line: &str) -> Result<Self, RowRefusal> {
        let fields = RowFields::parse(line)?;
        for format in formats::all() {
            if let Some(row) = format.read(&fields)? {
                return Ok(row);
            }
        }
        Err(RowRefusal::Missing("prompt"))
    }
}

/// Every field that some format reads.
fn known_fields() -> impl Iterator<Item = &'static str> {
    std::iter::once("prompt").chain(formats::all().flat_map(super::DataFormat::fields).copied())
}

/// The fields of a line, all of which are known.
pub struct RowFields(Map<String, Value>);

impl RowFields {
    fn parse(line: &str) -> Result<Self, RowRefusal> {
        let fields = match serde_json::from_str(line) {
            Ok(BoundedJson(Value::Object(fields))) => fields,
            Ok(_) => return Err(RowRefusal::NotAnObject),
            Err(error) => {
                let why = json_problem::in_a_row(line.as_bytes(), &error);
                let is_json = error.is_data();
                return Err(if is_json { RowRefusal::Odd(why) } else { RowRefusal::NotJson(why) });
            }
        };
        match fields.keys().find(|field| !known_fields().any(|known| known == *field)) {
            Some(unknown) => Err(RowRefusal::UnknownField(unknown.clone())),
            None => Ok(Self(fields)),
        }
    }

    pub fn has(&self, field: &str) -> bool {
        self.0.contains_key(field)
    }

    /// A field that does not belong to these.
    pub fn other_than(&self, own: &[&str]) -> Option<&'static str> {
        known_fields().find(|field| !own.contains(field) && self.has(field))
    }

    /// What is asked: a text, or messages.
    pub fn prompt(&self, field: &'static str) -> Result<PromptBody, RowRefusal> {
        read_prompt(self.0.get(field).ok_or(RowRefusal::Missing(field))?, field)
    }

    /// An answer, if there is one, in the way in which the prompt is given.
    pub fn answer(
        &self,
        field: &'static str,
        prompt: &PromptBody,
    ) -> Result<Option<String>, RowRefusal> {
        self.0.get(field).map(|value| read_answer(value, field, prompt)).transpose()
    }
}

fn read_prompt(value: &Value, field: &'static str) -> Result<PromptBody, RowRefusal> {
    match value {
        Value::String(text) => Ok(PromptBody::Text(not_empty(text.clone(), field)?)),
        _ => Ok(PromptBody::Messages(read_messages(value, field)?)),
    }
}

fn read_messages(value: &Value, field: &'static str) -> Result<Vec<ChatMessage>, RowRefusal> {
    let messages = Vec::<ChatMessage>::deserialize(value)
        .map_err(|error| RowRefusal::WrongType(field, json_problem::in_a_value(&error)))?;
    if messages.is_empty() {
        return Err(RowRefusal::Empty(field));
    }
    if messages.len() > MOST_MESSAGES {
        return Err(RowRefusal::TooManyMessages(field));
    }
    match messages.iter().position(|message| texts::is_blank(&message.content)) {
        Some(idx) => Err(RowRefusal::EmptyMessage(field, idx + 1)),
        None => Ok(messages),
    }
}

/// An answer as text: a text to a text, one message of the assistant to messages.
fn read_answer(
    value: &Value,
    field: &'static str,
    prompt: &PromptBody,
) -> Result<String, RowRefusal> {
    match (value, prompt) {
        (Value::String(text), PromptBody::Text(_)) => not_empty(text.clone(), field),
        (Value::String(_), PromptBody::Messages(_)) | (Value::Array(_), PromptBody::Text(_)) => {
            Err(RowRefusal::Mixed(field))
        }
        _ => match read_messages(value, field)?.as_slice() {
            [ChatMessage { role: MessageRole::Assistant, content }] => Ok(content.clone()),
            _ => Err(RowRefusal::NotOneAnswer(field)),
        },
    }
}

/// The text, unless it is blank.
fn not_empty(text: String, field: &'static str) -> Result<String, RowRefusal> {
    if texts::is_blank(&text) { Err(RowRefusal::Empty(field)) } else { Ok(text) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use DatasetKind::{Demonstrations, Preferences, Prompts};

    fn text(prompt: &str) -> PromptBody {
        PromptBody::Text(prompt.into())
    }

    fn row(
        kind: DatasetKind,
        prompt: PromptBody,
        answers: &[&str],
    ) -> Result<ImportRow, RowRefusal> {
        Ok(ImportRow::new(kind, prompt, answers.iter().map(|answer| (*answer).to_owned())))
    }

    #[test]
    fn each_of_trls_types_is_told_by_its_fields() {
        assert_eq!(ImportRow::parse(r#"{"prompt":"Q"}"#), row(Prompts, text("Q"), &[]));
        assert_eq!(
            ImportRow::parse(r#"{"prompt":"Q","completion":" A"}"#),
            row(Demonstrations, text("Q"), &[" A"])
        );
        assert_eq!(
            ImportRow::parse(r#"{"rejected":"b","chosen":"g","prompt":"Q"}"#),
            row(Preferences, text("Q"), &["g", "b"])
        );
    }

    #[test]
    fn messages_end_with_the_answer() {
        let line =
            r#"{"messages":[{"role":"user","content":"Q"},{"role":"assistant","content":"A"}]}"#;
        let prompt = PromptBody::Messages(vec![ChatMessage::user("Q")]);
        assert_eq!(ImportRow::parse(line), row(Demonstrations, prompt, &["A"]));
        assert_eq!(
            ImportRow::parse(r#"{"messages":[{"role":"user","content":"Q"}]}"#),
            Err(RowRefusal::NoAnswer)
        );
        assert_eq!(
            ImportRow::parse(r#"{"messages":[{"role":"assistant","content":"A"}]}"#),
            Err(RowRefusal::NoAnswer)
        );
    }

    #[test]
    fn an_answer_to_messages_is_a_message() {
        let ask = r#""prompt":[{"role":"user","content":"Q"}]"#;
        let line = format!(r#"{{{ask},"completion":[{{"role":"assistant","content":"A"}}]}}"#);
        let prompt = PromptBody::Messages(vec![ChatMessage::user("Q")]);
        assert_eq!(ImportRow::parse(&line), row(Demonstrations, prompt, &["A"]));
        assert_eq!(
            ImportRow::parse(&format!(r#"{{{ask},"completion":"A"}}"#)),
            Err(RowRefusal::Mixed("completion"))
        );
    }

    #[test]
    fn nothing_to_read_is_refused_however_it_is_written() {
        let refused = |row: &str| ImportRow::parse(row).unwrap_err();
        for blank in ["", "  ", "\\n", "\\u200b", "\\u0000", "\u{A0}", "\u{2800}"] {
            let text = format!(r#"{{"prompt":"{blank}"}}"#);
            assert_eq!(refused(&text), RowRefusal::Empty("prompt"), "{text}");
            let said = format!(r#"{{"role":"user","content":"{blank}"}}"#);
            let message =
                format!(r#"{{"prompt":[{{"role":"system","content":"Be kind"}},{said}]}}"#);
            assert_eq!(refused(&message), RowRefusal::EmptyMessage("prompt", 2), "{message}");
            let answer = format!(r#"{{"prompt":"Q","completion":"{blank}"}}"#);
            assert_eq!(refused(&answer), RowRefusal::Empty("completion"), "{answer}");
            let last = format!(r#"{{"messages":[{said},{{"role":"assistant","content":"A"}}]}}"#);
            assert_eq!(refused(&last), RowRefusal::EmptyMessage("messages", 1), "{last}");
        }
    }

    #[test]
    fn everything_else_is_refused_by_name() {
        let refused = |row: &str| ImportRow::parse(row).unwrap_err().message().text;
        assert!(refused(r#"{"prompt":"Q","label":true}"#).contains("`label`"));
        assert!(refused(r#"{"chosen":"g","rejected":"b"}"#).contains("`prompt`"));
        assert!(refused(r#"{"prompt":"Q","chosen":"g"}"#).contains("`rejected`"));
        assert!(
            refused(r#"{"prompt":"Q","completion":"A","chosen":"g","rejected":"b"}"#)
                .contains("`completion`")
        );
        assert!(refused(r#"{"prompt":7}"#).contains("`prompt`"));
        assert!(refused(r#"{"prompt":" "}"#).contains("empty"));
        assert!(refused(r#"{"prompt":[{"role":"tool","content":"x"}]}"#).contains("tool"));
        assert!(
            refused(r#"{"prompt":[{"role":"user","content":"x","name":"n"}]}"#).contains("name")
        );
        assert!(refused("[1]").contains("JSON object"));
        assert!(refused(r#"{"prompt":"Q","prompt":"R"}"#).contains("duplicate field `prompt`"));
        let pair = refused(r#"{"prompt":"Q","chosen":"A","rejected":"A"}"#);
        assert!(pair.contains("`chosen` and `rejected` say the same"), "{pair}");
        assert!(refused("not json").contains("not JSON"));
        let talk = |n: usize| {
            let message = r#"{"role":"user","content":"x"}"#;
            format!(r#"{{"prompt":[{}]}}"#, vec![message; n].join(","))
        };
        assert!(ImportRow::parse(&talk(MOST_MESSAGES)).is_ok());
        assert!(refused(&talk(MOST_MESSAGES + 1)).contains("more than 10000 messages"));
        let small = format!(r#"{{"prompt":[{}{{}}]}}"#, r#"{"":0},"#.repeat(1_000_000));
        assert!(refused(&small).starts_with("too many values"));
    }
}
