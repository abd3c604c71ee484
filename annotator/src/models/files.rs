//! The files of a model: a Hugging Face folder in the artifact store, as long as it is not deleted.

use crate::web::error::AppError;
use anyhow::Context;
use entity::model;
use std::path::{Path, PathBuf};

/// A file of the model.
pub struct ModelFile {
    /// Its path within the folder, with `/`.
    pub name: String,
    pub n_bytes: u64,
    pub path: PathBuf,
}

/// The model if its files are there.
pub fn kept(model: model::Model) -> Result<model::Model, AppError> {
    if model.deleted_at.is_some() { Err(AppError::Gone) } else { Ok(model) }
}

/// The files of a model's folder and of the folders in it, sorted by name.
pub fn files_of(folder: &Path) -> anyhow::Result<Vec<ModelFile>> {
    let mut files = Vec::new();
    let mut folders = vec![(String::new(), folder.to_owned())];
    while let Some((prefix, folder)) = folders.pop() {
        let entries = std::fs::read_dir(&folder)
            .with_context(|| format!("cannot read {}", folder.display()))?;
        for entry in entries {
            let (entry, path) = entry.map(|entry| (entry.file_name(), entry.path()))?;
            let name = format!("{prefix}{}", entry.to_string_lossy());
            let metadata = std::fs::metadata(&path)?;
            if metadata.is_dir() {
                folders.push((format!("{name}/"), path));
            } else {
                files.push(ModelFile { name, n_bytes: metadata.len(), path });
            }
        }
    }
    files.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(files)
}
