//! A line of the audit log in words, and where it leads.

use crate::{
    people::{
        audit::AuditAction,
        audit_log::{AuditLine, AuditedThing},
        members,
    },
    training::kinds::definition,
    web::{address, i18n::Language, message::Message},
};
use entity::membership::ProjectRole;
use serde_json::Value;

/// What was done, where the details are not known.
pub fn label(language: Language, action: AuditAction) -> String {
    let more = "…";
    Message::new(action.key())
        .with("roles", more)
        .with("n", more)
        .with("format", more)
        .text(language)
}

/// What was done.
pub fn said(language: Language, line: &AuditLine) -> String {
    let Some(action) = line.action else { return line.code.clone() };
    let details = &line.details;
    let format = details["format"].as_str().unwrap_or_default();
    Message::new(action.key())
        .with("roles", roles(language, &details["roles"]))
        .with("n", details["new"].as_u64().unwrap_or_default() as usize)
        .with("format", format)
        .text(language)
}

fn roles(language: Language, stored: &Value) -> String {
    let stored: Vec<ProjectRole> = serde_json::from_value(stored.clone()).unwrap_or_default();
    let names = stored.into_iter().map(|role| language.text(members::role_key(role)).to_string());
    names.collect::<Vec<_>>().join(", ")
}

/// What it was done to, for a reader.
pub fn subject(language: Language, line: &AuditLine) -> String {
    match &line.subject {
        AuditedThing::Account(name) => name.shown(language),
        _ => subject_to_keep(language, line),
    }
}

/// The same in a file, in which people are called as they are stored.
pub fn subject_to_keep(language: Language, line: &AuditLine) -> String {
    match &line.subject {
        AuditedThing::Account(name) => name.stored().to_owned(),
        AuditedThing::Project(name) => name.clone(),
        AuditedThing::Model(_, name) => name.clone(),
        AuditedThing::Run(id, kind) => {
            format!("{} {}", language.text(definition(*kind).name), id.short())
        }
        AuditedThing::Prompt(id) => format!("{} {}", language.text("audit-prompt"), id.short()),
        AuditedThing::Text(hash) => format!("{} {}", language.text("audit-text"), &hash[..12]),
        AuditedThing::Unknown => line.details["name"].as_str().unwrap_or_default().to_owned(),
    }
}

/// The page of what it was done to, if it has one that the reader may open.
pub fn link(line: &AuditLine, is_engineer: bool) -> Option<String> {
    let (project, _) = line.project.as_ref()?;
    let rest = match &line.subject {
        AuditedThing::Prompt(id) => format!("/prompts/{id}"),
        AuditedThing::Run(id, _) if is_engineer => format!("/runs/{id}"),
        AuditedThing::Model(id, _) if is_engineer => format!("/models/{id}"),
        _ => return None,
    };
    Some(address::in_project(*project, &rest))
}
