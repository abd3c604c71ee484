//! Prompts of a project, the demonstration tasks that ask for their ideal answer, and prompts that
//! were withdrawn: nobody is given their tasks and no new dataset version holds them, until they
//! are brought back. What was said of them stays.

use crate::{
    data::texts::{self, HashedText},
    work::tasks::{self, NewTask},
};
use entity::{
    conversation::{ChatMessage, MessageRole, PromptBody},
    ids::{ProjectId, PromptId},
    prompt,
    task::TaskKind,
    text,
    time::UnixMillis,
};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, JoinType, QueryFilter, QuerySelect,
    RelationDef, Select,
    sea_query::{Expr, OnConflict, Query},
};
use std::collections::{BTreeSet, HashMap, HashSet};
use storage::database::row_chunks;

/// Every prompt of a project.
pub fn of_project(project: ProjectId) -> Select<prompt::Entity> {
    prompt::Entity::find().filter(prompt::Column::ProjectId.eq(project))
}

/// The prompts of these texts, which are stored and not erased, in a project: made unless it has them; those that
/// were withdrawn come back. True where one is new or came back, once for each.
pub async fn place(
    db: &impl ConnectionTrait,
    project: ProjectId,
    text_hashes: &[String],
) -> Result<Vec<(PromptId, bool)>, DbErr> {
    let now = UnixMillis::now();
    let distinct: BTreeSet<&String> = text_hashes.iter().collect(); // sorted, as texts are
    let mut fresh = HashSet::new();
    let rows = distinct.iter().map(|hash| {
        let id = PromptId::new();
        fresh.insert(id);
        prompt::ActiveModel {
            id: Set(id),
            project_id: Set(project),
            text_hash: Set((*hash).clone()),
            created_at: Set(now),
            withdrawn_at: Set(None),
        }
    });
    let columns = [prompt::Column::ProjectId, prompt::Column::TextHash];
    let known = OnConflict::columns(columns).do_nothing().to_owned();
    for chunk in row_chunks(rows) {
        let insert = prompt::Entity::insert_many(chunk).on_conflict(known.clone());
        insert.exec_without_returning(db).await?;
    }
    let mut found: HashMap<String, (PromptId, bool)> = HashMap::new();
    for chunk in distinct.into_iter().collect::<Vec<_>>().chunks(LOOKED_UP) {
        let stored = prompt::Entity::find()
            .filter(prompt::Column::ProjectId.eq(project))
            .filter(prompt::Column::TextHash.is_in(chunk.iter().copied()));
        for row in stored.all(db).await? {
            let came_back = row.withdrawn_at.is_some() && restore(db, row.id).await?;
            found.insert(row.text_hash, (row.id, came_back || fresh.contains(&row.id)));
        }
    }
    let missing = || DbErr::RecordNotFound("a prompt that was just stored".to_owned());
    text_hashes
        .iter()
        .map(|hash| {
            let (id, is_new) = found.get_mut(hash).ok_or_else(missing)?;
            Ok((*id, std::mem::take(is_new)))
        })
        .collect()
}

/// How many texts a statement asks for.
const LOOKED_UP: usize = 500;

/// A prompt's canonical JSON: none within when it was removed, none at all when there is no such
/// prompt.
pub async fn text(
    db: &impl ConnectionTrait,
    prompt: PromptId,
) -> Result<Option<Option<String>>, DbErr> {
    let found = prompt::Entity::find_by_id(prompt)
        .join(JoinType::LeftJoin, with_text())
        .select_also(text::Entity)
        .one(db)
        .await?;
    Ok(found.map(|(_, text)| text.and_then(|text| text.body)))
}

