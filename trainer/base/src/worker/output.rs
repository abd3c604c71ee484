//! A run's folder while it works, and what becomes of it.

use crate::{
    checkpoint_folder::{self, is_unfinished},
    errors::{WithMessage, cannot_make},
    settings::{RunOutput, run_command},
    weights::count_parameters,
};
use anyhow::ensure;
use entity::{ids::RunId, message, report::RunSummary, run};
use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};
use storage::artifact_store::{ArtifactStore, StoredFolder};

/// What a run made, kept in the artifact store.
#[derive(Clone, Debug)]
pub(super) struct KeptOutput {
    pub(super) stored: StoredFolder,
    /// 0 for a folder without weights.
    pub(super) n_parameters: i64,
}

const SUMMARY: &str = "summary.json";

/// Where one attempt at a run works: `<artifacts>/runs/<run>/<attempt>`.
#[derive(Clone, Debug)]
pub(super) struct AttemptFolder(PathBuf);

impl AttemptFolder {
    pub(super) fn config(&self) -> PathBuf {
        self.0.join("config.toml")
    }

    pub(super) fn metrics(&self) -> PathBuf {
        self.0.join("metrics.jsonl")
    }

    pub(super) fn output(&self) -> PathBuf {
        self.0.join("output")
    }

    /// What the child said at its end, if an earlier attempt saw that and was killed before its
    /// output was kept.
    pub(super) fn summary(&self, kind: run::RunKind) -> Option<RunSummary> {
        let text = fs::read(self.0.join(SUMMARY)).ok()?;
        let is_whole = is_complete(kind, &self.output()).unwrap_or(false);
        serde_json::from_slice(&text).ok().filter(|_| is_whole)
    }

    pub(super) fn keep_summary(&self, summary: &RunSummary) -> io::Result<()> {
        let (path, unfinished) = (self.0.join(SUMMARY), self.0.join("summary.partial"));
        fs::write(&unfinished, serde_json::to_vec(summary)?)?;
        File::open(&unfinished)?.sync_all()?;
        fs::rename(unfinished, path)
    }

    /// Whether a checkpoint is being written.
    pub(super) fn is_saving(&self) -> bool {
        let names = fs::read_dir(self.output()).into_iter().flatten().flatten();
        names.map(|entry| entry.file_name()).any(|name| is_unfinished(&name.to_string_lossy()))
    }
}

/// The folder of this attempt: the last attempt's folder is renamed to it, with its checkpoints. A
/// process of that attempt that still runs finds its folder gone, and cannot mix its checkpoints with
/// ours.
pub(super) fn attempt_folder(
    artifacts: &ArtifactStore,
    run: &run::Model,
) -> anyhow::Result<AttemptFolder> {
    let of_run = artifacts.run_folder(run.id);
    fs::create_dir_all(&of_run).with_message(|| cannot_make(&of_run))?;
    let ours = of_run.join(run.attempt.to_string());
    let earlier = (1..run.attempt).rev().map(|attempt| of_run.join(attempt.to_string()));
    for theirs in earlier {
        if fs::rename(&theirs, &ours).is_ok() {
            break;
        }
    }
    let folder = AttemptFolder(ours);
    fs::create_dir_all(folder.output()).with_message(|| cannot_make(&folder.output()))?;
    Ok(folder)
}

/// Leaves of a run's folder what it can be continued from, and no folder where there is nothing.
pub(super) fn keep_what_can_be_continued(
    artifacts: &ArtifactStore,
    run: &run::Model,
) -> io::Result<()> {
    if run_command(run.kind).output == RunOutput::Base && artifacts.has_fetched(run.id) {
        return Ok(());
    }
    keep_newest_checkpoint(artifacts, run.id)
}

fn keep_newest_checkpoint(artifacts: &ArtifactStore, run: RunId) -> io::Result<()> {
    let Some(newest) = artifacts.newest_checkpoint(run) else {
        return remove_folder(artifacts, run);
    };
    for folder in
        newest.folder.ancestors().take_while(|folder| *folder != artifacts.run_folder(run))
    {
        for entry in fs::read_dir(folder.parent().unwrap_or(folder))? {
            let path = entry?.path();
            if path == folder {
            } else if path.is_dir() {
                fs::remove_dir_all(path)?;
            } else {
                fs::remove_file(path)?;
            }
        }
    }
    Ok(())
}

/// Removes everything that a run that has ended left behind.
pub(super) fn remove_folder(artifacts: &ArtifactStore, run: RunId) -> io::Result<()> {
    match fs::remove_dir_all(artifacts.run_folder(run)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// Moves a finished output into the artifact store.
pub(super) async fn keep(
    artifacts: &ArtifactStore,
    run: &run::Model,
    folder: &AttemptFolder,
) -> anyhow::Result<KeptOutput> {
    let (artifacts, output, kind) = (artifacts.clone(), folder.output(), run.kind);
    tokio::task::spawn_blocking(move || {
        let unreadable =
            || message!("output-unreadable", "cannot read the weights that the run wrote");
        ensure!(
            is_complete(kind, &output).with_message(unreadable)?,
            message!(
                "output-incomplete",
                "the run ended well but left no complete output; this is a bug of the trainer"
            )
        );
        let n_parameters = count_parameters(&output).with_message(unreadable)? as i64;
        // The result is whole, and noted as such: what led to it is not part of it.
        checkpoint_folder::remove_all_in(&output)?;
        let stored = artifacts.adopt(&output).with_message(|| {
            message!("output-not-kept", "cannot keep the output in the artifact store")
        })?;
        Ok(KeptOutput { stored, n_parameters })
    })
    .await?
}

/// Whether a folder has what a run of this kind makes.
fn is_complete(kind: run::RunKind, output: &Path) -> io::Result<bool> {
    Ok(match run_command(kind).output {
        RunOutput::File(name) => output.join(name).is_file(),
        RunOutput::Model { .. } | RunOutput::Base => {
            count_parameters(output)? > 0 && output.join("config.json").is_file()
        }
    })
}
