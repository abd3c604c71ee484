//! What the first start makes: the account `admin` and a demo project to try everything in.

use crate::{
    data::prompts,
    people::{account_changes, accounts, accounts::NewAccount, projects},
};
use entity::{account, conversation::PromptBody};
use sea_orm::{DatabaseConnection, EntityTrait, PaginatorTrait, QuerySelect};
use serde::Deserialize;
use storage::database::begin_alone;

const PROMPTS: &str = include_str!("../../demo/prompts.jsonl");

/// The demo project's name.
pub const DEMO_PROJECT: &str = "Demo";

/// Makes them if there is no account at all; returns the one-time password of `admin`. Where that one
/// lapsed before anybody signed in with it, a new one.
pub async fn prepare(db: &DatabaseConnection) -> anyhow::Result<Option<String>> {
    match &account::Entity::find().limit(2).all(db).await?[..] {
        [] => {}
        [alone] if alone.is_admin && accounts::has_lapsed(alone) => {
            let password = accounts::one_time_password();
            account_changes::reset_from_shell(db, &alone.login, &password).await?;
            return Ok(Some(password));
        }
        _ => return Ok(None),
    }
    let password = accounts::one_time_password();
    let password_hash = accounts::hash_password(password.clone()).await?;
    let turn = begin_alone(db).await?;
    if account::Entity::find().count(&turn).await? > 0 {
        return Ok(None); // another process was first
    }
    let admin = NewAccount {
        login: "admin".to_owned(),
        // Its login: no word of one language.
        display_name: "admin".to_owned(),
        password_hash,
        is_admin: true,
        password_is_one_time: true,
    };
    accounts::create_account(&turn, admin).await?;
    let project = projects::create(&turn, DEMO_PROJECT, projects::FIRST_GUIDELINES).await?;
    prompts::add(&turn, project.id, &demo_prompts()?).await?;
    turn.commit().await?;
    Ok(Some(password))
}

#[derive(Deserialize)]
struct Row {
    prompt: PromptBody,
}

fn demo_prompts() -> serde_json::Result<Vec<PromptBody>> {
    PROMPTS.lines().map(|line| Ok(serde_json::from_str::<Row>(line)?.prompt)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_demo_prompts_are_two_dozen_in_two_languages() {
        let prompts = demo_prompts().unwrap();
        assert_eq!(prompts.len(), 24);
        let n_russian =
            prompts.into_iter().map(prompts::headline).filter(|text| text.contains('о')).count();
        assert_eq!(n_russian, 12);
    }
}
