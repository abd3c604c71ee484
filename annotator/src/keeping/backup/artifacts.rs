//! The artifacts of a backup: copied one by one, and kept from the sweep until they are.

use super::manifest::{ARTIFACTS, ArtifactCopy, BackupManifest, ERASURES, TableFile, read_through};
use crate::keeping::erasure::journal;
use anyhow::{Context, bail};
use serde::Deserialize;
use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader, ErrorKind},
    path::Path,
    time::Duration,
};
use storage::artifact_store::{ArtifactProblem, ArtifactStore, copy_folder, hash_folder};

/// How often what is not copied yet is marked as wanted; whoever removes artifacts leaves them for
/// ten minutes.
const MARK_EVERY: Duration = Duration::from_secs(60);

/// What became of the artifacts that rows name.
pub(super) struct CopiedArtifacts {
    pub(super) artifacts: Vec<ArtifactCopy>,
    pub(super) missing: Vec<String>,
}

#[derive(Deserialize)]
struct ArtifactRow {
    hash: String,
}

/// Copies every artifact that the backup's rows know and that is on the disk.
pub(super) async fn copy(
    store: &ArtifactStore,
    folder: &Path,
    manifest: &BackupManifest,
) -> anyhow::Result<CopiedArtifacts> {
    let mut copied = CopiedArtifacts { artifacts: Vec::new(), missing: Vec::new() };
    if !manifest.tables.contains_key("artifact") {
        return Ok(copied); // of the first steps of the schema
    }
    let rows = BufReader::new(File::open(BackupManifest::table_path(folder, "artifact"))?);
    let mut hashes = Vec::new();
    for line in rows.lines() {
        hashes.push(serde_json::from_str::<ArtifactRow>(&line?)?.hash);
    }
    for (idx, hash) in hashes.iter().enumerate() {
        let target = BackupManifest::artifact_path(folder, hash);
        let (source, name) = (store.path(hash), hash.clone());
        let mut copying = tokio::task::spawn_blocking(move || copy_one(&source, &target, &name));
        let one = loop {
            mark(store, &hashes[idx..])?;
            tokio::select! {
                one = &mut copying => break one??,
                () = tokio::time::sleep(MARK_EVERY) => {}
            }
        };
        match one {
            Some(one) => copied.artifacts.push(one),
            None => copied.missing.push(hash.clone()),
        }
    }
    Ok(copied)
}

fn mark(store: &ArtifactStore, hashes: &[String]) -> io::Result<()> {
    hashes.iter().try_for_each(|hash| store.touch(hash).map(drop))
}

/// None when it is not there, or goes this moment.
fn copy_one(source: &Path, target: &Path, hash: &str) -> anyhow::Result<Option<ArtifactCopy>> {
    if !source.is_dir() {
        return Ok(None);
    }
    match copy_folder(source, target) {
        Err(error) if error.kind() == ErrorKind::NotFound && !source.is_dir() => {
            fs::remove_dir_all(target).ok();
            return Ok(None);
        }
        done => done.with_context(|| format!("cannot copy {}", source.display()))?,
    }
    let stored = hash_folder(target)?;
    if stored.hash != hash {
        bail!("{}", ArtifactProblem::Changed(source.to_owned()).of("an artifact").text);
    }
    Ok(Some(ArtifactCopy { hash: stored.hash, n_bytes: stored.n_bytes }))
}

/// Refuses a list of erasures with which nothing could be restored.
pub(super) fn check_erasures(store: &ArtifactStore) -> anyhow::Result<Option<String>> {
    let list = journal::whole(&store.root().join(ERASURES)).context(
        "no backup was written, since none could be restored with this list of erasures: mend the line or take it out",
    )?;
    Ok(list.map(|(text, _)| text))
}

/// The list of what was erased goes along: a restore of an older backup reads it.
pub(super) fn copy_erasures(
    store: &ArtifactStore,
    folder: &Path,
) -> anyhow::Result<Option<TableFile>> {
    fs::create_dir_all(folder.join(ARTIFACTS))?;
    let Some(text) = check_erasures(store)? else { return Ok(None) };
    let copy = folder.join(ERASURES);
    fs::write(&copy, text).with_context(|| format!("cannot write {}", copy.display()))?;
    Ok(Some(read_through(&copy)?))
}
