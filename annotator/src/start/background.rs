//! What goes on beside the requests: leases run out, finished runs are followed up, the base is
//! copied, files are imported, what nobody needs leaves the disk, the local worker works.

use crate::{
    config::{ServeConfig, WorkerPlace},
    data::import::queue::ImportQueue,
    keeping::deletion::sweep,
    models::{base_folder, live::LiveModels},
    start::{lease_sweep, worker_process::WorkerProcess},
    training::follow_up,
};
use sea_orm::DatabaseConnection;
use std::{path::PathBuf, sync::Arc, time::Duration};
use storage::artifact_store::ArtifactStore;
use tokio::task::JoinSet;

/// How long the first page waits for the base at the most. A small one is there when the service
/// says that it is ready; a large one is copied while it serves.
const WAIT_FOR_BASE: Duration = Duration::from_secs(1);

pub struct BackgroundTasks {
    tasks: JoinSet<()>,
    worker: Option<WorkerProcess>,
}

impl BackgroundTasks {
    pub async fn start(
        config: &ServeConfig,
        db: &DatabaseConnection,
        store: &ArtifactStore,
        live: Arc<LiveModels>,
        imports: Arc<ImportQueue>,
    ) -> Self {
        let mut tasks = JoinSet::new();
        if let Some(base) = &config.base {
            let mut registering =
                tokio::spawn(register_base(db.clone(), store.clone(), base.clone()));
            if tokio::time::timeout(WAIT_FOR_BASE, &mut registering).await.is_err() {
                tasks.spawn(async move { registering.await.unwrap_or_default() });
            }
        }
        tasks.spawn(lease_sweep::run(db.clone()));
        tasks.spawn(follow_up::watch(db.clone(), store.clone()));
        tasks.spawn(sweep::run(db.clone(), store.clone()));
        // On this thread: its steps borrow from each other, which a future for any thread may not.
        tasks.spawn_local(async move { imports.run().await });
        tasks.spawn(async move { live.put_idle_away().await });
        let worker = match config.worker {
            WorkerPlace::None => None,
            WorkerPlace::Local => WorkerProcess::start(config)
                .inspect_err(|error| tracing::error!("{error:#}; runs wait in the queue"))
                .ok(),
        };
        Self { tasks, worker }
    }

    pub async fn stop(mut self) {
        self.tasks.shutdown().await;
        if let Some(worker) = self.worker {
            worker.stop().await;
        }
    }
}

/// A base that cannot be used is no reason not to serve.
async fn register_base(db: DatabaseConnection, store: ArtifactStore, folder: PathBuf) {
    let shown = folder.display().to_string();
    if let Err(error) = base_folder::register(&db, &store, folder).await {
        tracing::error!(folder = shown, "cannot offer the base: {error:#}");
    }
}
