//! Chat templates as transformers renders them: Jinja with Python's methods, blocks trimmed.
//!
//! What transformers adds to Jinja is added here too: `raise_exception`, `strftime_now`, a `tojson`
//! that is Python's `json.dumps`, loop controls, and `{% generation %}`, which marks what an
//! assistant said and writes nothing itself.

mod library;
mod messages;
mod named;
mod python;
mod source;

pub(crate) use messages::without_nulls;
pub use named::{NAMED_TEMPLATES, NamedTemplates, named_files};

use crate::errors::WithMessage;
use anyhow::{Result, ensure};
use entity::message;
use minijinja::{
    Environment, Error, ErrorKind, context,
    syntax::SyntaxConfig,
    value::{Serde, Value, merge_maps},
};
use serde_json::{Map, Value as Json};
use std::{collections::BTreeMap, fmt::Write, ops::Range};

/// A compiled chat template with the special tokens that it may name.
#[derive(Debug)]
pub struct ChatTemplate {
    environment: Environment<'static>,
    special_tokens: BTreeMap<String, String>,
}

const NAME: &str = "chat_template";

/// The same that marks what its generation blocks write, where it has any.
const MARKING: &str = "chat_template_marking";

/// Steps and bytes that rendering may take, and how many more for each byte of what is rendered: a
/// template comes with its model, from anywhere, and one that loops would never end. A thousand turns
/// through Qwen3's template take a quarter of it.
const FUEL: u64 = 8_000_000;
const FUEL_PER_BYTE: u64 = 100;

impl ChatTemplate {
    /// Compiles `source`. `special_tokens` are `bos_token`, `eos_token`, … of the tokenizer.
    pub fn new(source: &str, special_tokens: BTreeMap<String, String>) -> Result<Self> {
        let mut environment = Environment::new();
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?;
        environment.set_syntax(syntax);
        library::add_to(&mut environment);
        environment.add_function("raise_exception", raise_exception);
        environment.add_function("strftime_now", strftime_now);
        environment.add_template_owned(NAME, source::prepared(source)).with_message(|| {
            message!("template-invalid", "the chat template is not valid Jinja")
        })?;
        if let Some(marking) = source::marking(source) {
            environment.add_template_owned(MARKING, marking)?;
        }
        Ok(Self { environment, special_tokens })
    }

    /// The conversation as text. `messages` are objects with at least `role` and, as a rule,
    /// `content`; with `add_generation_prompt` the text ends where the assistant begins to speak.
    pub fn render(&self, messages: &[Json], add_generation_prompt: bool) -> Result<String> {
        self.render_with(messages, add_generation_prompt, &Map::new())
    }

    /// [`Self::render`] with variables of the template's own, such as `tools`.
    pub fn render_with(
        &self,
        messages: &[Json],
        add_generation_prompt: bool,
        variables: &Map<String, Json>,
    ) -> Result<String> {
        self.render_by(NAME, messages, add_generation_prompt, variables)
    }

    /// The conversation as text with the bytes in it that generation blocks wrote, as transformers'
    /// `return_assistant_tokens_mask` finds them; none for a template that has no such blocks, or does
    /// something else with what they write.
    pub fn render_marked(
        &self,
        messages: &[Json],
        variables: &Map<String, Json>,
    ) -> Result<Option<MarkedText>> {
        if self.environment.get_template(MARKING).is_err() {
            return Ok(None);
        }
        let text = self.render_by(NAME, messages, false, variables)?;
        let marked = self.render_by(MARKING, messages, false, variables);
        Ok(marked.ok().and_then(|marked| unmarked(&marked)).filter(|marked| marked.text == text))
    }

    fn render_by(
        &self,
        name: &str,
        messages: &[Json],
        add_generation_prompt: bool,
        variables: &Map<String, Json>,
    ) -> Result<String> {
        let variables_of_the_caller = variables;
        let messages: Vec<Json> = messages.iter().map(messages::for_template).collect();
        // The last to name a variable wins.
        let variables = merge_maps([
            context! { tools => (), documents => () },
            Value::from(Serde(&self.special_tokens)),
            Value::from(Serde(variables)),
            context! { messages => Value::from(Serde(&messages)), add_generation_prompt },
        ]);
        let n_bytes = messages.iter().map(n_bytes).sum::<u64>()
            + variables_of_the_caller.values().map(n_bytes).sum::<u64>();
        let mut environment = self.environment.clone();
        environment.set_fuel(Some(FUEL.saturating_add(n_bytes.saturating_mul(FUEL_PER_BYTE))));
        let rendered = environment.get_template(name)?.render(variables);
        let is_endless = rendered.as_ref().is_err_and(|error| error.kind() == ErrorKind::OutOfFuel);
        ensure!(
            !is_endless,
            message!(
                "template-endless",
                "the chat template does not come to an end with these messages: it is damaged, or meant to do harm; take another model"
            )
        );
        rendered.with_message(|| {
            message!("template-refuses", "the chat template does not render these messages")
        })
    }
}

/// A conversation as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MarkedText {
    pub text: String,
    /// What an assistant said, in bytes, in the order of the text.
    pub answers: Vec<Range<usize>>,
}

/// None where marks do not stand in pairs.
fn unmarked(marked: &str) -> Option<MarkedText> {
    let [open, close] = source::MARKS;
    let (mut text, mut answers, mut begun) = (String::new(), Vec::new(), None);
    for piece in marked.split_inclusive(source::MARKS) {
        let said = piece.trim_end_matches(source::MARKS);
        text.push_str(said);
        match (&piece[said.len()..], begun) {
            ("", _) => {}
            (mark, None) if mark.starts_with(open) => begun = Some(text.len()),
            (mark, Some(start)) if mark.starts_with(close) => {
                answers.push(start..text.len());
                begun = None;
            }
            _ => return None,
        }
    }
    begun.is_none().then_some(MarkedText { text, answers })
}

/// About how long a value is as text.
fn n_bytes(value: &Json) -> u64 {
    match value {
        Json::String(text) => text.len() as u64,
        Json::Array(values) => values.iter().map(n_bytes).sum::<u64>() + 1,
        Json::Object(values) => {
            values.iter().map(|(key, value)| key.len() as u64 + n_bytes(value)).sum::<u64>() + 1
        }
        _ => 1,
    }
}

/// Templates refuse what they cannot write, such as two user turns in a row.
fn raise_exception(message: String) -> Result<Value, Error> {
    Err(Error::new(ErrorKind::InvalidOperation, message))
}

#[cfg(not(test))]
fn now() -> chrono::DateTime<chrono::Local> {
    chrono::Local::now()
}

#[cfg(test)]
use tests::now;

fn strftime_now(format: &str) -> Result<String, Error> {
    let mut text = String::new();
    match write!(text, "{}", now().format(format)) {
        Ok(()) => Ok(text),
        Err(_) => Err(Error::new(
            ErrorKind::InvalidOperation,
            format!("strftime_now: {format} is not a date format"),
        )),
    }
}

#[cfg(test)]
mod tests;
