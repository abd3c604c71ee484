//! Folders kept by the hash of their content: models, dataset versions, sampled completions.
//!
//! `<root>/<first two digits>/<hash>/…` holds the folder's files as they are, so that a model can
//! be used in place. A folder appears by a rename, whole or not at all, is never changed, and
//! leaves by a rename.

mod housekeeping;

pub use housekeeping::{FolderRemoval, SPARED, n_bytes_below};

use crate::folder_files::files_of;
use entity::{
    hash::sha256_hex,
    ids::RunId,
    message,
    message::{KeyedMessage, ToArgument},
};
use sha2::{Digest, Sha256};
use std::{
    fmt, fs,
    io::{self, Write},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

#[derive(Clone, Debug)]
pub struct ArtifactStore {
    root: PathBuf,
}

/// Nothing can be added to a store.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot write to the artifacts folder {}: {reason}; make it writable for this user, \
     or name another with --artifacts (ATTUNE_ARTIFACTS)",
    folder.display()
)]
pub struct StoreNotWritable {
    folder: PathBuf,
    reason: io::Error,
}

/// What is in the store cannot be used.
#[derive(Debug)]
pub enum ArtifactProblem {
    Missing(PathBuf),
    Changed(PathBuf),
    Unreadable { folder: PathBuf, reason: io::Error },
}

impl ArtifactProblem {
    /// A sentence that begins with what it is: a model's name, "the dataset version".
    pub fn of(&self, what: impl ToArgument + fmt::Display) -> KeyedMessage {
        match self {
            Self::Missing(folder) => message!(
                "artifact-missing",
                "{what} is not at {folder}: worker and web app must have the same artifacts folder (ATTUNE_ARTIFACTS)",
                what = what,
                folder = folder.display()
            ),
            Self::Changed(folder) => message!(
                "artifact-changed",
                "{what} was changed on disk after it was stored: the files at {folder} no longer have its hash; restore the folder from a backup, or make it anew",
                what = what,
                folder = folder.display()
            ),
            Self::Unreadable { folder, reason } => message!(
                "artifact-unreadable",
                "{what} cannot be read at {folder}: {why}",
                what = what,
                folder = folder.display(),
                why = KeyedMessage::from(reason)
            ),
        }
    }
}

/// What is written to find out whether the disk takes anything.
const SAMPLE_BYTES: usize = 64 << 10;

/// A folder that is in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredFolder {
    pub hash: String,
    pub n_bytes: u64,
}

/// Where a run can be continued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    pub folder: PathBuf,
    /// Steps done.
    pub step: u64,
}

impl ArtifactStore {
    /// Opens the store, making its folder where it is missing: open to its owner, who writes to it,
    /// and to the owner's group, for workers of other users.
    pub fn open(root: impl Into<PathBuf>) -> io::Result<Self> {
        let root = root.into();
        fs::DirBuilder::new().recursive(true).mode(0o750).create(&root)?;
        fs::create_dir_all(root.join("incoming"))?;
        Ok(Self { root: fs::canonicalize(root)? })
    }

    /// Opens a store that something will be added to.
    pub fn open_writable(root: impl Into<PathBuf>) -> Result<Self, StoreNotWritable> {
        let folder = root.into();
        let opened = Self::open(&folder).and_then(|store| store.check_writable().map(|()| store));
        opened.map_err(|reason| StoreNotWritable { folder, reason })
    }

    /// Whether something can be added: by trying. On a full disk a folder can still be made, so that
    /// a little is written, too.
    pub fn check_writable(&self) -> io::Result<()> {
        let folder = self.incoming()?;
        let written = fs::File::create(folder.join("sample")).and_then(|mut file| {
            file.write_all(&[0; SAMPLE_BYTES])?;
            file.sync_all()
        });
        let removed = fs::remove_dir_all(&folder);
        written.and(removed)
    }

    /// The folder of everything.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where the artifact is, if it is there.
    pub fn path(&self, hash: &str) -> PathBuf {
        Self::path_in(&self.root, hash)
    }

    /// The same in a folder that need not be a store.
    pub fn path_in(root: &Path, hash: &str) -> PathBuf {
        root.join(hash.get(..2).unwrap_or("__")).join(hash)
    }

    /// Where a run works and keeps its checkpoints until it ends.
    pub fn run_folder(&self, run: RunId) -> PathBuf {
        self.runs_folder().join(run.to_string())
    }

    /// Where the folders of the runs are; it may be missing.
    pub fn runs_folder(&self) -> PathBuf {
        self.root.join("runs")
    }

    /// Where copies of the database from before its migrations are; it may be missing.
    pub fn safety_copies(&self) -> PathBuf {
        Self::safety_copies_in(&self.root)
    }

    /// The same in a folder that need not be a store.
    pub fn safety_copies_in(root: &Path) -> PathBuf {
        root.join("backups")
    }

