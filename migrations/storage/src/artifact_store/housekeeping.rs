//! Taking artifacts away while others may be adding the same content.
//!
//! Nobody holds a lock on a folder. Whoever adds or takes up an artifact marks it as of now and has
//! [`SPARED`] to write the row that needs it; whoever removes one, having asked the database a
//! moment ago whether anything needs it, leaves alone what was marked since then.
//!
//! **Invariant:** an artifact leaves its place by one rename, before its first file is removed, so
//! that a half-removed one is never taken for a whole one.

use super::ArtifactStore;
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, UTIME_NOW, utimensat};
use std::{
    fs,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

/// How long an artifact that was just added stays, whether anything needs it or not.
pub const SPARED: Duration = Duration::from_secs(10 * 60);

/// After how long without any change a folder that was to be adopted is given up.
const ABANDONED: Duration = Duration::from_secs(24 * 60 * 60);

/// What became of an artifact that nothing needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FolderRemoval {
    Removed,
    /// It was not there.
    Absent,
    /// Somebody added it within [`SPARED`], and may be about to need it.
    Spared,
}

impl ArtifactStore {
    /// Marks an artifact as wanted from now on; false when it is not there.
    pub fn touch(&self, hash: &str) -> io::Result<bool> {
        match touch(&self.path(hash)) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            // Another user's, whose programs alone can remove it.
            Err(error) if error.kind() == ErrorKind::PermissionDenied => Ok(true),
            touched => touched.map(|()| true),
        }
    }

    /// Moves a whole folder to its place, unless the same is there.
    pub(super) fn place(&self, folder: &Path, hash: &str) -> io::Result<()> {
        loop {
            touch(folder)?;
            match fs::rename(folder, self.path(hash)) {
                Err(error) if is_taken(&error) => {
                    // If not, it was removed this moment, and the place is free.
                    if self.touch(hash)? {
                        return fs::remove_dir_all(folder);
                    }
                }
                renamed => return renamed,
            }
        }
    }

    /// Removes an artifact that nothing needs, as the database said a moment ago.
    pub fn remove(&self, hash: &str) -> io::Result<FolderRemoval> {
        if !self.path(hash).is_dir() {
            return Ok(FolderRemoval::Absent);
        }
        let trash = self.fresh_folder_in("trash")?;
        let removal = match self.condemn(hash, &trash) {
            // Another process was faster.
            Err(error) if error.kind() == ErrorKind::NotFound => FolderRemoval::Absent,
            removal => removal?,
        };
        fs::remove_dir_all(trash)?;
        Ok(removal)
    }

    /// Removes an artifact whoever needs it, because of what stands in it.
    pub fn erase(&self, hash: &str) -> io::Result<()> {
        if !self.path(hash).is_dir() {
            return Ok(());
        }
        let trash = self.fresh_folder_in("trash")?;
        match fs::rename(self.path(hash), trash.join(hash)) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        fs::remove_dir_all(trash)
    }

    /// Moves an artifact into the fresh folder `trash`.
    fn condemn(&self, hash: &str, trash: &Path) -> io::Result<FolderRemoval> {
        // The disk's own clock, which may be another machine's.
        let now = modified(trash)?;
        if age(&self.path(hash), now)? < SPARED {
            return Ok(FolderRemoval::Spared);
        }
        let condemned = trash.join(hash);
        fs::rename(self.path(hash), &condemned)?;
        if age(&condemned, now)? < SPARED {
            self.reprieve(hash, &condemned)
        } else {
            Ok(FolderRemoval::Removed)
        }
    }

    /// Moves an artifact back, which somebody wanted a moment before it left its place.
    fn reprieve(&self, hash: &str, condemned: &Path) -> io::Result<FolderRemoval> {
        match fs::rename(condemned, self.path(hash)) {
            // Whoever wanted it has brought their own.
            Err(error) if is_taken(&error) => Ok(FolderRemoval::Spared),
            renamed => renamed.map(|()| FolderRemoval::Spared),
        }
    }

    /// Removes what programs that were stopped left behind: half-removed artifacts, and folders
    /// that were to be adopted.
    pub fn remove_leftovers(&self) -> io::Result<()> {
        for (place, patience) in [("trash", SPARED), ("incoming", ABANDONED)] {
            for leftover in entries(&self.root.join(place))? {
                match is_older(&leftover, patience) {
                    Ok(true) => fs::remove_dir_all(&leftover)?,
                    // Whoever filled it has just moved it on.
                    Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                    _ => {}
                }
            }
        }
        Ok(())
    }

    /// The folders that [`Self::remove_leftovers`] will remove one day.
    pub fn leftovers(&self) -> [PathBuf; 2] {
        ["trash", "incoming"].map(|place| self.root.join(place))
    }

    /// The hashes of all artifacts that are there.
    pub fn hashes(&self) -> io::Result<Vec<String>> {
        let is_hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let mut hashes = Vec::new();
        for folder in entries(&self.root)? {
            if !name_of(&folder).is_some_and(|name| name.len() == 2 && is_hex(name)) {
                continue;
            }
            let names = entries(&folder)?;
            let found = names.iter().filter_map(|path| name_of(path));
            hashes.extend(found.filter(|name| name.len() == 64 && is_hex(name)).map(str::to_owned));
        }
        Ok(hashes)
    }
}

