//! The types of row that TRL knows, told apart by their columns.

use serde_json::{Map, Value};

type Columns = Map<String, Value>;

/// Plain text, which takes no chat template, or messages, which do (TRL: standard and
/// conversational).
#[derive(Clone, Debug, PartialEq)]
pub(super) enum RowContent {
    Plain(String),
    Messages(Vec<Value>),
}

/// A prompt and what follows it. `prompt` is empty where a pair has its prompt inside both answers.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct AnsweredPrompt {
    pub prompt: RowContent,
    pub answers: Vec<RowContent>,
}

/// The columns that decide what a row is. Any other is ignored but for [`template_variables`], and so
/// is one that is null.
const KNOWN: [&str; 6] = ["messages", "prompt", "completion", "chosen", "rejected", "text"];

/// `prompt` + `completion`, or `messages`, whose last assistant turn is the answer.
pub(super) fn answered(columns: &Columns) -> Result<AnsweredPrompt, String> {
    if has(columns, &["prompt", "completion"]) {
        return answers(content(columns, "prompt")?, columns, &["completion"]);
    }
    if has(columns, &["messages"]) {
        return last_turn(columns);
    }
    Err(unexpected(columns, "`messages`, or `prompt` and `completion`"))
}

/// `chosen` + `rejected`, with `prompt` or with the prompt inside both.
pub(super) fn pair(columns: &Columns) -> Result<AnsweredPrompt, String> {
    if !has(columns, &["chosen", "rejected"]) {
        return Err(unexpected(columns, "`prompt`, `chosen` and `rejected`"));
    }
    let prompt = match (has(columns, &["prompt"]), content(columns, "chosen")?) {
        (true, _) => content(columns, "prompt")?,
        (false, RowContent::Plain(_)) => RowContent::Plain(String::new()),
        (false, RowContent::Messages(_)) => RowContent::Messages(Vec::new()),
    };
    answers(prompt, columns, &["chosen", "rejected"])
}

/// [`pair`] with a prompt in every case: what both answers begin with where it is inside them (TRL:
/// `extract_prompt`).
pub(super) fn pair_with_prompt(columns: &Columns) -> Result<AnsweredPrompt, String> {
    let row = pair(columns)?;
    if has(columns, &["prompt"]) {
        return Ok(row);
    }
    match row.answers.as_slice() {
        [RowContent::Messages(chosen), RowContent::Messages(rejected)] => {
            let n = chosen.iter().zip(rejected).take_while(|(one, other)| one == other).count();
            let answers = [chosen, rejected]
                .map(|answer| RowContent::Messages(answer[n..].to_vec()))
                .to_vec();
            Ok(AnsweredPrompt { prompt: RowContent::Messages(chosen[..n].to_vec()), answers })
        }
        [RowContent::Plain(chosen), RowContent::Plain(rejected)] => {
            let alike =
                chosen.chars().zip(rejected.chars()).take_while(|(one, other)| one == other);
            let alike: String = alike.map(|(one, _)| one).collect();
            // A space belongs to the word after it.
            let prompt = alike.strip_suffix(' ').unwrap_or(&alike).to_owned();
            let answers = [chosen, rejected]
                .map(|answer| RowContent::Plain(answer[prompt.len()..].to_owned()))
                .to_vec();
            Ok(AnsweredPrompt { prompt: RowContent::Plain(prompt), answers })
        }
        _ => unreachable!("a row's columns were checked to be of one form"),
    }
}

/// A pair, or one answer.
pub(super) fn pair_or_answered(columns: &Columns) -> Result<AnsweredPrompt, String> {
    if has(columns, &["chosen", "rejected"]) {
        pair(columns)
    } else {
        answered(columns).map_err(|problem| {
            let wanted = "`prompt`, `chosen` and `rejected`, or `messages`, or";
            problem.replacen("`messages`, or", wanted, 1)
        })
    }
}

/// The prompt of a row, whatever follows it there.
pub(super) fn prompt(columns: &Columns) -> Result<RowContent, String> {
    if has(columns, &["prompt"]) {
        return content(columns, "prompt");
    }
    if has(columns, &["messages"]) {
        let messages = messages(columns, "messages")?;
        let is_asked = messages.last().is_some_and(|message| !is_assistant(message));
        return if is_asked {
            Ok(RowContent::Messages(messages))
        } else {
            Ok(last_turn(columns)?.prompt)
        };
    }
    Err(unexpected(columns, "`prompt`, or `messages`"))
}

/// `text`, for pretraining.
pub(super) fn text(columns: &Columns) -> Result<String, String> {
    match columns.get("text") {
        Some(Value::String(text)) => Ok(text.clone()),
        Some(other) if !other.is_null() => {
            Err(format!("`text` is {}; expected a string", kind(other)))
        }
        _ => Err(unexpected(columns, "`text`")),
    }
}

