//! The files of imports, in the data folder while they are under way: for their owner's eyes alone,
//! and held by a lock of the system, which whoever dies lets go of.

use entity::ids::ImportId;
use std::{
    collections::HashSet,
    fs::{self, DirBuilder, File, TryLockError},
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};
use tempfile::NamedTempFile;

/// How a file is called while it arrives.
const INCOMING: &str = "incoming-";

/// For how long a file that belongs to no import may be one that still arrives.
const ARRIVING: Duration = Duration::from_secs(60 * 60);

/// The folder.
#[derive(Clone, Debug)]
pub struct ImportSpool {
    folder: PathBuf,
}

impl ImportSpool {
    pub fn new(data_dir: &Path) -> Self {
        Self { folder: data_dir.join("imports") }
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A file to write what arrives into (mode 0600); gone when it is dropped.
    pub fn incoming(&self) -> io::Result<NamedTempFile> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
        tempfile::Builder::new().prefix(INCOMING).tempfile_in(&self.folder)
    }

    /// Makes it the file of an import: after this it survives a power loss.
    pub fn keep(&self, file: NamedTempFile, import: ImportId) -> io::Result<()> {
        file.as_file().sync_all()?;
        file.persist(self.path(import)).map_err(|error| error.error)?;
        File::open(&self.folder)?.sync_all()
    }

    pub fn path(&self, import: ImportId) -> PathBuf {
        self.folder.join(import.to_string())
    }

    /// The file, locked until it is dropped; none when another process holds it.
    pub fn hold(&self, import: ImportId) -> io::Result<Option<File>> {
        let file = File::open(self.path(import))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    pub fn remove(&self, import: ImportId) {
        let removed = fs::remove_file(self.path(import));
        if let Err(error) = removed
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%error, %import, "the file of an import stays in the data folder");
        }
    }

    /// Removes what no import under way needs: left by a crash between two steps.
    pub fn sweep(&self, under_way: &HashSet<ImportId>) -> io::Result<()> {
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let is_needed = name.parse().is_ok_and(|import| under_way.contains(&import));
            let modified = entry.metadata()?.modified()?;
            let age = SystemTime::now().duration_since(modified).unwrap_or_default();
            if !is_needed && age > ARRIVING {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{io::Write, os::unix::fs::PermissionsExt};

    #[test]
    fn what_arrives_is_for_its_owner_alone_and_goes_with_the_import() {
        let folder = tempfile::tempdir().unwrap();
        let spool = ImportSpool::new(folder.path());
        drop(spool.incoming().unwrap());
        let mut file = spool.incoming().unwrap();
        file.write_all(b"rows").unwrap();
        let import = ImportId::new();
        spool.keep(file, import).unwrap();

        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&spool.path(import)), 0o600);
        assert_eq!(mode(&folder.path().join("imports")), 0o700);
        let held = spool.hold(import).unwrap();
        assert!(held.is_some() && spool.hold(import).unwrap().is_none());
        drop(held);
        assert!(spool.hold(import).unwrap().is_some());

        let old = File::options().write(true).open(spool.path(import)).unwrap();
        old.set_modified(SystemTime::now() - 2 * ARRIVING).unwrap();
        spool.sweep(&HashSet::from([import])).unwrap();
        assert!(spool.path(import).exists());
        spool.sweep(&HashSet::new()).unwrap();
        assert_eq!(fs::read_dir(folder.path().join("imports")).unwrap().count(), 0);
    }
}