/// The bytes of all files below a folder; what vanishes meanwhile does not count.
pub fn n_bytes_below(folder: &Path) -> io::Result<u64> {
    let mut total = 0;
    for path in entries(folder)? {
        total += match fs::symlink_metadata(&path) {
            Ok(metadata) if metadata.is_dir() => n_bytes_below(&path)?,
            Ok(metadata) => metadata.len(),
            Err(error) if error.kind() == ErrorKind::NotFound => 0,
            Err(error) => return Err(error),
        };
    }
    Ok(total)
}

/// Whether neither a folder nor anything in it was changed for so long.
fn is_older(folder: &Path, patience: Duration) -> io::Result<bool> {
    let now = SystemTime::now();
    if age(folder, now)? < patience {
        return Ok(false);
    }
    for path in entries(folder)? {
        let is_young = match fs::symlink_metadata(&path)?.is_dir() {
            true => !is_older(&path, patience)?,
            false => age(&path, now)? < patience,
        };
        if is_young {
            return Ok(false);
        }
    }
    Ok(true)
}

/// What a folder holds; a folder that is not there holds nothing.
fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    match fs::read_dir(folder) {
        Ok(entries) => entries.map(|entry| entry.map(|entry| entry.path())).collect(),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

fn name_of(path: &Path) -> Option<&str> {
    path.file_name()?.to_str()
}

fn is_taken(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::DirectoryNotEmpty | ErrorKind::AlreadyExists)
}

/// By the disk's own clock, and allowed to whoever may write to the folder.
fn touch(folder: &Path) -> io::Result<()> {
    let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
    let times = Timestamps { last_access: now, last_modification: now };
    Ok(utimensat(CWD, folder, &times, AtFlags::empty())?)
}

fn modified(path: &Path) -> io::Result<SystemTime> {
    fs::symlink_metadata(path)?.modified()
}

