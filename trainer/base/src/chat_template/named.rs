//! The chat templates of a model folder: one, or several by name.

use super::{ChatTemplate, MarkedText};
use crate::{
    errors::{WithMessage, cannot_read, message_of},
    model_files,
};
use anyhow::{Result, bail};
use entity::{message, message::KeyedMessage};
use serde_json::{Map, Value};
use std::{collections::BTreeMap, fs, io::ErrorKind, path::Path};

/// Where transformers has every template but the default one.
pub const NAMED_TEMPLATES: &str = "additional_chat_templates";

const DEFAULT: &str = "default";

/// The template for conversations with tools.
const TOOL_USE: &str = "tool_use";

/// The variable with which a row names its template.
const CHOICE: &str = "chat_template";

/// The templates by name; a template that cannot be compiled is told when it is asked for.
#[derive(Debug)]
pub struct NamedTemplates {
    templates: BTreeMap<String, Result<ChatTemplate, KeyedMessage>>,
}

impl NamedTemplates {
    /// `chat_template.jinja` and the files of `additional_chat_templates/`; where there is neither, the
    /// `chat_template` of tokenizer_config.json. None where nothing names a template.
    pub fn read(
        folder: &Path,
        config: &Map<String, Value>,
        special_tokens: &BTreeMap<String, String>,
    ) -> Result<Option<Self>> {
        let mut sources = in_files(folder)?;
        if sources.is_empty() {
            sources = in_config(config);
        }
        let compiled = |source: &str| {
            ChatTemplate::new(source, special_tokens.clone())
                .with_message(|| message!("in-folder", "in {folder}", folder = folder.display()))
        };
        let mut templates = BTreeMap::new();
        for (name, source) in sources {
            let template = compiled(&source).map_err(|error| message_of(&error));
            templates.insert(name, template);
        }
        if let Some(Err(error)) = templates.get(DEFAULT) {
            bail!(error.clone());
        }
        Ok((!templates.is_empty()).then_some(Self { templates }))
    }

    /// The conversation as text, by the template that `variables` name as `chat_template`; else by the one
    /// for tools, where there are tools; else by the default one (transformers: `get_chat_template`).
    pub fn render(
        &self,
        messages: &[Value],
        add_generation_prompt: bool,
        variables: &Map<String, Value>,
    ) -> Result<String> {
        self.chosen(variables)?.render_with(messages, add_generation_prompt, variables)
    }

    /// [`ChatTemplate::render_marked`] of the template that [`Self::render`] takes.
    pub fn render_marked(
        &self,
        messages: &[Value],
        variables: &Map<String, Value>,
    ) -> Result<Option<MarkedText>> {
        self.chosen(variables)?.render_marked(messages, variables)
    }

    fn chosen(&self, variables: &Map<String, Value>) -> Result<&ChatTemplate> {
        let has_tools = variables.get("tools").is_some_and(|tools| !tools.is_null());
        let name = match variables.get(CHOICE).and_then(Value::as_str) {
            Some(name) => name,
            None if has_tools && self.templates.contains_key(TOOL_USE) => TOOL_USE,
            None => DEFAULT,
        };
        match self.templates.get(name) {
            Some(Ok(template)) => Ok(template),
            Some(Err(error)) => bail!(error.clone()),
            None => bail!(message!(
                "template-not-named",
                "the model has no chat template named {name}, but {names}; choose one of these with chat_template_kwargs, such as {{\"chat_template\": {example}}}",
                name = name,
                names = self.templates.keys().cloned().collect::<Vec<_>>().join(", "),
                example = Value::from(self.templates.keys().next().map_or(DEFAULT, String::as_str))
                    .to_string()
            )),
        }
    }
}

fn in_files(folder: &Path) -> Result<BTreeMap<String, String>> {
    let mut sources = BTreeMap::new();
    let file = folder.join("chat_template.jinja");
    match model_files::read_text(&file) {
        Ok(source) => drop(sources.insert(DEFAULT.to_owned(), source)),
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error).with_message(|| cannot_read(&file)),
    }
    for file in named_files(folder) {
        let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let source = model_files::read_text(&file).with_message(|| cannot_read(&file))?;
        sources.insert(name, source);
    }
    Ok(sources)
}

/// The files of templates other than the default one; none where there is no folder of them.
pub fn named_files(folder: &Path) -> Vec<std::path::PathBuf> {
    let Ok(entries) = fs::read_dir(folder.join(NAMED_TEMPLATES)) else { return Vec::new() };
    let is_template = |path: &std::path::PathBuf| path.extension().is_some_and(|it| it == "jinja");
    let mut files: Vec<_> =
        entries.flatten().map(|entry| entry.path()).filter(is_template).collect();
    files.sort();
    files
}

fn in_config(config: &Map<String, Value>) -> BTreeMap<String, String> {
    let named = |entry: &Value| {
        Some((entry.get("name")?.as_str()?.to_owned(), entry.get("template")?.as_str()?.to_owned()))
    };
    match config.get("chat_template") {
        Some(Value::String(source)) => BTreeMap::from([(DEFAULT.to_owned(), source.clone())]),
        Some(Value::Array(entries)) => entries.iter().filter_map(named).collect(),
        Some(Value::Object(entries)) => entries
            .iter()
            .filter_map(|(name, source)| Some((name.clone(), source.as_str()?.to_owned())))
            .collect(),
        _ => BTreeMap::new(),
    }
}
