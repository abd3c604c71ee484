//! What a program asks of its database, and how long it waits for it.

use super::encode;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{counter::ConstCounter, gauge::ConstGauge},
};
use sea_orm::DatabaseConnection;
use std::fmt;
use storage::{database, statements, write_totals};

/// The database of a program, and what this process asks of it.
#[derive(Debug)]
pub struct DatabaseMetrics {
    pub db: DatabaseConnection,
}

impl Collector for DatabaseMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let statements = statements::totals();
        let writes = write_totals::totals();
        for (name, help, value) in [
            ("attune_database_statements", "Statements that were sent", statements.n as f64),
            (
                "attune_database_statements_failed",
                "Statements that the database refused or did not answer",
                statements.n_failed as f64,
            ),
            (
                "attune_database_statement_seconds",
                "Time that statements took",
                statements.time.as_secs_f64(),
            ),
            ("attune_database_writes", "Transactions that write", writes.n as f64),
            (
                "attune_database_write_wait_seconds",
                "Time that transactions which write waited for their beginning",
                writes.waited.as_secs_f64(),
            ),
        ] {
            encode(&mut encoder, name, help, &ConstCounter::new(value))?;
        }
        let pool = database::pool_state(&self.db);
        let n_busy = pool.n_open.saturating_sub(pool.n_idle);
        let help = "Connections to the database, without those that write to SQLite.";
        let gauge = ConstGauge::new(0);
        let mut states = encoder.encode_descriptor(
            "attune_database_connections",
            help,
            None,
            gauge.metric_type(),
        )?;
        for (state, n) in [("idle", pool.n_idle), ("in_use", n_busy)] {
            ConstGauge::new(n).encode(states.encode_family(&[("state", state)])?)?;
        }
        Ok(())
    }
}
