//! What a backup says of itself, and whether it is still what it says.

use anyhow::{Context, bail, ensure};
use entity::time::UnixMillis;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::{
    collections::BTreeMap,
    fs,
    io::{self, BufRead, BufReader},
    path::{Path, PathBuf},
};
use storage::{
    artifact_store::{ArtifactStore, hash_folder},
    schema,
};

/// The version of the format. A program reads those that it knows.
pub const FORMAT: u32 = 1;

/// The file that is written last.
pub const MANIFEST: &str = "manifest.json";

/// The folder of the rows, a file for each table.
pub const TABLES: &str = "tables";

/// The folder of the artifacts, laid out like the artifact store.
pub const ARTIFACTS: &str = "artifacts";

/// The hashes of what was erased, as they stand in the artifact store.
pub const ERASURES: &str = "erasures.jsonl";

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BackupManifest {
    pub format: u32,
    /// The version of Attune that wrote it.
    pub program: String,
    pub taken_at: UnixMillis,
    /// "sqlite" or "postgresql": where the rows came from, for people.
    pub database: String,
    /// The steps of the schema that the database had taken.
    pub steps: Vec<String>,
    pub tables: BTreeMap<String, TableFile>,
    /// None in a backup of the rows alone.
    pub artifacts: Option<Vec<ArtifactCopy>>,
    /// Artifacts that rows name and that were not on the disk: those of deleted models, for one.
    pub missing: Vec<String>,
    /// The list of what was erased. None where nothing was, and in a backup of the rows alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub erasures: Option<TableFile>,
}

/// `tables/<table>.jsonl`, or the list of erasures.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableFile {
    pub rows: u64,
    pub sha256: String,
}

/// A folder below `artifacts/`, named by the hash of its content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArtifactCopy {
    pub hash: String,
    pub n_bytes: u64,
}

impl BackupManifest {
    /// Reads the manifest of a backup that this program can restore.
    pub fn open(folder: &Path) -> anyhow::Result<Self> {
        let file = folder.join(MANIFEST);
        let shown = folder.display();
        let text = match fs::read_to_string(&file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => bail!(
                "{shown} is no whole backup: it has no {MANIFEST}, which is written last; take another that is not called .partial"
            ),
            text => text.with_context(|| format!("cannot read {}", file.display()))?,
        };
        let manifest: Self = serde_json::from_str(&text)
            .with_context(|| format!("{} is no manifest of a backup", file.display()))?;
        let unknown: Vec<_> = manifest
            .steps
            .iter()
            .filter(|step| !schema::STEPS.contains(&step.as_str()))
            .cloned()
            .collect();
        ensure!(
            manifest.format == FORMAT && unknown.is_empty(),
            "{shown} was written by Attune {}, which is newer than this one (it does not know {}): restore it with that version",
            manifest.program,
            if unknown.is_empty() {
                format!("format {}", manifest.format)
            } else {
                unknown.join(", ")
            },
        );
        Ok(manifest)
    }

    pub(super) fn save(&self, file: &Path) -> anyhow::Result<()> {
        let text = serde_json::to_string_pretty(self)?;
        fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
    }

    /// Where the rows of a table are.
    pub fn table_path(folder: &Path, table: &str) -> PathBuf {
        folder.join(TABLES).join(format!("{table}.jsonl"))
    }

    /// Where an artifact's copy is.
    pub fn artifact_path(folder: &Path, hash: &str) -> PathBuf {
        ArtifactStore::path_in(&folder.join(ARTIFACTS), hash)
    }

    pub fn n_rows(&self) -> u64 {
        self.tables.values().map(|file| file.rows).sum()
    }

    /// Whether the list of erasures still is what was written; also where none was.
    pub fn has_its_erasures(&self, folder: &Path) -> io::Result<bool> {
        let Some(written) = &self.erasures else { return Ok(true) };
        match read_through(&folder.join(ERASURES)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            found => Ok(found? == *written),
        }
    }

    /// Looks at every byte whether it still is what was written; the list of erasures apart
    /// ([`Self::has_its_erasures`]), for which there may be another.
    pub fn verify(&self, folder: &Path) -> anyhow::Result<()> {
        for (table, file) in &self.tables {
            let path = Self::table_path(folder, table);
            let found = read_through(&path)
                .with_context(|| format!("cannot read {} of the backup", path.display()))?;
            ensure!(found == *file, changed(&path));
        }
        for artifact in self.artifacts.iter().flatten() {
            let path = Self::artifact_path(folder, &artifact.hash);
            let found = hash_folder(&path)
                .with_context(|| format!("cannot read {} of the backup", path.display()))?;
            ensure!(found.hash == artifact.hash, changed(&path));
        }
        Ok(())
    }
}

fn changed(path: &Path) -> String {
    format!(
        "{} is not what the backup's manifest says: it was changed or damaged; take another backup",
        path.display()
    )
}

pub(super) fn read_through(path: &Path) -> io::Result<TableFile> {
    let mut file = BufReader::with_capacity(1 << 16, fs::File::open(path)?);
    let (mut digest, mut rows) = (Sha256::new(), 0);
    loop {
        let chunk = file.fill_buf()?;
        if chunk.is_empty() {
            return Ok(TableFile { rows, sha256: hex::encode(digest.finalize()) });
        }
        rows += chunk.iter().filter(|byte| **byte == b'\n').count() as u64;
        digest.update(chunk);
        let n = chunk.len();
        file.consume(n);
    }
}