/// From a prompt to its text.
pub fn with_text() -> RelationDef {
    prompt::Entity::belongs_to(text::Entity)
        .from(prompt::Column::TextHash)
        .to(text::Column::Hash)
        .into()
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

/// Brings a withdrawn prompt back; false when it was at work, or when its text was erased.
pub async fn restore(db: &impl ConnectionTrait, prompt: PromptId) -> Result<bool, DbErr> {
    let still_there = Query::select()
        .column(text::Column::Hash)
        .from(text::Entity)
        .and_where(text::Column::Body.is_not_null())
        .to_owned();
    let restored = prompt::Entity::update_many()
        .col_expr(prompt::Column::WithdrawnAt, Expr::value(None::<UnixMillis>))
        .filter(prompt::Column::Id.eq(prompt))
        .filter(prompt::Column::WithdrawnAt.is_not_null())
        .filter(prompt::Column::TextHash.in_subquery(still_there))
        .exec(db)
        .await?;
    Ok(restored.rows_affected == 1)
}

/// Asks one person each for the ideal answer to prompts. Asking twice is asking once.
pub async fn ask_for_demonstrations(
    db: &impl ConnectionTrait,
    project: ProjectId,
    prompts: impl Iterator<Item = PromptId>,
) -> Result<(), DbErr> {
    let ask = |prompt| {
        let (kind, origin) = (TaskKind::Demonstrate, format!("prompt:{prompt}"));
        NewTask { project, prompt, kind, overlap: 1, run: None, origin }
    };
    tasks::ask(db, prompts.map(ask).collect()).await
}

/// Stores the prompts with a demonstration task each, but for those that were erased; returns how
/// many were new or came back.
pub async fn add(
    db: &impl ConnectionTrait,
    project: ProjectId,
    prompts: &[PromptBody],
) -> Result<usize, DbErr> {
    let stored: Vec<HashedText> =
        prompts.iter().map(|prompt| HashedText::new(prompt.to_canonical_json())).collect();
    let mut hashes: Vec<String> = stored.iter().map(HashedText::hash).collect();
    let erased = texts::store_all(db, stored).await?;
    hashes.retain(|hash| !erased.contains(hash));
    let placed = place(db, project, &hashes).await?;
    ask_for_demonstrations(db, project, placed.iter().map(|(prompt, _)| *prompt)).await?;
    Ok(placed.into_iter().filter(|(_, is_new)| *is_new).count())
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

/// A prompt in a list, from the beginning of its JSON: what was said last, or of a long one how it
/// begins, and whether it is plain text.
pub fn in_a_list(json_beginning: &str) -> (String, bool) {
    if let Ok(prompt) = serde_json::from_str::<PromptBody>(json_beginning) {
        let is_plain = matches!(prompt, PromptBody::Text(_));
        return (texts::beginning(&headline(prompt)), is_plain);
    }
    let content = json_beginning.split_once("\"content\":\"").map(|(_, content)| content);
    let plain = json_beginning.strip_prefix('"');
    let cut = plain.or(content).unwrap_or(json_beginning);
    // Where the cut went through an escape, that goes.
    let unescaped = |n: usize| {
        let kept = cut.get(..cut.len().checked_sub(n)?)?;
        serde_json::from_str::<String>(&format!("\"{kept}\"")).ok()
    };
    let text = (0..12).find_map(unescaped).unwrap_or_else(|| cut.to_owned());
    (texts::beginning(&text), plain.is_some())
}

/// Prompts pasted into a form: one per paragraph, as a person writes them.
pub fn from_pasted_text(text: &str) -> Vec<PromptBody> {
    let text = text.replace("\r\n", "\n");
    let mut paragraphs: Vec<String> = vec![String::new()];
    for line in text.lines() {
        if texts::is_blank(line) {
            paragraphs.push(String::new());
        } else {
            let last = paragraphs.last_mut().expect("there is always one");
            if !last.is_empty() {
                last.push('\n');
            }
            last.push_str(line.trim_end());
        }
    }
    let texts = paragraphs
        .into_iter()
        .map(|text| text.trim().to_owned())
        .filter(|text| !texts::is_blank(text));
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
    fn a_long_prompt_is_in_a_list_by_its_beginning() {
        for (text, shown) in
            [("a\n\u{1F98A}".repeat(9000), "a\n\u{1F98A}"), ("é\u{1}".repeat(9000), "é\u{1}")]
        {
            for prompt in [
                PromptBody::Text(text.clone()),
                PromptBody::Messages(vec![ChatMessage::user(text.clone())]),
            ] {
                let json = prompt.to_canonical_json();
                for n in 8180..8192 {
                    let cut: String = json.chars().take(n).collect();
                    let (listed, is_plain) = in_a_list(&cut);
                    assert!(listed.starts_with(shown) && listed.ends_with('…'), "{listed}");
                    assert_eq!(is_plain, matches!(prompt, PromptBody::Text(_)));
                }
            }
        }
        assert_eq!(in_a_list("\"short\""), ("short".to_owned(), true));
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
