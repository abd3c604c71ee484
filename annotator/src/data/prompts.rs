//! Prompts of a project, the demonstration tasks that ask for their ideal answer, and prompts that
//! were withdrawn: nobody is given their tasks and no new dataset version holds them, until they
//! are brought back. What was said of them stays.

use crate::{
    data::texts,
    work::tasks::{self, NewTask},
};
use entity::{
    conversation::{ChatMessage, MessageRole, PromptBody},
    ids::{ProjectId, PromptId},
    prompt,
    task::TaskKind,
    time::UnixMillis,
};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter,
    sea_query::{Expr, Query, SelectStatement},
};

/// The prompt's row, stored unless the project has it; one that was withdrawn comes back. True when
/// it is new or came back.
pub async fn store(
    db: &impl ConnectionTrait,
    project: ProjectId,
    prompt: &PromptBody,
) -> Result<(PromptId, bool), DbErr> {
    let text_hash = texts::store(db, &prompt.to_canonical_json()).await?;
    let known = prompt::Entity::find()
        .filter(prompt::Column::ProjectId.eq(project))
        .filter(prompt::Column::TextHash.eq(&text_hash))
        .one(db)
        .await?;
    if let Some(known) = known {
        return Ok((known.id, restore(db, known.id).await?));
    }
    let id = PromptId::new();
    let row = prompt::ActiveModel {
        id: Set(id),
        project_id: Set(project),
        text_hash: Set(text_hash),
        created_at: Set(UnixMillis::now()),
        withdrawn_at: Set(None),
    };
    prompt::Entity::insert(row).exec_without_returning(db).await?;
    Ok((id, true))
}

/// Takes the prompt out of the work; false when it was out already. Whoever holds a task of it may
/// finish.
pub async fn withdraw(db: &impl ConnectionTrait, prompt: PromptId) -> Result<bool, DbErr> {
    let withdrawn = prompt::Entity::update_many()
        .col_expr(prompt::Column::WithdrawnAt, Expr::value(UnixMillis::now()))
        .filter(prompt::Column::Id.eq(prompt))
        .filter(prompt::Column::WithdrawnAt.is_null())
        .exec(db)
        .await?;
    Ok(withdrawn.rows_affected == 1)
}

/// Brings a withdrawn prompt back; false when it was at work.
pub async fn restore(db: &impl ConnectionTrait, prompt: PromptId) -> Result<bool, DbErr> {
    let restored = prompt::Entity::update_many()
        .col_expr(prompt::Column::WithdrawnAt, Expr::value(None::<UnixMillis>))
        .filter(prompt::Column::Id.eq(prompt))
        .filter(prompt::Column::WithdrawnAt.is_not_null())
        .exec(db)
        .await?;
    Ok(restored.rows_affected == 1)
}

/// The ids of the project's withdrawn prompts, for a query to leave them out.
pub fn withdrawn(project: ProjectId) -> SelectStatement {
    Query::select()
        .column(prompt::Column::Id)
        .from(prompt::Entity)
        .and_where(prompt::Column::ProjectId.eq(project))
        .and_where(prompt::Column::WithdrawnAt.is_not_null())
        .to_owned()
}

/// Asks one person for the ideal answer to a prompt. Asking twice is asking once.
pub async fn ask_for_demonstration(
    db: &impl ConnectionTrait,
    project: ProjectId,
    prompt: PromptId,
) -> Result<(), DbErr> {
    let (kind, origin) = (TaskKind::Demonstrate, format!("prompt:{prompt}"));
    tasks::ask(db, NewTask { project, prompt, kind, overlap: 1, run: None, origin }).await
}

/// Stores the prompts with a demonstration task each; returns how many were new or came back.
pub async fn add(
    db: &impl ConnectionTrait,
    project: ProjectId,
    prompts: &[PromptBody],
) -> Result<usize, DbErr> {
    let mut n_new = 0;
    for prompt in prompts {
        let (id, is_new) = store(db, project, prompt).await?;
        ask_for_demonstration(db, project, id).await?;
        n_new += usize::from(is_new);
    }
    Ok(n_new)
}

/// A stored prompt, read back. Text that is not ours to parse is shown as it is.
pub fn parse(canonical_json: &str) -> PromptBody {
    serde_json::from_str(canonical_json)
        .unwrap_or_else(|_| PromptBody::Text(canonical_json.to_owned()))
}

/// The prompt as a conversation, whichever way it was given.
pub fn messages(prompt: PromptBody) -> Vec<ChatMessage> {
    match prompt {
        PromptBody::Text(text) => vec![ChatMessage::user(text)],
        PromptBody::Messages(messages) => messages,
    }
}

/// The last thing the user said, for lists.
pub fn headline(prompt: PromptBody) -> String {
    let messages = messages(prompt);
    let last =
        messages.iter().rev().find(|message| message.role == MessageRole::User).or(messages.last());
    last.map(|message| message.content.clone()).unwrap_or_default()
}

/// Prompts pasted into a form: one per paragraph, as a person writes them.
pub fn from_pasted_text(text: &str) -> Vec<PromptBody> {
    let text = text.replace("\r\n", "\n");
    let mut paragraphs: Vec<String> = vec![String::new()];
    for line in text.lines() {
        if line.trim().is_empty() {
            paragraphs.push(String::new());
        } else {
            let last = paragraphs.last_mut().expect("there is always one");
            if !last.is_empty() {
                last.push('\n');
            }
            last.push_str(line.trim_end());
        }
    }
    let texts =
        paragraphs.into_iter().map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
    texts.map(|text| PromptBody::Messages(vec![ChatMessage::user(text)])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_line_separates_pasted_prompts() {
        let prompts = from_pasted_text("First,\r\nin two lines.\r\n\r\n \r\nSecond.\r\n");
        let texts: Vec<String> = prompts.into_iter().map(headline).collect();
        assert_eq!(texts, ["First,\nin two lines.", "Second."]);
    }

    #[test]
    fn a_headline_is_what_the_user_said_last() {
        let prompt = PromptBody::Messages(vec![
            ChatMessage { role: MessageRole::System, content: "Be kind".into() },
            ChatMessage::user("Hello"),
            ChatMessage::assistant("Hi"),
        ]);
        assert_eq!(headline(prompt), "Hello");
    }
}
