//! From a run's row to the command line that does it.

use super::output::AttemptFolder;
use crate::{
    errors::{WithMessage, cannot_write},
    settings::{RunOutput, run_command},
};
use anyhow::{anyhow, ensure};
use entity::{
    artifact, dataset_version,
    ids::{DatasetVersionId, ModelId},
    message,
    message::KeyedMessage,
    model, run,
    run_config::{FetchConfig, RunKind},
    run_input::{self, InputSlot},
};
use sea_orm::{ColumnTrait, DatabaseConnection, EntityTrait, QueryFilter, QueryOrder};
use serde_json::{Map, Value};
use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
};
use storage::artifact_store::ArtifactStore;

/// What a run reads, as folders and files of the artifact store; a run that fetches reads nothing.
#[derive(Clone, Debug, Default)]
pub(super) struct RunInputs {
    /// In the order of slots and places.
    models: Vec<(InputSlot, PathBuf)>,
    /// The model in slot `Model`, which the new one descends from.
    pub(super) parent: Option<ModelId>,
    train: Option<PathBuf>,
    /// Held-out rows, if there are any.
    eval: Option<PathBuf>,
}

impl RunInputs {
    pub(super) async fn load(
        db: &DatabaseConnection,
        artifacts: &ArtifactStore,
        run: &run::Model,
    ) -> anyhow::Result<Self> {
        let rows = run_input::Entity::find()
            .filter(run_input::Column::RunId.eq(run.id))
            .order_by_asc(run_input::Column::Place)
            .all(db)
            .await
            .with_message(|| message!("input-unreadable", "cannot read the run's inputs"))?;
        let command = run_command(run.kind);
        let mut inputs = Self::default();
        for (slot, _) in command.models {
            let of_slot = rows.iter().filter(|input| input.slot == *slot);
            for id in of_slot.filter_map(|input| input.model_id) {
                inputs.models.push((*slot, model_folder(db, artifacts, id).await?));
                if *slot == InputSlot::Model && inputs.parent.is_none() {
                    inputs.parent = Some(id);
                }
            }
        }
        if !command.models.is_empty() {
            inputs.parent.with_message(|| message!("input-no-model", "the run names no model"))?;
        }
        if command.rows.is_some() {
            let version = rows.iter().find_map(|input| input.dataset_version_id);
            let dataset = dataset_folder(db, artifacts, version).await?;
            inputs.train = Some(dataset.join("train.jsonl"));
            inputs.eval = Some(dataset.join("eval.jsonl")).filter(|file| has_rows(file));
        }
        Ok(inputs)
    }
}

async fn dataset_folder(
    db: &DatabaseConnection,
    artifacts: &ArtifactStore,
    version: Option<DatasetVersionId>,
) -> anyhow::Result<PathBuf> {
    let id = version.with_message(no_dataset)?;
    let version = dataset_version::Entity::find_by_id(id).one(db).await?.with_message(|| {
        message!("input-dataset-missing", "the run's dataset version is not in the database")
    })?;
    let content = artifact::Entity::find_by_id(&version.hash).one(db).await?;
    ensure!(
        content.is_none_or(|content| content.erased_at.is_none()),
        message!(
            "input-dataset-erased",
            "texts of the dataset version were removed for good, and its files with them: launch a new run, which freezes a new version"
        )
    );
    stored(artifacts, &version.hash, message!("input-dataset", "the dataset version")).await
}

fn no_dataset() -> KeyedMessage {
    message!("input-no-dataset", "the run names no dataset version")
}

async fn model_folder(
    db: &DatabaseConnection,
    artifacts: &ArtifactStore,
    id: ModelId,
) -> anyhow::Result<PathBuf> {
    let model = model::Entity::find_by_id(id).one(db).await?.with_message(|| {
        message!("input-model-missing", "a model of the run is not in the database")
    })?;
    ensure!(
        model.deleted_at.is_none(),
        message!(
            "input-model-deleted",
            "the model {name} was deleted: launch the run again with another",
            name = model.name.as_str()
        )
    );
    let what = message!("input-model", "the model {name}", name = model.name.as_str());
    stored(artifacts, &model.artifact_hash, what).await
}

/// Where it is, after a look whether it still is what was stored.
async fn stored(
    artifacts: &ArtifactStore,
    hash: &str,
    what: KeyedMessage,
) -> anyhow::Result<PathBuf> {
    let (store, hash) = (artifacts.clone(), hash.to_owned());
    let opened = tokio::task::spawn_blocking(move || store.open_whole(&hash)).await?;
    opened.map_err(|problem| problem.of(what).into())
}

