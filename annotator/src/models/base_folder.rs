//! Offering a base: a Hugging Face folder is copied to the artifact store and becomes a model that
//! every project can start from.

use crate::keeping::artifacts;
use anyhow::{Context, bail};
use entity::ids::ModelId;
use sea_orm::DatabaseConnection;
use serde::Deserialize;
use std::{
    collections::BTreeMap,
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};
use storage::database::begin_write;
use storage::{
    artifact_store::{ArtifactStore, StoredFolder, hash_folder},
    base_model::{self, NewBase, RegisteredBase},
};

/// Registers the folder unless a base with the same content is there; one that was deleted comes
/// back. Copying a large folder takes a while, so the caller need not wait for it.
pub async fn register(
    db: &DatabaseConnection,
    store: &ArtifactStore,
    folder: PathBuf,
) -> anyhow::Result<ModelId> {
    let (stored, n_parameters, folder) = {
        let store = store.clone();
        tokio::task::spawn_blocking(move || {
            keep(&store, &folder).map(|(stored, count)| (stored, count, folder))
        })
        .await??
    };
    let changes = begin_write(db).await?;
    artifacts::record(&changes, &stored).await?;
    let (name, n_parameters) = (&*name_of(&folder), n_parameters as i64);
    let base = NewBase { name, stored: &stored, n_parameters, run: None };
    let registered = base_model::register(&changes, base).await?;
    changes.commit().await?;
    if let RegisteredBase::New(id) = registered {
        tracing::info!(folder = %folder.display(), model = %id, "registered a base");
    }
    Ok(registered.id())
}

/// Copies the folder to the store unless it is there.
fn keep(store: &ArtifactStore, folder: &Path) -> anyhow::Result<(StoredFolder, u64)> {
    if !folder.join("config.json").is_file() {
        bail!("{} is no Hugging Face folder: it has no config.json", folder.display());
    }
    let n_parameters = count_parameters(folder)?;
    let known = hash_folder(folder)?;
    let stored = if store.touch(&known.hash)? { known } else { store.import(folder)? };
    Ok((stored, n_parameters))
}

/// The folder's own name, without a path.
fn name_of(folder: &Path) -> String {
    let folder = std::fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
    folder.file_name().map_or_else(|| "base".to_owned(), |name| name.to_string_lossy().into_owned())
}

/// How many numbers the folder's safetensors files hold, read from their headers.
pub fn count_parameters(folder: &Path) -> anyhow::Result<u64> {
    let mut total = 0;
    let mut n_files = 0;
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "safetensors") {
            total +=
                parameters_in(&path).with_context(|| format!("cannot read {}", path.display()))?;
            n_files += 1;
        }
    }
    if n_files == 0 {
        bail!("{} has no safetensors file; Attune reads no other weights", folder.display());
    }
    Ok(total)
}

/// A tensor in the header of a safetensors file.
#[derive(Deserialize)]
struct Tensor {
    shape: Vec<u64>,
}

/// A safetensors file starts with the length of its header (64 bits, little-endian) and the header,
/// a JSON object of tensors by name, beside `__metadata__`.
fn parameters_in(path: &Path) -> anyhow::Result<u64> {
    let mut file = File::open(path)?;
    let mut length = [0; 8];
    file.read_exact(&mut length)?;
    let length = u64::from_le_bytes(length);
    if length > 100 << 20 {
        bail!("the header would be {length} bytes long");
    }
    let mut header = vec![0; length as usize];
    file.read_exact(&mut header)?;
    let mut tensors: BTreeMap<String, serde_json::Value> = serde_json::from_slice(&header)?;
    tensors.remove("__metadata__");
    let mut total = 0;
    for tensor in tensors.into_values() {
        total += serde_json::from_value::<Tensor>(tensor)?.shape.iter().product::<u64>();
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder_with(header: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let mut file = (header.len() as u64).to_le_bytes().to_vec();
        file.extend(header.as_bytes());
        std::fs::write(folder.path().join("model.safetensors"), file).unwrap();
        folder
    }

    #[test]
    fn parameters_are_counted_from_the_header_alone() {
        let folder = folder_with(
            r#"{"__metadata__":{"format":"pt"},
                "a":{"dtype":"F32","shape":[3,4],"data_offsets":[0,48]},
                "b":{"dtype":"F32","shape":[5],"data_offsets":[48,68]}}"#,
        );
        assert_eq!(count_parameters(folder.path()).unwrap(), 17);
    }

    #[test]
    fn a_folder_without_weights_says_what_is_missing() {
        let folder = tempfile::tempdir().unwrap();
        let error = count_parameters(folder.path()).unwrap_err().to_string();
        assert!(error.contains("no safetensors file"), "{error}");
    }

    #[test]
    fn a_file_that_is_no_safetensors_is_refused_before_it_is_read_whole() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("model.safetensors"), [0xff; 64]).unwrap();
        let error = format!("{:#}", count_parameters(folder.path()).unwrap_err());
        assert!(error.contains("the header would be"), "{error}");
    }
}
