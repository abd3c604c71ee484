//! From a run's row to the command line that does it.

use super::output::AttemptFolder;
use crate::errors::{WithMessage, cannot_write};
use anyhow::ensure;
use entity::{
    dataset_version,
    ids::ModelId,
    message,
    message::KeyedMessage,
    model, run,
    run_config::{
        DpoConfig, FetchConfig, PpoConfig, RewardConfig, RunConfig, SampleConfig, SftConfig,
    },
    run_input::{self, InputSlot},
};
use sea_orm::{ColumnTrait, DatabaseConnection, EntityTrait, QueryFilter};
use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
};
use storage::artifact_store::ArtifactStore;

/// What a run reads, as folders and files of the artifact store; a run that fetches reads nothing.
#[derive(Clone, Debug, Default)]
pub(super) struct Inputs {
    model: Option<PathBuf>,
    /// The model in slot `Model`, which the new one descends from.
    pub(super) parent: Option<ModelId>,
    reward: Option<PathBuf>,
    train: Option<PathBuf>,
    /// Held-out rows, if there are any.
    eval: Option<PathBuf>,
}

impl Inputs {
    pub(super) async fn load(
        db: &DatabaseConnection,
        artifacts: &ArtifactStore,
        run: &run::Model,
    ) -> anyhow::Result<Self> {
        if run.kind == run::RunKind::Fetch {
            return Ok(Self::default());
        }
        let slots = run_input::Entity::find()
            .filter(run_input::Column::RunId.eq(run.id))
            .all(db)
            .await
            .with_message(|| message!("input-unreadable", "cannot read the run's inputs"))?;
        let model_in =
            |slot| slots.iter().find(|input| input.slot == slot).and_then(|input| input.model_id);
        let parent = model_in(InputSlot::Model)
            .with_message(|| message!("input-no-model", "the run names no model"))?;
        let reward = match model_in(InputSlot::Reward) {
            Some(id) => Some(model_folder(db, artifacts, id).await?),
            None => None,
        };
        let version = slots.iter().find_map(|input| input.dataset_version_id);
        let version =
            dataset_version::Entity::find_by_id(version.with_message(|| {
                message!("input-no-dataset", "the run names no dataset version")
            })?)
            .one(db)
            .await?
            .with_message(|| {
                message!(
                    "input-dataset-missing",
                    "the run's dataset version is not in the database"
                )
            })?;
        let dataset =
            stored(artifacts, &version.hash, message!("input-dataset", "the dataset version"))
                .await?;
        Ok(Self {
            model: Some(model_folder(db, artifacts, parent).await?),
            parent: Some(parent),
            reward,
            train: Some(dataset.join("train.jsonl")),
            eval: Some(dataset.join("eval.jsonl")).filter(|file| has_rows(file)),
        })
    }
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
    inputs: &Inputs,
    folder: &AttemptFolder,
) -> anyhow::Result<Vec<OsString>> {
    let (model, reward, train) = (&inputs.model, &inputs.reward, &inputs.train);
    let (verb, files) = match run.kind {
        run::RunKind::Sample => ("sample", vec![("--model", model), ("--prompts", train)]),
        run::RunKind::Sft => ("sft", vec![("--model", model), ("--data", train)]),
        run::RunKind::Reward => ("reward", vec![("--model", model), ("--data", train)]),
        run::RunKind::Dpo => ("dpo", vec![("--model", model), ("--data", train)]),
        run::RunKind::Ppo => {
            ("ppo", vec![("--policy", model), ("--reward", reward), ("--prompts", train)])
        }
        run::RunKind::Fetch => return fetch_arguments(run, folder),
    };
    let config = folder.config();
    fs::write(&config, config_text(run)?).with_message(|| cannot_write(&config))?;
    let mut arguments: Vec<OsString> = vec![verb.into()];
    let mut give = |flag: &str, value: OsString| arguments.extend([flag.into(), value]);
    for (flag, path) in files {
        let path = path.clone().with_message(|| {
            message!("input-nothing-for", "the run names nothing for {flag}", flag = flag)
        })?;
        give(flag, path.into());
    }
    if let (run::RunKind::Sft | run::RunKind::Reward | run::RunKind::Dpo, Some(eval)) =
        (run.kind, &inputs.eval)
    {
        give("--eval-data", eval.into());
    }
    if run.kind == run::RunKind::Sample {
        give("--out", folder.output().join("completions.jsonl").into());
    } else {
        give("--out", folder.output().into());
        give("--metrics", folder.metrics().into());
        give("--resume", "held".into());
    }
    give("--config", config.into());
    give("--report", "json".into());
    arguments.push("--exit-with-stdin".into());
    Ok(arguments)
}

/// A fetch reads what its settings name, and goes on from what has arrived by itself.
fn fetch_arguments(run: &run::Model, folder: &AttemptFolder) -> anyhow::Result<Vec<OsString>> {
    let config: FetchConfig = checked(&run.config)?;
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
fn config_text(run: &run::Model) -> anyhow::Result<String> {
    match run.kind {
        run::RunKind::Sample => toml_of::<SampleConfig>(&run.config),
        run::RunKind::Sft => toml_of::<SftConfig>(&run.config),
        run::RunKind::Reward => toml_of::<RewardConfig>(&run.config),
        run::RunKind::Dpo => toml_of::<DpoConfig>(&run.config),
        run::RunKind::Ppo => toml_of::<PpoConfig>(&run.config),
        run::RunKind::Fetch => toml_of::<FetchConfig>(&run.config),
    }
}

fn toml_of<C: RunConfig>(config: &serde_json::Value) -> anyhow::Result<String> {
    Ok(toml::to_string(&checked::<C>(config)?)?)
}

fn checked<C: RunConfig>(config: &serde_json::Value) -> anyhow::Result<C> {
    let settings = config
        .as_object()
        .with_message(|| message!("settings-no-object", "the run's settings are not an object"))?;
    Ok(C::default().with_overrides(settings)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn settings_reach_the_child_as_toml_with_every_key() {
        let text =
            toml_of::<PpoConfig>(&json!({"kl_coef": 0.1, "batch_size": 4, "kl_estimator": "k3"}))
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
        let error = toml_of::<SftConfig>(&json!({"batchsize": 4})).unwrap_err();
        assert!(error.to_string().contains("batchsize"), "{error}");
    }
}
