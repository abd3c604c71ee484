//! `/health` and `/ready`: for whoever watches the process.

use crate::keeping::readiness::ReadinessCheck;
use actix_web::{HttpResponse, web};
use sea_orm::DatabaseConnection;
use storage::artifact_store::ArtifactStore;

/// 200 as long as the process answers at all.
pub async fn health() -> HttpResponse {
    HttpResponse::Ok().body("ok\n")
}

/// 200 when people can work here, 503 when they cannot.
pub async fn ready(
    check: web::Data<ReadinessCheck>,
    db: web::Data<DatabaseConnection>,
    store: web::Data<ArtifactStore>,
) -> HttpResponse {
    let report = check.report(&db, &store).await;
    let status = if report.ready { HttpResponse::Ok() } else { HttpResponse::ServiceUnavailable() };
    { status }.json(report)
}
