//! `checkpoint-N` folders inside a run's output folder.
//!
//! **Invariant:** a folder named `checkpoint-N` is complete: it is written under another name, synced
//! to disk, then renamed. **Invariant:** it says which run it belongs to, and no other run goes on
//! from it.

use super::identity::RunIdentity;
use anyhow::{Result, bail};
use entity::{message, message::KeyedMessage};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;
use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};
use trainer_base::errors::{WithMessage, cannot_make, cannot_read, is_damaged};
use trainer_base::{checkpoint_folder, settings::ResumeMode};

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
    /// Looks into the output folder `out`, which is made if it is missing.
    pub(crate) fn open<S: DeserializeOwned>(
        out: &Path,
        identity: RunIdentity,
        resume: ResumeMode,
    ) -> Result<(Self, Option<FoundCheckpoint<S>>)> {
        fs::create_dir_all(out).with_message(|| cannot_make(out))?;
        let held = resume == ResumeMode::Held;
        let checkpoints = Self { out: out.to_path_buf(), identity, held };
        let Some((_, folder)) = checkpoints.list()?.pop() else { return Ok((checkpoints, None)) };
        if resume == ResumeMode::Never {
            bail!(message!(
                "checkpoint-unfinished",
                "{folder} holds a checkpoint of an unfinished run; go on with --resume auto, or remove it",
                folder = out.display()
            ));
        }
        let file = folder.join(STATE);
        let text = fs::read(&file).with_message(|| cannot_read(&file))?;
        let saved: SavedCheckpoint<Value> =
            serde_json::from_slice(&text).with_message(|| is_damaged(&file))?;
        let theirs = checkpoints.identity.completed(saved.identity);
        if let Some(difference) = first_difference(&theirs, checkpoints.identity.value()) {
            bail!(message!(
                "checkpoint-other-run",
                "{folder} is a checkpoint of another run: {difference}; take another --out, or remove it",
                folder = folder.display(),
                difference = difference
            ));
        }
        let state = serde_json::from_value(saved.state).with_message(|| is_damaged(&file))?;
        Ok((checkpoints, Some(FoundCheckpoint { folder, step: saved.step, state })))
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
        if folder.is_dir() {
            return Ok(folder);
        }
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
mod tests {
    use super::*;
    use entity::run_config::SampleConfig;

    #[test]
    fn a_checkpoint_is_due_every_so_many_steps_and_after_five_minutes_without_one() {
        let schedule = CheckpointSchedule::new(100);
        let after = |seconds| schedule.since + Duration::from_secs(seconds);
        assert!(!schedule.is_due_at(7, after(299)) && schedule.is_due_at(7, after(300)));
        assert!(schedule.is_due_at(200, after(0)));
        assert!(!CheckpointSchedule::new(0).is_due_at(100, after(1000)), "0 writes none");
        let mut slow = CheckpointSchedule::new(100);
        slow.written(Instant::now() - Duration::from_secs(30));
        assert!(
            !slow.is_due_at(7, slow.since + Duration::from_secs(599)),
            "a twentieth of the time"
        );
        assert!(slow.is_due_at(7, slow.since + Duration::from_secs(601)));
    }

    type Opened = Result<(RunCheckpoints, Option<FoundCheckpoint<u64>>)>;

    fn open(out: &Path, seed: u64, resume: ResumeMode) -> Opened {
        let config = SampleConfig { seed, ..SampleConfig::default() };
        RunCheckpoints::open(out, RunIdentity::new("sample", &config, []), resume)
    }

    fn save(checkpoints: &RunCheckpoints, step: u64) {
        let write = |folder: &Path| Ok(fs::write(folder.join("weights"), step.to_string())?);
        checkpoints.save(step, &(step * 10), write).unwrap();
    }

    #[test]
    fn a_run_goes_on_from_the_newest_of_the_two_that_are_kept() {
        let out = tempfile::tempdir().unwrap();
        let (checkpoints, found) = open(out.path(), 1, ResumeMode::Auto).unwrap();
        assert_eq!(found, None);
        [5, 10, 100].into_iter().for_each(|step| save(&checkpoints, step));
        let names = ["checkpoint-5", "checkpoint-10", "checkpoint-100"];
        assert_eq!(names.map(|name| out.path().join(name).exists()), [false, true, true]);
        let found = open(out.path(), 1, ResumeMode::Auto).unwrap().1.unwrap();
        assert_eq!((found.step, found.state), (100, 1000));
        assert_eq!(fs::read_to_string(found.folder.join("weights")).unwrap(), "100");
    }

    #[test]
    fn an_unfinished_checkpoint_is_not_seen() {
        let out = tempfile::tempdir().unwrap();
        let (checkpoints, _) = open(out.path(), 1, ResumeMode::Auto).unwrap();
        save(&checkpoints, 1);
        let killed = checkpoints.save(2, &0, |folder| {
            fs::write(folder.join("weights"), "half")?;
            bail!("killed")
        });
        assert!(killed.is_err());
        assert_eq!(open(out.path(), 1, ResumeMode::Auto).unwrap().1.unwrap().step, 1);
        save(&checkpoints, 2);
        assert_eq!(open(out.path(), 1, ResumeMode::Auto).unwrap().1.unwrap().step, 2);
    }

    #[test]
    fn another_run_does_not_go_on_from_it_and_is_told_what_differs() {
        let out = tempfile::tempdir().unwrap();
        save(&open(out.path(), 1, ResumeMode::Auto).unwrap().0, 3);
        let error = open(out.path(), 2, ResumeMode::Auto).unwrap_err().to_string();
        assert!(error.contains("config: seed is 1 there and 2 here"), "{error}");
        assert!(open(out.path(), 1, ResumeMode::Never).is_err());
    }

    #[test]
    fn whoever_holds_a_run_removes_its_checkpoints() {
        let out = tempfile::tempdir().unwrap();
        let (checkpoints, _) = open(out.path(), 1, ResumeMode::Held).unwrap();
        save(&checkpoints, 3);
        checkpoints.remove_all().unwrap();
        assert_eq!(open(out.path(), 1, ResumeMode::Held).unwrap().1.unwrap().step, 3);
    }

    #[test]
    fn nothing_is_left_of_a_finished_run() {
        let out = tempfile::tempdir().unwrap();
        let (checkpoints, _) = open(out.path(), 1, ResumeMode::Auto).unwrap();
        save(&checkpoints, 3);
        fs::create_dir(out.path().join(".checkpoint-4.unfinished")).unwrap();
        fs::write(out.path().join("model.safetensors"), "result").unwrap();
        checkpoints.remove_all().unwrap();
        assert_eq!(fs::read_dir(out.path()).unwrap().count(), 1);
    }
}
