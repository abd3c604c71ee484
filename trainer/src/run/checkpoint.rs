//! `checkpoint-N` folders inside a run's output folder.
//!
//! **Invariant:** a folder named `checkpoint-N` is complete: it is written under another name, synced
//! to disk, then renamed. **Invariant:** it says which run it belongs to, and no other run goes on
//! from it.

use super::identity::RunIdentity;
use crate::model::weights::has_weights;
use anyhow::{Result, bail, ensure};
use entity::{message, message::KeyedMessage, report::LogLevel};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;
use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};
use trainer_base::errors::{
    WithMessage, cannot_make, cannot_read, cannot_write, is_damaged, message_of,
};
use trainer_base::{
    checkpoint_folder,
    job::Report,
    progress::say,
    settings::{ResumeMode, StartFlags},
};

const STATE: &str = "attune_state.json";
const KEPT: usize = 2;

/// The longest time without a checkpoint, and so the most work that a kill can cost.
const MOST_LOST: Duration = Duration::from_secs(300);

/// Writing checkpoints takes at most a twentieth of the run's time: where it is slow it is done less
/// often.
const WRITING_SHARE: u32 = 20;

/// When a checkpoint is due: every so many steps, and after a while without one.
#[derive(Debug)]
pub(crate) struct CheckpointSchedule {
    /// 0 writes none.
    every: u64,
    since: Instant,
    patience: Duration,
}

impl CheckpointSchedule {
    pub(crate) fn new(every: usize) -> Self {
        Self { every: every as u64, since: Instant::now(), patience: MOST_LOST }
    }

    pub(crate) fn is_wanted(&self) -> bool {
        self.every > 0
    }

    pub(crate) fn is_due(&self, step: u64) -> bool {
        self.is_due_at(step, Instant::now())
    }

    fn is_due_at(&self, step: u64, now: Instant) -> bool {
        let is_late = now.saturating_duration_since(self.since) >= self.patience;
        self.is_wanted() && (step.is_multiple_of(self.every) || is_late)
    }

    /// Tells of a checkpoint whose writing began at `began`.
    pub(crate) fn written(&mut self, began: Instant) {
        self.since = Instant::now();
        self.patience = MOST_LOST.max(began.elapsed() * WRITING_SHARE);
    }
}

/// The checkpoints of one run.
#[derive(Debug)]
pub(crate) struct RunCheckpoints {
    out: PathBuf,
    identity: RunIdentity,
    /// Whoever started the run removes the checkpoints.
    held: bool,
}

#[derive(Serialize, Deserialize)]
struct SavedCheckpoint<S> {
    identity: Value,
    step: u64,
    state: S,
}

/// Where a run goes on.
#[derive(Debug, PartialEq)]
pub(crate) struct FoundCheckpoint<S> {
    pub folder: PathBuf,
    /// Steps done.
    pub step: u64,
    pub state: S,
}

impl RunCheckpoints {
    /// Looks into the output folder `out`, which is made if it is missing, and goes on from the newest
    /// checkpoint that `restore` can take models and optimisers out of. Damaged ones that are newer
    /// are removed, which is told.
    pub(crate) fn open<S: DeserializeOwned>(
        out: &Path,
        identity: RunIdentity,
        start: StartFlags,
        report: &mut Report,
        mut restore: impl FnMut(&FoundCheckpoint<S>) -> Result<()>,
    ) -> Result<(Self, Option<FoundCheckpoint<S>>)> {
        prepare(out)?;
        let held = start.resume == ResumeMode::Held;
        let checkpoints = Self { out: out.to_path_buf(), identity, held };
        if start.resume == ResumeMode::Never && !checkpoints.list()?.is_empty() {
            ensure!(
                start.overwrite,
                message!(
                    "checkpoint-unfinished",
                    "{folder} holds a checkpoint of an unfinished run; go on with --resume auto, or replace it with --overwrite",
                    folder = out.display()
                )
            );
            checkpoint_folder::remove_all_in(out)?;
        }
        let mut damaged = Vec::new();
        for (_, folder) in checkpoints.list()?.into_iter().rev() {
            let opened = checkpoints.read(&folder)?.and_then(|found| {
                restore(&found)?;
                Ok(found)
            });
            match opened {
                Ok(found) => {
                    give_up_damaged(&damaged, found.step, report)?;
                    return Ok((checkpoints, Some(found)));
                }
                Err(error) => damaged.push((folder, error)),
            }
        }
        if let Some((_, error)) = damaged.into_iter().next() {
            return Err(error).with_message(|| {
                message!(
                    "checkpoints-damaged",
                    "no checkpoint in {folder} can be gone on from; start anew with --resume never --overwrite",
                    folder = out.display()
                )
            });
        }
        if !(held || start.overwrite) {
            refuse_finished(out)?;
        }
        Ok((checkpoints, None))
    }

    /// What a checkpoint holds, or how it is damaged; one of another run is an error.
    fn read<S: DeserializeOwned>(&self, folder: &Path) -> Result<Result<FoundCheckpoint<S>>> {
        let file = folder.join(STATE);
        let read = || -> Result<SavedCheckpoint<Value>> {
            let text = fs::read(&file).with_message(|| cannot_read(&file))?;
            serde_json::from_slice(&text).with_message(|| is_damaged(&file))
        };
        let saved = match read() {
            Ok(saved) => saved,
            Err(error) => return Ok(Err(error)),
        };
        let theirs = self.identity.completed(saved.identity);
        if let Some(difference) = first_difference(&theirs, self.identity.value()) {
            bail!(message!(
                "checkpoint-other-run",
                "{folder} is a checkpoint of another run: {difference}; take another --out, or replace it with --resume never --overwrite",
                folder = folder.display(),
                difference = difference
            ));
        }
        let state = serde_json::from_value(saved.state).with_message(|| is_damaged(&file));
        let found =
            |state| FoundCheckpoint { folder: folder.to_path_buf(), step: saved.step, state };
        Ok(state.map(found))
    }

