//! What is in a folder that came from elsewhere: files, and nothing that reaches out of it.

use entity::message;
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// How many folders deep files may lie: a link to a folder above itself would go on for ever.
const MOST_LEVELS: usize = 32;

/// The files below a folder as (path with `/` relative to it, full path), sorted. Links are followed
/// within the folder, and to where the Hugging Face library keeps the files of a repository; a link
/// to anywhere else, or what is no file (a pipe, a device), is an error that names it.
pub fn files_of(folder: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    let mut files = Vec::new();
    let mut folders = vec![(String::new(), folder.to_path_buf(), 0)];
    while let Some((prefix, inner, level)) = folders.pop() {
        for entry in fs::read_dir(inner)? {
            let entry = entry?;
            let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
            let kind = file_kind(folder, &entry.path())?;
            if kind.is_dir() && level < MOST_LEVELS {
                folders.push((format!("{name}/"), entry.path(), level + 1));
            } else if kind.is_file() {
                files.push((name, entry.path()));
            } else {
                return Err(no_file(&entry.path()));
            }
        }
    }
    files.sort();
    Ok(files)
}

/// What `path`, which lies below `folder`, is, through links; an error where they lead elsewhere.
pub fn file_kind(folder: &Path, path: &Path) -> io::Result<fs::FileType> {
    let kind = fs::symlink_metadata(path)?.file_type();
    if !kind.is_symlink() {
        return Ok(kind);
    }
    let (folder, target) = (fs::canonicalize(folder)?, fs::canonicalize(path)?);
    // huggingface_hub: models--ORG--NAME/snapshots/COMMIT/FILE -> ../../blobs/HASH.
    let blobs = folder
        .parent()
        .filter(|parent| parent.ends_with("snapshots"))
        .and_then(|snapshots| Some(snapshots.parent()?.join("blobs")));
    if target.starts_with(&folder) || blobs.is_some_and(|blobs| target.starts_with(blobs)) {
        return Ok(fs::metadata(target)?.file_type());
    }
    let why = message!(
        "folder-link-outside",
        "{path} is a link to {target}, which is not in this folder: put a copy of the file there, or take the link away",
        path = path.display(),
        target = target.display()
    );
    Err(io::Error::new(io::ErrorKind::InvalidInput, why))
}

fn no_file(path: &Path) -> io::Error {
    let why = message!(
        "folder-no-file",
        "{path} is neither a plain file nor a folder, or lies too deep: take it away",
        path = path.display()
    );
    io::Error::new(io::ErrorKind::InvalidInput, why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn names(folder: &Path) -> io::Result<Vec<String>> {
        Ok(files_of(folder)?.into_iter().map(|(name, _)| name).collect())
    }

    #[test]
    fn links_within_a_folder_are_followed_and_links_out_of_it_are_refused() {
        let disk = tempfile::tempdir().unwrap();
        let (model, secret) = (disk.path().join("model"), disk.path().join("secret"));
        fs::create_dir_all(model.join("deep")).unwrap();
        fs::write(model.join("deep/config.json"), "{}").unwrap();
        fs::write(&secret, "of somebody else").unwrap();
        symlink("deep/config.json", model.join("config.json")).unwrap();
        assert_eq!(names(&model).unwrap(), ["config.json", "deep/config.json"]);
        for target in [secret.as_path(), Path::new("../secret"), Path::new("/dev/zero")] {
            symlink(target, model.join("README.md")).unwrap();
            let error = names(&model).unwrap_err().to_string();
            assert!(error.contains("README.md is a link to"), "{error}");
            fs::remove_file(model.join("README.md")).unwrap();
        }
    }

    #[test]
    fn a_folder_of_the_hub_s_own_library_is_read_through_its_links() {
        let disk = tempfile::tempdir().unwrap();
        let repository = disk.path().join("models--people--tiny");
        let snapshot = repository.join("snapshots/0123");
        fs::create_dir_all(&snapshot).unwrap();
        fs::create_dir_all(repository.join("blobs")).unwrap();
        fs::write(repository.join("blobs/abcd"), "{}").unwrap();
        symlink("../../blobs/abcd", snapshot.join("config.json")).unwrap();
        assert_eq!(names(&snapshot).unwrap(), ["config.json"]);
    }

    #[test]
    fn what_never_ends_is_refused() {
        let disk = tempfile::tempdir().unwrap();
        symlink(disk.path(), disk.path().join("again")).unwrap();
        let error = names(disk.path()).unwrap_err().to_string();
        assert!(error.contains("neither a plain file nor a folder"), "{error}");
        let disk = tempfile::tempdir().unwrap();
        let pipe = disk.path().join("config.json");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &pipe,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR,
            0,
        )
        .unwrap();
        assert!(names(disk.path()).is_err());
    }
}
