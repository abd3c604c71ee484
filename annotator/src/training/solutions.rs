//! Whether the prompts of a version have solutions, which answers can be held against.

use super::{inputs::ChosenRows, settings::FormMistake};
use crate::web::error::AppError;
use anyhow::Context;
use entity::{dataset_version, run_config::RewardRules};
use sea_orm::{ConnectionTrait, EntityTrait};
use serde_json::Value;
use std::{
    fs::File,
    io::{BufRead, BufReader},
    path::Path,
};
use storage::artifact_store::ArtifactStore;

const FIELD: &str = "rule_exact_match";

/// What is wrong where these settings ask for it: the rows have none.
pub async fn mistake(
    db: &impl ConnectionTrait,
    store: &ArtifactStore,
    config: &Value,
    rows: Option<&ChosenRows>,
) -> Result<Option<FormMistake>, AppError> {
    let rules = serde_json::from_value::<RewardRules>(config.clone());
    let is_asked = rules.is_ok_and(|rules| rules.rule_exact_match);
    let Some(rows) = rows.filter(|_| is_asked) else { return Ok(None) };
    let hash = match rows {
        ChosenRows::Frozen(frozen) => Some(frozen.hash().to_owned()),
        ChosenRows::Version(id) => {
            let version = dataset_version::Entity::find_by_id(*id).one(db).await?;
            version.map(|version| version.hash)
        }
    };
    let Some(file) = hash.map(|hash| store.path(&hash).join("train.jsonl")) else {
        return Ok(None);
    };
    let read = move || begins_with_solution(&file).unwrap_or(false);
    let known = tokio::task::spawn_blocking(read).await.context("reading a dataset version")?;
    Ok((!known).then_some((FIELD, "problem-no-solutions")))
}

/// Rows of a version are all of one form.
fn begins_with_solution(file: &Path) -> std::io::Result<bool> {
    let mut line = String::new();
    BufReader::new(File::open(file)?).read_line(&mut line)?;
    let row = serde_json::from_str::<Value>(&line);
    Ok(row.is_ok_and(|row| row.get("solution").is_some_and(|solution| !solution.is_null())))
}
