//! What a crowd's report comes to, and whether the database holds what was acknowledged.

use crate::{crowd::CrowdReport, office::BenchOffice};
use anyhow::Context;
use entity::{hash::sha256_hex, judgement};
use sea_orm::{ConnectionTrait, EntityTrait, Statement};
use serde_json::{Value, json};
use std::{collections::HashMap, fmt, time::Duration};

pub(crate) struct WebFigures {
    cycles_per_second: f64,
    p50_ms: f64,
    p95_ms: f64,
    p99_ms: f64,
    max_ms: f64,
    cycle_p99_ms: f64,
    cpu_ms_per_cycle: f64,
    rss_mb: u64,
    lost: usize,
    over_assigned: i64,
    failed: usize,
    /// What was said of the first failure.
    failure: Option<String>,
}

impl WebFigures {
    pub(crate) async fn of(report: CrowdReport, office: &BenchOffice) -> anyhow::Result<Self> {
        let n = report.n_cycles.max(1) as f64;
        let wait = |share| milliseconds(&report.waits, share);
        Ok(Self {
            cycles_per_second: n / report.elapsed.as_secs_f64(),
            p50_ms: wait(0.50),
            p95_ms: wait(0.95),
            p99_ms: wait(0.99),
            max_ms: wait(1.0),
            cycle_p99_ms: milliseconds(&report.cycles, 0.99),
            cpu_ms_per_cycle: report.cpu.as_secs_f64() * 1000.0 / n,
            rss_mb: report.peak_memory,
            lost: lost(&report, office).await?,
            over_assigned: over_assigned(office).await?,
            failed: report.failures.len(),
            failure: report.failures.into_iter().next(),
        })
    }

    /// Nothing lost, nothing given twice, nothing refused.
    pub(crate) fn is_sound(&self) -> bool {
        self.lost == 0 && self.over_assigned == 0 && self.failed == 0
    }

    pub(crate) fn to_json(&self) -> Value {
        let tenth = |value: f64| (value * 10.0).round() / 10.0;
        json!({
            "cycles_per_second": tenth(self.cycles_per_second),
            "p50_ms": tenth(self.p50_ms),
            "p95_ms": tenth(self.p95_ms),
            "p99_ms": tenth(self.p99_ms),
            "max_ms": tenth(self.max_ms),
            "cycle_p99_ms": tenth(self.cycle_p99_ms),
            "cpu_ms_per_cycle": (self.cpu_ms_per_cycle * 100.0).round() / 100.0,
            "rss_mb": self.rss_mb,
            "lost": self.lost,
            "over_assigned": self.over_assigned,
            "failed": self.failed,
        })
    }
}

impl fmt::Display for WebFigures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:.0} cycles/s, requests p50 {:.0} p95 {:.0} p99 {:.0} max {:.0} ms, cycle p99 {:.0} ms, \
             {:.2} ms of CPU a cycle, {} MB, {} lost, {} over-assigned, {} failed",
            self.cycles_per_second,
            self.p50_ms,
            self.p95_ms,
            self.p99_ms,
            self.max_ms,
            self.cycle_p99_ms,
            self.cpu_ms_per_cycle,
            self.rss_mb,
            self.lost,
            self.over_assigned,
            self.failed
        )?;
        self.failure.iter().try_for_each(|failure| write!(f, " ({failure})"))
    }
}

/// The wait that this share of them does not exceed.
fn milliseconds(waits: &[Duration], share: f64) -> f64 {
    let mut waits = waits.to_vec();
    waits.sort_unstable();
    let last = waits.len().saturating_sub(1) as f64;
    waits.get((last * share).round() as usize).map_or(0.0, |wait| wait.as_secs_f64() * 1000.0)
}

/// Answers that were acknowledged and are not there exactly once.
async fn lost(report: &CrowdReport, office: &BenchOffice) -> anyhow::Result<usize> {
    let mut said: HashMap<(String, String), usize> = HashMap::new();
    for row in judgement::Entity::find().all(&office.db).await? {
        let assignment = row.assignment_id.context("an assignment")?.to_string();
        let payload = serde_json::to_value(&row.payload)?;
        let hash = payload["text_hash"].as_str().unwrap_or_default().to_owned();
        *said.entry((assignment, hash)).or_default() += 1;
    }
    let is_there_once = |(assignment, text): &&(String, String)| {
        said.get(&(assignment.clone(), sha256_hex(text))) == Some(&1)
    };
    Ok(report.acknowledged.iter().filter(|it| !is_there_once(it)).count())
}

/// Tasks that more people hold or have answered than should, or whose slots do not add up.
async fn over_assigned(office: &BenchOffice) -> anyhow::Result<i64> {
    let sql = "SELECT count(*) AS n FROM task JOIN (
            SELECT task_id, count(*) AS taken FROM assignment
            WHERE state IN ('leased', 'submitted') GROUP BY task_id
        ) AS taken ON taken.task_id = task.id
        WHERE taken.taken > task.overlap OR task.open_slots <> task.overlap - taken.taken";
    let statement = Statement::from_string(office.db.get_database_backend(), sql);
    let row = office.db.query_one_raw(statement).await?.context("a row")?;
    Ok(row.try_get("", "n")?)
}