    /// The newest complete checkpoint of a run, if its folder holds one:
    /// `<run>/<attempt>/output/checkpoint-<step>`.
    pub fn newest_checkpoint(&self, run: RunId) -> Option<Checkpoint> {
        let attempts = entries(self.run_folder(run)).map(|attempt| attempt.path().join("output"));
        let checkpoints = attempts.flat_map(entries).filter_map(|entry| {
            let step = entry.file_name().to_str()?.strip_prefix("checkpoint-")?.parse().ok()?;
            Some(Checkpoint { folder: entry.path(), step })
        });
        checkpoints.max_by_key(|checkpoint| checkpoint.step)
    }

    /// Whether a run that fetches has left something to go on from: what has arrived is in
    /// `<run>/<attempt>/output.partial`, and in `output` once it is whole.
    pub fn has_fetched(&self, run: RunId) -> bool {
        entries(self.run_folder(run)).any(|attempt| {
            attempt.path().join("output.partial").is_dir()
                || entries(attempt.path().join("output")).next().is_some()
        })
    }

    /// A fresh empty folder on the same disk, to be filled and then given to [`Self::adopt`].
    pub fn incoming(&self) -> io::Result<PathBuf> {
        self.fresh_folder_in("incoming")
    }

    fn fresh_folder_in(&self, place: &str) -> io::Result<PathBuf> {
        let folder = self.root.join(place).join(uuid::Uuid::now_v7().to_string());
        fs::create_dir_all(&folder)?;
        Ok(folder)
    }

    /// Moves a finished folder (made by [`Self::incoming`], or anywhere on the same disk) into the
    /// store. A folder with the same content is already there: the new one is dropped. Whoever
    /// adopts has [`SPARED`] to write the row that needs the artifact.
    pub fn adopt(&self, folder: &Path) -> io::Result<StoredFolder> {
        let stored = hash_folder(folder)?;
        let target = self.path(&stored.hash);
        fs::create_dir_all(target.parent().unwrap_or(&self.root))?;
        for (_, file) in files_of(folder)? {
            fs::File::open(file)?.sync_all()?;
        }
        self.place(folder, &stored.hash)?;
        fs::File::open(target.parent().unwrap_or(&self.root))?.sync_all()?;
        Ok(stored)
    }

    /// Copies a folder from elsewhere into the store.
    pub fn import(&self, folder: &Path) -> io::Result<StoredFolder> {
        let incoming = self.incoming()?;
        copy_folder(folder, &incoming)?;
        self.adopt(&incoming)
    }

    /// Where the artifact is, after a look at every byte whether it still is what was stored.
    pub fn open_whole(&self, hash: &str) -> Result<PathBuf, ArtifactProblem> {
        let folder = self.path(hash);
        if !folder.is_dir() {
            return Err(ArtifactProblem::Missing(folder));
        }
        match self.verify(hash) {
            Ok(true) => Ok(folder),
            Ok(false) => Err(ArtifactProblem::Changed(folder)),
            Err(reason) => Err(ArtifactProblem::Unreadable { folder, reason }),
        }
    }

    /// Whether the stored files still have the hash they are named by.
    pub fn verify(&self, hash: &str) -> io::Result<bool> {
        Ok(hash_folder(&self.path(hash))?.hash == hash)
    }
}

/// The hash of a folder: SHA-256 of its lines "hash-of-file  name", sorted by name.
pub fn hash_folder(folder: &Path) -> io::Result<StoredFolder> {
    let mut listing = String::new();
    let mut n_bytes = 0;
    for (name, file) in files_of(folder)? {
        let mut digest = Sha256::new();
        n_bytes += io::copy(&mut fs::File::open(file)?, &mut HashWriter(&mut digest))?;
        listing += &format!("{}  {name}\n", hex::encode(digest.finalize()));
    }
    Ok(StoredFolder { hash: sha256_hex(listing), n_bytes })
}

/// Copies the files of a folder into another, which is made where it is missing.
pub fn copy_folder(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for (name, file) in files_of(from)? {
        let target = to.join(&name);
        fs::create_dir_all(target.parent().unwrap_or(to))?;
        fs::copy(file, target)?;
    }
    Ok(())
}

/// Waits until everything below a folder is on the disk.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            sync_folder(&entry.path())?;
        } else {
            fs::File::open(entry.path())?.sync_all()?;
        }
    }
    fs::File::open(folder)?.sync_all()
}

fn entries(folder: PathBuf) -> impl Iterator<Item = fs::DirEntry> {
    fs::read_dir(folder).into_iter().flatten().flatten()
}

struct HashWriter<'a>(&'a mut Sha256);

impl io::Write for HashWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_folder_is_stored_once_and_a_changed_file_is_noticed() {
        let disk = tempfile::tempdir().unwrap();
        let store = ArtifactStore::open(disk.path().join("artifacts")).unwrap();
        let model = disk.path().join("model");
        fs::create_dir_all(model.join("deep")).unwrap();
        fs::write(model.join("deep/config.json"), "{}").unwrap();

        let first = store.import(&model).unwrap();
        let second = store.import(&model).unwrap();
        assert_eq!(first, second);
        assert!(store.verify(&first.hash).unwrap());

        fs::write(store.path(&first.hash).join("deep/config.json"), "[]").unwrap();
        assert!(!store.verify(&first.hash).unwrap());
    }
}
