//! Folders of runs that nobody will continue: those that succeeded (a worker died before it could
//! tidy up), those that were cancelled or failed long ago, and those that no row knows.

use super::{Worker, output};
use entity::{
    ids::RunId,
    run::{self, RunStatus},
    time::UnixMillis,
};
use sea_orm::EntityTrait;
use std::{
    fs,
    time::{Duration, Instant},
};

const EVERY: Duration = Duration::from_secs(600);

/// Removes such folders, at most every ten minutes; `last` is when it did so last.
pub(super) async fn now_and_then(worker: &Worker, last: &mut Option<Instant>) {
    if last.is_some_and(|last| last.elapsed() < EVERY) {
        return;
    }
    *last = Some(Instant::now());
    if let Err(error) = prune(worker).await {
        tracing::warn!("cannot remove old checkpoints: {error:#}");
    }
}

async fn prune(worker: &Worker) -> anyhow::Result<()> {
    for entry in fs::read_dir(worker.artifacts.runs_folder()).into_iter().flatten() {
        let Some(id) = entry?.file_name().to_str().and_then(|name| name.parse::<RunId>().ok())
        else {
            continue;
        };
        let run = run::Entity::find_by_id(id).one(&worker.db).await?;
        if run.is_none_or(|run| is_of_no_use(&run, worker.keep_checkpoints)) {
            output::remove_folder(&worker.artifacts, id)?;
            tracing::info!(run = %id, "removed its old checkpoints");
        }
    }
    Ok(())
}

fn is_of_no_use(run: &run::Model, kept: Duration) -> bool {
    let is_old = run.finished_at.is_some_and(|at| at.plus(kept) < UnixMillis::now());
    match run.status {
        RunStatus::Succeeded => true,
        RunStatus::Failed | RunStatus::Cancelled => is_old,
        RunStatus::Queued | RunStatus::Claimed | RunStatus::Running | RunStatus::Interrupted => {
            false
        }
    }
}
