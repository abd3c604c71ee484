//! What takes how much of the disk that the artifacts are on.

use crate::keeping::deletion::needs::{self, ArtifactNeed, ArtifactUse};
use entity::{
    ids::{ProjectId, RunId},
    run,
};
use sea_orm::{DatabaseConnection, EntityTrait};
use std::{
    collections::{HashMap, HashSet},
    fs, io,
};
use storage::{
    artifact_store::{ArtifactStore, n_bytes_below},
    lookup::find_among,
};

/// What a project, or the installation itself (its bases), holds: bytes, content that it holds
/// twice counted once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiskShare {
    pub models: i64,
    pub datasets: i64,
    /// What sample runs wrote.
    pub answers: i64,
    /// Folders of runs that work or can be continued.
    pub checkpoints: i64,
}

impl DiskShare {
    fn part(&mut self, what: ArtifactUse) -> &mut i64 {
        match what {
            ArtifactUse::Model => &mut self.models,
            ArtifactUse::Dataset => &mut self.datasets,
            ArtifactUse::Answers => &mut self.answers,
        }
    }

    pub fn total(&self) -> i64 {
        self.models + self.datasets + self.answers + self.checkpoints
    }
}

/// The whole disk; sizes in bytes.
pub struct DiskUse {
    /// By project; None: the bases.
    pub held: HashMap<Option<ProjectId>, DiskShare>,
    /// All of it, content that several hold counted once.
    pub total: i64,
    /// What goes by itself: artifacts that nothing needs any more, leftovers of stopped programs.
    pub going: i64,
    /// Artifacts that this database knows nothing of.
    pub unknown: i64,
    pub free: u64,
    pub size: u64,
}

impl DiskUse {
    pub async fn measure(db: &DatabaseConnection, store: &ArtifactStore) -> anyhow::Result<Self> {
        let needs: HashSet<ArtifactNeed> = needs::all(db).await?.into_iter().collect();
        let sizes = needs::sizes(db).await?;
        let scan = {
            let store = store.clone();
            tokio::task::spawn_blocking(move || DiskScan::of(&store)).await??
        };
        let mut held = held_by(&needs, &sizes);
        let needed: HashSet<&str> = needs.iter().map(|need| need.hash.as_str()).collect();
        let mut total: i64 = needed.iter().filter_map(|hash| sizes.get(*hash)).sum();
        let mut going = scan.leftovers;
        let projects = projects_of(db, scan.runs.iter().map(|(run, _)| *run)).await?;
        for (run, n_bytes) in &scan.runs {
            match projects.get(run) {
                Some(project) => {
                    held.entry(Some(*project)).or_default().checkpoints += n_bytes;
                    total += n_bytes;
                }
                None => going += n_bytes,
            }
        }
        let mut unknown = Vec::new();
        for hash in scan.hashes.into_iter().filter(|hash| !needed.contains(hash.as_str())) {
            match sizes.get(&hash) {
                Some(n_bytes) => going += n_bytes,
                None => unknown.push(hash),
            }
        }
        let store = store.clone();
        let unknown = tokio::task::spawn_blocking(move || sum_of(&store, &unknown)).await??;
        Ok(Self { held, total, going, unknown, free: scan.free, size: scan.size })
    }
}

fn held_by(
    needs: &HashSet<ArtifactNeed>,
    sizes: &HashMap<String, i64>,
) -> HashMap<Option<ProjectId>, DiskShare> {
    let mut held: HashMap<_, DiskShare> = HashMap::new();
    for need in needs {
        let n_bytes = sizes.get(&need.hash).copied().unwrap_or(0);
        *held.entry(need.project).or_default().part(need.what) += n_bytes;
    }
    held
}

async fn projects_of(
    db: &DatabaseConnection,
    runs: impl Iterator<Item = RunId>,
) -> anyhow::Result<HashMap<RunId, ProjectId>> {
    let runs = find_among(db, run::Entity::find(), run::Column::Id, runs).await?;
    Ok(runs.into_iter().map(|run| (run.id, run.project_id)).collect())
}

fn sum_of(store: &ArtifactStore, hashes: &[String]) -> io::Result<i64> {
    let sizes = hashes.iter().map(|hash| n_bytes_below(&store.path(hash)));
    Ok(sizes.sum::<io::Result<u64>>()? as i64)
}

/// What only the disk knows.
struct DiskScan {
    hashes: Vec<String>,
    runs: Vec<(RunId, i64)>,
    leftovers: i64,
    free: u64,
    size: u64,
}

impl DiskScan {
    fn of(store: &ArtifactStore) -> io::Result<Self> {
        let disk = rustix::fs::statvfs(store.root())?;
        let mut leftovers = 0;
        for folder in store.leftovers() {
            leftovers += n_bytes_below(&folder)? as i64;
        }
        let mut runs = Vec::new();
        for folder in fs::read_dir(store.runs_folder()).into_iter().flatten() {
            let folder = folder?;
            if let Some(run) = folder.file_name().to_str().and_then(|name| name.parse().ok()) {
                runs.push((run, n_bytes_below(&folder.path())? as i64));
            }
        }
        Ok(Self {
            hashes: store.hashes()?,
            runs,
            leftovers,
            free: disk.f_bavail * disk.f_frsize,
            size: disk.f_blocks * disk.f_frsize,
        })
    }
}
