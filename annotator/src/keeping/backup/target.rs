//! Where a backup must not be written: among what the programs themselves write and remove.

use crate::{config::StorageConfig, data::import::spool::ImportSpool};
use anyhow::{Context, ensure};
use std::{
    io,
    path::{Component, Path, PathBuf},
};

/// Refuses a folder in which it would not last, or would be in the way.
pub fn refuse_own(out: &Path, storage: &StorageConfig) -> anyhow::Result<()> {
    let shown = out.display();
    let out = resolved(out).with_context(|| format!("cannot look at {shown}"))?;
    for own in [storage.artifacts_dir(), ImportSpool::new(&storage.data_dir).folder().to_owned()] {
        ensure!(
            !out.starts_with(resolved(&own)?),
            "{shown} lies in {}, whose content Attune itself writes and removes: name a folder elsewhere, best on another disk",
            own.display()
        );
    }
    // The database's own files stand beside it, and begin with its name (attune.db-wal).
    let database = resolved(&storage.embedded())?;
    let name_of = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let is_database =
        out.parent() == database.parent() && name_of(&out).starts_with(&name_of(&database));
    ensure!(
        !is_database && !out.starts_with(&database),
        "{shown} is the database's own name: take another"
    );
    Ok(())
}

/// The path without links and detours, as far as it is there.
fn resolved(path: &Path) -> io::Result<PathBuf> {
    let path = std::path::absolute(path)?;
    let (mut there, mut missing) = (path.as_path(), Vec::new());
    let mut found = loop {
        match (there.canonicalize(), there.components().next_back(), there.parent()) {
            (Err(error), Some(last), Some(parent)) if error.kind() == io::ErrorKind::NotFound => {
                missing.push(last);
                there = parent;
            }
            (found, ..) => break found?,
        }
    };
    for part in missing.into_iter().rev() {
        match part {
            Component::ParentDir => drop(found.pop()),
            part => found.push(part),
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backup_goes_anywhere_but_among_what_the_program_writes() {
        let disk = tempfile::tempdir().unwrap();
        let data = disk.path().join("data");
        std::fs::create_dir_all(data.join("artifacts/backups")).unwrap();
        std::os::unix::fs::symlink(data.join("artifacts"), disk.path().join("link")).unwrap();
        let storage = StorageConfig::in_folder(&data);
        let refused = [
            "data/artifacts",
            "data/artifacts/backups/monday",
            "link/backups/monday",
            "new/../data/artifacts/x",
            "data/imports/x",
            "data/attune.db-wal",
            "data/attune.db/x",
        ];
        for out in refused {
            assert!(refuse_own(&disk.path().join(out), &storage).is_err(), "{out}");
        }
        for out in
            ["data/monday", "data/artifacts-old/monday", "new/monday", "data/artifacts/../monday"]
        {
            refuse_own(&disk.path().join(out), &storage).unwrap();
        }
    }
}
