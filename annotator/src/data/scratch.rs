//! Folders for what people wrote while it is written out once: for their owner's eyes alone. What a kill
//! leaves of them is swept.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt,
    time::{Duration, SystemTime},
};
use tempfile::TempDir;

const PREFIX: &str = "attune-rows-";

/// Nobody is still at it after so long.
const IN_USE: Duration = Duration::from_secs(60 * 60);

/// A folder (mode 0700) among the machine's temporary ones; gone when it is dropped.
pub fn folder() -> io::Result<TempDir> {
    let owner = fs::Permissions::from_mode(0o700);
    tempfile::Builder::new().prefix(PREFIX).permissions(owner).tempdir()
}

/// Removes folders that a process that was killed has left. Those of other people stay: they are not
/// this one's to remove.
pub fn sweep() -> io::Result<()> {
    for entry in fs::read_dir(std::env::temp_dir())? {
        let entry = entry?;
        if !entry.file_name().to_string_lossy().starts_with(PREFIX) {
            continue;
        }
        // Another may have removed it meanwhile.
        let Ok(about) = entry.metadata() else { continue };
        let age = SystemTime::now().duration_since(about.modified()?).unwrap_or_default();
        if age > IN_USE {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_its_owners_alone_and_one_that_was_left_is_swept() {
        let folder = folder().unwrap();
        let mode = fs::metadata(folder.path()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        sweep().unwrap();
        assert!(folder.path().exists(), "it is in use");
        let old = SystemTime::now() - 2 * IN_USE;
        fs::File::open(folder.path()).unwrap().set_modified(old).unwrap();
        sweep().unwrap();
        assert!(!folder.path().exists());
    }
}
