//! A worker's numbers for Prometheus: what it does, and whether it is alive.

use super::RunEnding;
use crate::metrics::{self, database::DatabaseMetrics};
use entity::{run_config::RunKind, time::UnixMillis};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
};
use sea_orm::{ActiveEnum, DatabaseConnection};
use std::{
    net::SocketAddr,
    sync::{LazyLock, atomic::AtomicU64},
};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabel {
    kind: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EndLabels {
    kind: String,
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RenewalLabel {
    result: &'static str,
}

/// In seconds since 1970; 0 until it first happens.
type Timestamp = Gauge<f64, AtomicU64>;

/// What this process counts, whether anybody asks for it or not.
#[derive(Debug, Default)]
pub(super) struct WorkerMetrics {
    started: Family<KindLabel, Counter>,
    ended: Family<EndLabels, Counter>,
    active: Family<KindLabel, Gauge>,
    renewals: Family<RenewalLabel, Counter>,
    renewed_at: Timestamp,
    looked_at: Timestamp,
}

static METRICS: LazyLock<WorkerMetrics> = LazyLock::new(WorkerMetrics::default);

/// Of this process.
pub(super) fn metrics() -> &'static WorkerMetrics {
    &METRICS
}

/// A run that is under way until this is dropped.
pub(super) struct ActiveRun(KindLabel);

impl Drop for ActiveRun {
    fn drop(&mut self) {
        METRICS.active.get_or_create(&self.0).set(0);
    }
}

fn now() -> f64 {
    UnixMillis::now().0 as f64 / 1000.0
}

impl WorkerMetrics {
    /// The database was asked for a run, and answered.
    pub(super) fn looked(&self) {
        self.looked_at.set(now());
    }

    pub(super) fn begins(&self, kind: RunKind) -> ActiveRun {
        let label = KindLabel { kind: kind.to_value() };
        self.started.get_or_create(&label).inc();
        self.active.get_or_create(&label).set(1);
        self.renewed_at.set(now());
        ActiveRun(label)
    }

    pub(super) fn ended(&self, kind: RunKind, ended: &RunEnding) {
        let result = match ended {
            RunEnding::Succeeded => "succeeded",
            RunEnding::Failed(_) => "failed",
            RunEnding::Cancelled => "cancelled",
            RunEnding::Interrupted(_) => "interrupted",
            RunEnding::Released => "released",
            RunEnding::Fenced => "fenced",
        };
        self.ended.get_or_create(&EndLabels { kind: kind.to_value(), result }).inc();
    }

    /// The lease of the run under way was renewed, or was not.
    pub(super) fn renewed(&self, result: &'static str) {
        if result == "kept" {
            self.renewed_at.set(now());
        }
        self.renewals.get_or_create(&RenewalLabel { result }).inc();
    }

    /// Serves the numbers on an address of their own; where that is.
    pub(super) fn serve(
        &self,
        listen: &str,
        db: &DatabaseConnection,
    ) -> anyhow::Result<SocketAddr> {
        let mut registry = metrics::registry();
        for (name, help, metric) in [
            (
                "attune_worker_lease_renewed_timestamp_seconds",
                "When the lease of the run under way, or of the last one, was renewed",
                &self.renewed_at,
            ),
            (
                "attune_worker_looked_timestamp_seconds",
                "When the worker last looked for a run, which it does only while it has none",
                &self.looked_at,
            ),
        ] {
            registry.register(name, help, metric.clone());
        }
        registry.register(
            "attune_worker_runs_started",
            "Attempts at runs that began",
            self.started.clone(),
        );
        registry.register(
            "attune_worker_runs_ended",
            "Attempts at runs that ended here, by how",
            self.ended.clone(),
        );
        registry.register(
            "attune_worker_run_active",
            "1 for the kind of the run under way",
            self.active.clone(),
        );
        registry.register(
            "attune_worker_lease_renewals",
            "Tries to renew a lease, by what came of them",
            self.renewals.clone(),
        );
        registry.register_collector(Box::new(DatabaseMetrics { db: db.clone() }));
        metrics::serve(listen, registry, None)
    }
}