    /// Writes a checkpoint after `step` steps; `write` puts its files into the folder it is given.
    /// The last two are kept.
    pub(crate) fn save<S: Serialize>(
        &self,
        step: u64,
        state: &S,
        write: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<PathBuf> {
        let folder = self.out.join(checkpoint_folder::name(step));
        if folder.join(STATE).is_file() {
            return Ok(folder);
        }
        checkpoint_folder::remove(&folder)?;
        let unfinished = self.out.join(checkpoint_folder::unfinished_name(step));
        checkpoint_folder::remove(&unfinished)?;
        fs::create_dir(&unfinished)?;
        let complete = || -> Result<()> {
            write(&unfinished)?;
            let saved = SavedCheckpoint { identity: self.identity.value().clone(), step, state };
            fs::write(unfinished.join(STATE), serde_json::to_vec_pretty(&saved)?)?;
            sync_tree(&unfinished)?;
            Ok(fs::rename(&unfinished, &folder)?)
        };
        complete().inspect_err(|_| {
            // On a full disk above all: what is half written is of no use.
            let _ = checkpoint_folder::remove(&unfinished);
        })?;
        sync(&self.out)?;
        let all = self.list()?;
        for (_, old) in &all[..all.len().saturating_sub(KEPT)] {
            checkpoint_folder::remove(old)?;
        }
        Ok(folder)
    }

    /// Removes every checkpoint, unless they are held: the run is done and its result written.
    pub(crate) fn remove_all(&self) -> Result<()> {
        if self.held { Ok(()) } else { checkpoint_folder::remove_all_in(&self.out) }
    }

    /// Complete checkpoints, oldest first.
    fn list(&self) -> Result<Vec<(u64, PathBuf)>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.out)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if let Some(step) =
                checkpoint_folder::step_of(&name).filter(|_| path.join(STATE).is_file())
            {
                found.push((step, path));
            }
        }
        found.sort();
        Ok(found)
    }
}

/// An error where a model would be written over.
pub(crate) fn refuse_finished(out: &Path) -> Result<()> {
    ensure!(
        !has_weights(out),
        message!(
            "out-is-finished",
            "{folder} holds a finished model; take another --out, or replace it with --overwrite",
            folder = out.display()
        )
    );
    Ok(())
}

/// Makes the output folder, and looks whether anything can be written there: a run finds that out
/// before its work and not after it.
fn prepare(out: &Path) -> Result<()> {
    fs::create_dir_all(out).with_message(|| cannot_make(out))?;
    let probe = out.join(checkpoint_folder::unfinished_name(0));
    checkpoint_folder::remove(&probe)?;
    fs::create_dir(&probe).with_message(|| cannot_write(out))?;
    checkpoint_folder::remove(&probe)
}

/// Removes checkpoints that could not be gone on from, newer than the one after `step` steps that
/// could: their steps are done again.
fn give_up_damaged(
    damaged: &[(PathBuf, anyhow::Error)],
    step: u64,
    report: &mut Report,
) -> Result<()> {
    for (folder, why) in damaged {
        checkpoint_folder::remove(folder)?;
        let given_up = message!(
            "checkpoint-given-up",
            "{folder} could not be gone on from and was removed, so the steps after step {step} are done again ({why})",
            folder = folder.display(),
            step = step,
            why = message_of(why)
        );
        say(report, LogLevel::Warning, given_up);
    }
    Ok(())
}

fn sync(path: &Path) -> Result<()> {
    File::open(path)?
        .sync_all()
        .with_message(|| message!("cannot-sync", "cannot sync {path}", path = path.display()))
}

fn sync_tree(folder: &Path) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() { sync_tree(&path)? } else { sync(&path)? }
    }
    sync(folder)
}

/// The first key whose value differs, in words.
fn first_difference(saved: &Value, own: &Value) -> Option<KeyedMessage> {
    if saved == own {
        return None;
    }
    let (Value::Object(saved), Value::Object(own)) = (saved, own) else {
        return Some(message!(
            "checkpoint-differs",
            "there {there}, here {here}",
            there = saved.to_string(),
            here = own.to_string()
        ));
    };
    let keys = saved.keys().chain(own.keys());
    let differs = |key: &&String| saved.get(*key) != own.get(*key);
    keys.into_iter().find(differs).map(|key| {
        let [there, here] = [saved, own].map(|map| map.get(key).cloned().unwrap_or_default());
        match first_difference(&there, &here).filter(|_| there.is_object() && here.is_object()) {
            Some(inner) => message!(
                "checkpoint-differs-in",
                "{key}: {inner}",
                key = key.as_str(),
                inner = inner
            ),
            None => message!(
                "checkpoint-setting-differs",
                "{key} is {there} there and {here} here",
                key = key.as_str(),
                there = there.to_string(),
                here = here.to_string()
            ),
        }
    })
}

#[cfg(test)]
mod tests;
