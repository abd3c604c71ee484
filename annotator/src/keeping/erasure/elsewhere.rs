//! The words of a text that is to be erased, where they stand besides: what is looked for, and what
//! whoever erases is told beforehand.
//!
//! Of a prompt its messages are looked for one by one. A system message that another prompt has too is
//! not this one's own, and stays wherever it stands.

use crate::{
    data::prompts,
    keeping::erasure::{
        fields::FieldWords,
        scrub::{self, ErasedWords},
    },
};
use entity::{
    conversation::{ChatMessage, MessageRole},
    project, prompt, text,
};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbBackend, DbErr, EntityTrait, QueryFilter, QueryOrder,
    QuerySelect, sea_query::Expr,
};
use serde_json::json;
use std::sync::Arc;
use tokio::task::spawn_blocking;

/// Where the words of a text stand besides.
pub struct WordsElsewhere {
    /// Projects in whose guidelines they stand.
    pub guidelines: Vec<project::Model>,
    /// Whether it is a prompt whose system message other prompts have, too.
    pub shares_system: bool,
}

impl WordsElsewhere {
    /// `guidelines` are those of every project: [`guidelines`], read once for many texts.
    pub async fn of(
        db: &impl ConnectionTrait,
        text: &text::Model,
        guidelines: &Arc<Vec<project::Model>>,
    ) -> anyhow::Result<Self> {
        let Some(body) = &text.body else {
            return Ok(Self { guidelines: Vec::new(), shares_system: false });
        };
        let own = OwnWords::of(db, &text.hash, body).await?;
        let (words, shares_system) = (own.words, own.shares_system);
        let all = guidelines.clone();
        let looking = move || {
            let words = ErasedWords::new(words);
            let sentences = |_: &[&str]| Some(FieldWords::Sentences);
            let holds = |project: &&project::Model| words.stand_in(&project.guidelines, sentences);
            all.iter().filter(holds).cloned().collect()
        };
        // Beside the threads that serve: guidelines and texts may be long.
        Ok(Self { guidelines: spawn_blocking(looking).await?, shares_system })
    }
}

/// Every project with its guidelines, by their names.
pub async fn guidelines(db: &impl ConnectionTrait) -> Result<Arc<Vec<project::Model>>, DbErr> {
    let all = project::Entity::find().order_by_asc(project::Column::Name).all(db).await?;
    Ok(Arc::new(all))
}

/// What goes with a text wherever it stands.
pub(super) struct OwnWords {
    pub(super) words: Vec<String>,
    shares_system: bool,
}

impl OwnWords {
    pub(super) async fn of(
        db: &impl ConnectionTrait,
        hash: &str,
        body: &str,
    ) -> Result<Self, DbErr> {
        let mut own = Self { words: vec![body.to_owned()], shares_system: false };
        let prompt = prompt::Entity::find().filter(prompt::Column::TextHash.eq(hash));
        if prompt.one(db).await?.is_none() {
            return Ok(own);
        }
        let messages = messages(body);
        let is_one = messages.len() == 1;
        for message in messages {
            // The "Yes" of a conversation is everybody's.
            if !is_one && !scrub::are_long(&message.content) {
                continue;
            }
            if message.role == MessageRole::System && is_shared(db, hash, &message.content).await? {
                own.shares_system = true;
            } else {
                own.words.push(message.content);
            }
        }
        Ok(own)
    }
}

/// A prompt is kept as JSON, and its messages are quoted one by one.
pub(super) fn messages(body: &str) -> Vec<ChatMessage> {
    prompts::messages(prompts::parse(body))
}

/// Whether another prompt that stays begins with the same system message.
async fn is_shared(db: &impl ConnectionTrait, hash: &str, system: &str) -> Result<bool, DbErr> {
    // As the JSON of a prompt has it.
    let message = format!(r#"{{"role":"system","content":{}}}"#, json!(system));
    let has_it = match db.get_database_backend() {
        DbBackend::Postgres => Expr::cust_with_values("position($1 in body) > 0", [message]),
        _ => Expr::cust_with_values("instr(body, ?) > 0", [message]),
    };
    let other = text::Entity::find()
        .select_only()
        .column(text::Column::Hash)
        .filter(text::Column::Hash.ne(hash))
        .filter(has_it)
        .into_tuple::<String>()
        .one(db)
        .await?;
    Ok(other.is_some())
}