fn has_rows(file: &Path) -> bool {
    fs::metadata(file).is_ok_and(|metadata| metadata.len() > 0)
}

/// The arguments of the child, whose settings go through a file. Writes that file.
pub(super) fn arguments(
    run: &run::Model,
    inputs: &RunInputs,
    folder: &AttemptFolder,
) -> anyhow::Result<Vec<OsString>> {
    let command = run_command(run.kind);
    if command.output == RunOutput::Base {
        return fetch_arguments(run, folder);
    }
    let config = folder.config();
    fs::write(&config, config_text(run.kind, &run.config)?)
        .with_message(|| cannot_write(&config))?;
    let mut arguments: Vec<OsString> = vec![command.verb.into()];
    let mut give = |flag: &str, value: &Path| arguments.extend([flag.into(), value.into()]);
    for (slot, flag) in command.models {
        // Without what it needs the command says so itself.
        let models = inputs.models.iter().filter(|(of, _)| of == slot);
        models.for_each(|(_, folder)| give(flag, folder));
    }
    if let Some(flag) = command.rows {
        give(flag, inputs.train.as_deref().with_message(no_dataset)?);
    }
    if let (Some(flag), Some(eval)) = (command.held_out_rows, &inputs.eval) {
        give(flag, eval);
    }
    match command.output {
        RunOutput::File(name) => give("--out", &folder.output().join(name)),
        RunOutput::Model { .. } | RunOutput::Base => {
            give("--out", &folder.output());
            give("--metrics", &folder.metrics());
            give("--resume", Path::new("held"));
        }
    }
    give("--config", &config);
    give("--report", Path::new("json"));
    arguments.push("--exit-with-stdin".into());
    let has_adapters = |config: &Value| config["lora_rank"].as_u64().is_some_and(|rank| rank > 0);
    if matches!(command.output, RunOutput::Model { .. }) && has_adapters(&run.config) {
        // The store holds whole models, each readable by itself.
        arguments.push("--merge".into());
    }
    Ok(arguments)
}

/// A fetch reads what its settings name, and goes on from what has arrived by itself.
fn fetch_arguments(run: &run::Model, folder: &AttemptFolder) -> anyhow::Result<Vec<OsString>> {
    let config: FetchConfig =
        serde_json::from_value(Value::Object(checked(run.kind, &run.config)?))?;
    // An earlier worker died before it could note that this is whole; it is fetched anew.
    fs::remove_dir_all(folder.output()).with_message(|| {
        message!("worker-cannot-tidy", "cannot put away what an earlier attempt left")
    })?;
    let mut arguments: Vec<OsString> = vec!["fetch".into(), "--out".into()];
    arguments.push(folder.output().into());
    arguments.push(format!("--revision={}", config.revision).into());
    let rest = ["--report", "json", "--exit-with-stdin", "--", &config.source];
    arguments.extend(rest.map(OsString::from));
    Ok(arguments)
}

/// The run's settings as TOML; they are checked here once more, because a row may be older than
/// this program.
fn config_text(kind: RunKind, config: &Value) -> anyhow::Result<String> {
    Ok(toml::to_string(&checked(kind, config)?)?)
}

fn checked(kind: RunKind, config: &Value) -> anyhow::Result<Map<String, Value>> {
    let settings = config
        .as_object()
        .with_message(|| message!("settings-no-object", "the run's settings are not an object"))?;
    kind.settings().checked(settings).map_err(|errors| {
        let sentences: Vec<_> = errors.iter().map(ToString::to_string).collect();
        anyhow!("{}", sentences.join("; "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use entity::run_config::PpoConfig;
    use serde_json::json;

    #[test]
    fn settings_reach_the_child_as_toml_with_every_key() {
        let text = config_text(
            RunKind::Ppo,
            &json!({"kl_coef": 0.1, "batch_size": 4, "kl_estimator": "k3"}),
        )
        .unwrap();
        let read: toml::Table = text.parse().unwrap();
        assert_eq!(read["kl_coef"].as_float(), Some(0.1));
        assert_eq!(read["batch_size"].as_integer(), Some(4));
        assert_eq!(read["kl_estimator"].as_str(), Some("k3"));
        let back: PpoConfig = toml::from_str(&text).unwrap();
        assert_eq!((back.kl_coef, back.optimisation.batch_size), (0.1, 4));
    }

    #[test]
    fn a_setting_that_this_program_does_not_know_is_refused_by_name() {
        let error = config_text(RunKind::Sft, &json!({"batchsize": 4})).unwrap_err();
        assert!(error.to_string().contains("batchsize"), "{error}");
    }
}
