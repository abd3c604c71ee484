//! Offering a base: a Hugging Face folder is copied to the artifact store and becomes a model that
//! every project can start from.

use crate::keeping::artifacts;
use anyhow::{Context, bail};
use entity::ids::ModelId;
use sea_orm::DatabaseConnection;
use std::path::{Path, PathBuf};
use storage::database::write;
use storage::{
    artifact_store::{ArtifactStore, StoredFolder, hash_folder},
    base_model::{self, NewBase, RegisteredBase},
};
use trainer_base::{model_config::ModelConfig, tokenizer::Tokenizer, weights::count_parameters};

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
    let (name, n_parameters) = (&*name_of(&folder), n_parameters as i64);
    let stored = &stored;
    let registered = write(db, |changes| async move {
        artifacts::record(&*changes, stored).await?;
        let base = NewBase { name, stored, n_parameters, run: None };
        base_model::register(&*changes, base).await
    })
    .await?;
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
    let n_parameters = counted(folder)?;
    expect_trainable(folder)?;
    let known = hash_folder(folder)?;
    let stored = if store.touch(&known.hash)? { known } else { store.import(folder)? };
    Ok((stored, n_parameters))
}

/// How many parameters it has; weights of another format are refused.
fn counted(folder: &Path) -> anyhow::Result<u64> {
    let n_parameters = count_parameters(folder)?;
    if n_parameters == 0 {
        bail!("{} has no safetensors file; Attune reads no other weights", folder.display());
    }
    Ok(n_parameters)
}

/// An error where a run would find out, after its launch, that the trainer computes no such model or cannot
/// read its tokenizer.
fn expect_trainable(folder: &Path) -> anyhow::Result<()> {
    let looked = ModelConfig::read(folder).and_then(|_| Tokenizer::load(folder));
    looked.with_context(|| format!("{} cannot be trained", folder.display())).map(drop)
}

/// The folder's own name, without a path.
fn name_of(folder: &Path) -> String {
    let folder = std::fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
    folder.file_name().map_or_else(|| "base".to_owned(), |name| name.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_without_weights_says_what_is_missing() {
        let folder = tempfile::tempdir().unwrap();
        let error = counted(folder.path()).unwrap_err().to_string();
        assert!(error.contains("no safetensors file"), "{error}");
    }

    #[test]
    fn a_base_that_cannot_be_trained_is_not_offered() {
        let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("../trainer/fixtures/tiny_llama");
        let disk = tempfile::tempdir().unwrap();
        let store = ArtifactStore::open(disk.path().join("store")).unwrap();
        let offered = |name: &str, change: &dyn Fn(&Path)| {
            let folder = disk.path().join(name);
            std::fs::create_dir(&folder).unwrap();
            for entry in std::fs::read_dir(&fixture).unwrap().flatten() {
                std::fs::copy(entry.path(), folder.join(entry.file_name())).unwrap();
            }
            change(&folder);
            keep(&store, &folder).map(drop).map_err(|error| format!("{error:#}"))
        };
        assert_eq!(offered("whole", &|_| ()), Ok(()));
        let error = offered("other", &|folder| {
            let file = folder.join("config.json");
            let config = std::fs::read_to_string(&file).unwrap();
            let config = config.replace("LlamaForCausalLM", "MambaForCausalLM");
            std::fs::write(file, config.replace("\"llama\"", "\"mamba\"")).unwrap();
        });
        let error = error.unwrap_err();
        assert!(error.contains("cannot be trained") && error.contains("amba"), "{error}");
        let error = offered("mute", &|folder| {
            std::fs::remove_file(folder.join("tokenizer.json")).unwrap();
        });
        let error = error.unwrap_err();
        assert!(error.contains("cannot be trained") && error.contains("tokenizer"), "{error}");
    }
}