fn age(path: &Path, now: SystemTime) -> io::Result<Duration> {
    Ok(now.duration_since(modified(path)?).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    fn store_with(disk: &Path) -> (ArtifactStore, String) {
        let store = ArtifactStore::open(disk).unwrap();
        let hash = add(&store);
        (store, hash)
    }

    fn add(store: &ArtifactStore) -> String {
        let folder = store.incoming().unwrap();
        fs::write(folder.join("config.json"), "{}").unwrap();
        store.adopt(&folder).unwrap().hash
    }

    /// A second more, because the disk's clock may tick coarsely.
    fn make_old(path: &Path, by: Duration) {
        let then = SystemTime::now() - by - Duration::from_secs(1);
        File::open(path).unwrap().set_modified(then).unwrap();
    }

    #[test]
    fn an_artifact_is_spared_while_somebody_may_be_about_to_need_it() {
        let disk = tempfile::tempdir().unwrap();
        let (store, hash) = store_with(disk.path());
        assert_eq!(store.remove(&hash).unwrap(), FolderRemoval::Spared);
        make_old(&store.path(&hash), SPARED);
        assert!(store.touch(&hash).unwrap(), "it is taken up again");
        assert_eq!(store.remove(&hash).unwrap(), FolderRemoval::Spared);
        make_old(&store.path(&hash), SPARED);
        assert_eq!(store.remove(&hash).unwrap(), FolderRemoval::Removed);
        assert!(!store.path(&hash).exists());
        assert_eq!(store.remove(&hash).unwrap(), FolderRemoval::Absent);
        assert!(!store.touch(&hash).unwrap());
    }

    #[test]
    fn what_is_added_again_is_spared_again() {
        let disk = tempfile::tempdir().unwrap();
        let (store, hash) = store_with(disk.path());
        make_old(&store.path(&hash), SPARED);
        assert_eq!(add(&store), hash);
        assert_eq!(store.remove(&hash).unwrap(), FolderRemoval::Spared);
        assert!(entries(&disk.path().join("trash")).unwrap().is_empty());
    }

    #[test]
    fn what_was_wanted_at_the_moment_of_its_removal_comes_back() {
        let disk = tempfile::tempdir().unwrap();
        let (store, hash) = store_with(disk.path());
        let trash = store.fresh_folder_in("trash").unwrap();
        let condemned = trash.join(&hash);
        fs::rename(store.path(&hash), &condemned).unwrap();
        assert_eq!(store.reprieve(&hash, &condemned).unwrap(), FolderRemoval::Spared);
        assert!(store.verify(&hash).unwrap());
        // Whoever adds it again is as fast.
        fs::rename(store.path(&hash), &condemned).unwrap();
        assert_eq!(add(&store), hash);
        assert_eq!(store.reprieve(&hash, &condemned).unwrap(), FolderRemoval::Spared);
        assert!(store.verify(&hash).unwrap());
    }

    #[test]
    fn whoever_adds_and_whoever_removes_at_once_leave_a_whole_artifact() {
        let disk = tempfile::tempdir().unwrap();
        let (store, hash) = store_with(disk.path());
        for _ in 0..200 {
            make_old(&store.path(&hash), SPARED);
            std::thread::scope(|scope| {
                scope.spawn(|| store.remove(&hash).unwrap());
                scope.spawn(|| store.remove(&hash).unwrap());
                scope.spawn(|| assert_eq!(add(&store), hash));
            });
            assert!(store.verify(&hash).unwrap(), "it was added and is there");
        }
    }

    #[test]
    fn leftovers_of_stopped_programs_go_when_they_are_old() {
        let disk = tempfile::tempdir().unwrap();
        let (store, hash) = store_with(disk.path());
        let half_removed = store.fresh_folder_in("trash").unwrap();
        fs::write(half_removed.join("model.safetensors"), "half").unwrap();
        let being_filled = store.incoming().unwrap();
        fs::write(being_filled.join("config.json"), "{}").unwrap();
        store.remove_leftovers().unwrap();
        assert!(half_removed.exists() && being_filled.exists());

        make_old(&half_removed.join("model.safetensors"), SPARED);
        make_old(&half_removed, SPARED);
        make_old(&being_filled, ABANDONED);
        store.remove_leftovers().unwrap();
        assert!(!half_removed.exists());
        assert!(being_filled.exists(), "a file in it was just written");
        make_old(&being_filled.join("config.json"), ABANDONED);
        store.remove_leftovers().unwrap();
        assert!(!being_filled.exists());
        assert_eq!(store.hashes().unwrap(), [hash]);
    }
}