/// What a row says to the chat template besides its messages: `tools`, a list or its JSON as a
/// string, and `chat_template_kwargs` such as `{"enable_thinking": false}`.
pub(super) fn template_variables(columns: &Columns) -> Result<Columns, String> {
    let mut variables = Columns::new();
    match columns.get("tools") {
        None | Some(Value::Null) => {}
        Some(Value::String(text)) => {
            let tools = serde_json::from_str(text);
            let tools = tools.map_err(|error| format!("`tools` is not JSON: {error}"))?;
            variables.insert("tools".to_owned(), tools);
        }
        Some(tools) => {
            variables.insert("tools".to_owned(), tools.clone());
        }
    }
    match columns.get("chat_template_kwargs") {
        None | Some(Value::Null) => {}
        Some(Value::Object(more)) => variables.extend(more.clone()),
        Some(other) => {
            return Err(format!(
                "`chat_template_kwargs` is {}; expected an object such as \
                 {{\"enable_thinking\": false}}",
                kind(other)
            ));
        }
    }
    Ok(variables)
}

fn answers(
    prompt: RowContent,
    columns: &Columns,
    names: &[&str],
) -> Result<AnsweredPrompt, String> {
    let mut answers = Vec::new();
    for name in names {
        let answer = content(columns, name)?;
        let of = |content: &RowContent| match content {
            RowContent::Plain(_) => "a string",
            RowContent::Messages(_) => "a list of messages",
        };
        if of(&answer) != of(&prompt) {
            let other = if has(columns, &["prompt"]) { "`prompt`" } else { "`chosen`" };
            return Err(format!("`{name}` is {} but {other} is {}", of(&answer), of(&prompt)));
        }
        answers.push(answer);
    }
    Ok(AnsweredPrompt { prompt, answers })
}

fn last_turn(columns: &Columns) -> Result<AnsweredPrompt, String> {
    let mut messages = messages(columns, "messages")?;
    let Some(last) = messages.iter().rposition(is_assistant) else {
        return Err("`messages` has no turn of the assistant, so there is no answer".to_owned());
    };
    messages.truncate(last + 1);
    let answer = messages.split_off(last);
    Ok(AnsweredPrompt {
        prompt: RowContent::Messages(messages),
        answers: vec![RowContent::Messages(answer)],
    })
}

fn content(columns: &Columns, name: &str) -> Result<RowContent, String> {
    match &columns[name] {
        Value::String(text) => Ok(RowContent::Plain(text.clone())),
        Value::Array(_) => messages(columns, name).map(RowContent::Messages),
        other => {
            Err(format!("`{name}` is {}; expected a string or a list of messages", kind(other)))
        }
    }
}

fn messages(columns: &Columns, name: &str) -> Result<Vec<Value>, String> {
    let Value::Array(messages) = &columns[name] else {
        return Err(format!("`{name}` is {}; expected a list of messages", kind(&columns[name])));
    };
    if messages.is_empty() {
        return Err(format!("`{name}` is an empty list"));
    }
    for (idx, message) in messages.iter().enumerate() {
        let Some(fields) = message.as_object() else {
            return Err(format!("`{name}[{idx}]` is {}; expected a message", kind(message)));
        };
        for field in ["role", "content"] {
            match fields.get(field) {
                Some(Value::String(_)) => {}
                // Lists of parts and absent texts are for the chat template to judge.
                Some(Value::Array(_) | Value::Null) if field == "content" => {}
                Some(other) => {
                    return Err(format!(
                        "`{name}[{idx}].{field}` is {}; expected a string",
                        kind(other)
                    ));
                }
                None if field == "content" && fields.contains_key("tool_calls") => {}
                None => return Err(format!("`{name}[{idx}]` has no `{field}`")),
            }
        }
    }
    Ok(messages.clone())
}

fn is_assistant(message: &Value) -> bool {
    message["role"] == "assistant"
}

fn has(columns: &Columns, names: &[&str]) -> bool {
    names.iter().all(|name| columns.get(*name).is_some_and(|value| !value.is_null()))
}

fn unexpected(columns: &Columns, expected: &str) -> String {
    let known: Vec<_> = KNOWN.into_iter().filter(|name| has(columns, &[name])).collect();
    let found: Vec<_> =
        if known.is_empty() { columns.keys().map(String::as_str).collect() } else { known };
    let found = if found.is_empty() {
        "no columns".to_owned()
    } else {
        found.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
    };
    format!("expected {expected}; the row has {found}")
}

/// A JSON value's type, with its article.
pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
