//! One line of an import file: which of TRL's types it is, or what is wrong with it.

use entity::{
    conversation::{ChatMessage, MessageRole, PromptBody},
    json_problem, message,
    message::KeyedMessage,
};
use serde::Deserialize;
use serde_json::Value;

/// A row, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Row {
    Prompt(PromptBody),
    Demonstration { prompt: PromptBody, completion: String },
    Preference { prompt: PromptBody, chosen: String, rejected: String },
}

/// Why a line is no row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    NotJson(KeyedMessage),
    NotAnObject,
    UnknownField(String),
    Missing(&'static str),
    Together(&'static str, &'static str),
    WrongType(&'static str, KeyedMessage),
    Empty(&'static str),
    Mixed(&'static str),
    NotOneAnswer(&'static str),
    NoAnswer,
}

impl Refusal {
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
            Self::Empty(field) => {
                message!("row-empty-field", "field `{field}` is empty", field = field)
            }
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
        }
    }
}

const FIELDS: [&str; 5] = ["prompt", "completion", "messages", "chosen", "rejected"];

impl Row {
    pub fn parse(line: &str) -> Result<Self, Refusal> {
        let fields = match serde_json::from_str(line) {
            Ok(Value::Object(fields)) => fields,
            Ok(_) => return Err(Refusal::NotAnObject),
            Err(error) => return Err(Refusal::NotJson(json_problem::in_a_row(&error))),
        };
        if let Some(unknown) = fields.keys().find(|field| !FIELDS.contains(&field.as_str())) {
            return Err(Refusal::UnknownField(unknown.clone()));
        }
        let has = |field: &str| fields.contains_key(field);
        if has("messages") {
            if let Some(other) = FIELDS.into_iter().find(|field| *field != "messages" && has(field))
            {
                return Err(Refusal::Together(other, "messages"));
            }
            return from_messages(&fields["messages"]);
        }
        let prompt =
            read_prompt(fields.get("prompt").ok_or(Refusal::Missing("prompt"))?, "prompt")?;
        let answer = |field: &'static str| match fields.get(field) {
            Some(value) => read_answer(value, field, &prompt).map(Some),
            None => Ok(None),
        };
        match (answer("completion")?, answer("chosen")?, answer("rejected")?) {
            (None, None, None) => Ok(Self::Prompt(prompt)),
            (Some(completion), None, None) => Ok(Self::Demonstration { prompt, completion }),
            (None, Some(chosen), Some(rejected)) => {
                Ok(Self::Preference { prompt, chosen, rejected })
            }
            (None, Some(_), None) => Err(Refusal::Missing("rejected")),
            (None, None, Some(_)) => Err(Refusal::Missing("chosen")),
            (Some(_), Some(_), _) => Err(Refusal::Together("completion", "chosen")),
            (Some(_), None, Some(_)) => Err(Refusal::Together("completion", "rejected")),
        }
    }
}

fn from_messages(value: &Value) -> Result<Row, Refusal> {
    let PromptBody::Messages(mut messages) = read_prompt(value, "messages")? else {
        return Err(Refusal::WrongType("messages", message!("row-is-a-text", "it is a text")));
    };
    match messages.pop() {
        Some(last) if last.role == MessageRole::Assistant && !messages.is_empty() => {
            let prompt = PromptBody::Messages(messages);
            Ok(Row::Demonstration { prompt, completion: not_empty(last.content, "messages")? })
        }
        _ => Err(Refusal::NoAnswer),
    }
}

fn read_prompt(value: &Value, field: &'static str) -> Result<PromptBody, Refusal> {
    match value {
        Value::String(text) => Ok(PromptBody::Text(not_empty(text.clone(), field)?)),
        _ => Ok(PromptBody::Messages(read_messages(value, field)?)),
    }
}

fn read_messages(value: &Value, field: &'static str) -> Result<Vec<ChatMessage>, Refusal> {
    let messages = Vec::<ChatMessage>::deserialize(value)
        .map_err(|error| Refusal::WrongType(field, json_problem::in_a_value(&error)))?;
    if messages.is_empty() { Err(Refusal::Empty(field)) } else { Ok(messages) }
}

/// An answer as text: a text to a text, one message of the assistant to messages.
fn read_answer(value: &Value, field: &'static str, prompt: &PromptBody) -> Result<String, Refusal> {
    match (value, prompt) {
        (Value::String(text), PromptBody::Text(_)) => not_empty(text.clone(), field),
        (Value::String(_), PromptBody::Messages(_)) | (Value::Array(_), PromptBody::Text(_)) => {
            Err(Refusal::Mixed(field))
        }
        _ => match read_messages(value, field)?.as_slice() {
            [ChatMessage { role: MessageRole::Assistant, content }] => {
                not_empty(content.clone(), field)
            }
            _ => Err(Refusal::NotOneAnswer(field)),
        },
    }
}

fn not_empty(text: String, field: &'static str) -> Result<String, Refusal> {
    if text.trim().is_empty() { Err(Refusal::Empty(field)) } else { Ok(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(prompt: &str) -> PromptBody {
        PromptBody::Text(prompt.into())
    }

    #[test]
    fn each_of_trls_types_is_told_by_its_fields() {
        assert_eq!(Row::parse(r#"{"prompt":"Q"}"#), Ok(Row::Prompt(text("Q"))));
        assert_eq!(
            Row::parse(r#"{"prompt":"Q","completion":" A"}"#),
            Ok(Row::Demonstration { prompt: text("Q"), completion: " A".into() })
        );
        assert_eq!(
            Row::parse(r#"{"rejected":"b","chosen":"g","prompt":"Q"}"#),
            Ok(Row::Preference { prompt: text("Q"), chosen: "g".into(), rejected: "b".into() })
        );
    }

    #[test]
    fn messages_end_with_the_answer() {
        let row =
            r#"{"messages":[{"role":"user","content":"Q"},{"role":"assistant","content":"A"}]}"#;
        let prompt = PromptBody::Messages(vec![ChatMessage::user("Q")]);
        assert_eq!(Row::parse(row), Ok(Row::Demonstration { prompt, completion: "A".into() }));
        assert_eq!(
            Row::parse(r#"{"messages":[{"role":"user","content":"Q"}]}"#),
            Err(Refusal::NoAnswer)
        );
        assert_eq!(
            Row::parse(r#"{"messages":[{"role":"assistant","content":"A"}]}"#),
            Err(Refusal::NoAnswer)
        );
    }

    #[test]
    fn an_answer_to_messages_is_a_message() {
        let ask = r#""prompt":[{"role":"user","content":"Q"}]"#;
        let row = format!(r#"{{{ask},"completion":[{{"role":"assistant","content":"A"}}]}}"#);
        let prompt = PromptBody::Messages(vec![ChatMessage::user("Q")]);
        assert_eq!(Row::parse(&row), Ok(Row::Demonstration { prompt, completion: "A".into() }));
        assert_eq!(
            Row::parse(&format!(r#"{{{ask},"completion":"A"}}"#)),
            Err(Refusal::Mixed("completion"))
        );
    }

    #[test]
    fn everything_else_is_refused_by_name() {
        let refused = |row: &str| Row::parse(row).unwrap_err().message().text;
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
        assert!(refused("not json").contains("not JSON"));
    }
}
