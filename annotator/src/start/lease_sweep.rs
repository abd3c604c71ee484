//! What happens by itself: leases that ran out give their slots back, runs that were to stop end
//! without their worker, ended sessions are removed, and folders that were left.

use crate::{data::scratch, people::links, training::stop, web::session, work::assignment};
use sea_orm::DatabaseConnection;
use std::time::Duration;

const EVERY: Duration = Duration::from_secs(15);

/// Never returns; a failure is logged and tried again at the next turn.
pub async fn run(db: DatabaseConnection) {
    let mut turns = tokio::time::interval(EVERY);
    loop {
        turns.tick().await;
        if let Err(error) = assignment::expire_lapsed(&db).await {
            tracing::error!(%error, "leases could not be swept");
        }
        if let Err(error) = stop::end_silent(&db).await {
            tracing::error!(%error, "runs that were to stop could not be ended");
        }
        if let Err(error) = links::sweep(&db).await {
            tracing::error!(%error, "lapsed links could not be swept");
        }
        if let Err(error) = session::sweep(&db).await {
            tracing::error!(%error, "sessions could not be swept");
        }
        if let Err(error) = scratch::sweep() {
            tracing::error!(%error, "what exports left could not be swept");
        }
    }
}
