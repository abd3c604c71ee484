//! `/health` and `/ready`: for whoever watches the process.

use actix_web::{HttpResponse, web};
use sea_orm::DatabaseConnection;
use serde::Serialize;
use std::time::Duration;
use storage::{
    artifact_store::ArtifactStore,
    schema::{self, SchemaState},
};

/// How long the database may take to answer.
const PATIENCE: Duration = Duration::from_secs(3);

const OK: &str = "ok";

/// 200 as long as the process answers at all.
pub async fn health() -> HttpResponse {
    HttpResponse::Ok().body("ok\n")
}

/// What must be so for people to be able to work: "ok", or what is not. Details go to the log.
#[derive(Debug, Serialize)]
struct Readiness {
    ready: bool,
    database: &'static str,
    migrations: &'static str,
    artifacts: &'static str,
}

/// 200 when people can work here, 503 when they cannot.
pub async fn ready(
    db: web::Data<DatabaseConnection>,
    store: web::Data<ArtifactStore>,
) -> HttpResponse {
    let (database, migrations) = ask_database(&db).await;
    let artifacts = match web::block(move || store.check_writable()).await {
        Ok(Ok(())) => OK,
        Ok(Err(error)) => {
            tracing::warn!(%error, "not ready");
            "the folder cannot be written to"
        }
        Err(_) => "unknown",
    };
    let ready = [database, migrations, artifacts].iter().all(|said| *said == OK);
    let mut response = if ready { HttpResponse::Ok() } else { HttpResponse::ServiceUnavailable() };
    response.json(Readiness { ready, database, migrations, artifacts })
}

/// What is said of the database and of its migrations.
async fn ask_database(db: &DatabaseConnection) -> (&'static str, &'static str) {
    match tokio::time::timeout(PATIENCE, schema::state(db)).await {
        Ok(Ok(SchemaState::Current)) => (OK, OK),
        Ok(Ok(SchemaState::Older(_))) => (OK, "older than this program: run `annotator migrate`"),
        Ok(Ok(SchemaState::Newer(_))) => (OK, "newer than this program: start the newer version"),
        Ok(Err(error)) => {
            tracing::warn!(%error, "not ready");
            ("does not answer", "unknown")
        }
        Err(_) => ("does not answer in time", "unknown"),
    }
}
