//! `make bench-web`: the release server on SQLite and PostgreSQL under 1,000 people who claim, read,
//! save a draft and submit through the real forms, over 64 connections of this machine.
//!
//! What it prints is also in `target/bench/web.json`. Afterwards it looks whether every submit that
//! was acknowledged is there once, and whether nothing was given to too many. It ends with 1 when an
//! answer is lost or a slot was given twice; what is fast enough is for a person to say.
//!
//! `ATTUNE_BENCH_SIZES` (open slots, `20000,1000000`), `ATTUNE_BENCH_CYCLES` (6000),
//! `ATTUNE_BENCH_SECONDS` (120 for each size) and `ATTUNE_BENCH_DATABASES` (`sqlite,postgresql`)
//! make it shorter.

mod crowd;
mod figures;
mod office;
mod servers;

use anyhow::Context;
use serde_json::{Map, Value};
use servers::{Cluster, WebServer};
use std::{process::ExitCode, time::Duration};

/// What is measured, and for how long at the most.
struct BenchPlan {
    sizes: Vec<u64>,
    databases: Vec<String>,
    n_cycles: usize,
    patience: Duration,
}

impl BenchPlan {
    fn of_environment() -> anyhow::Result<Self> {
        let told = |name: &str, default: &str| {
            std::env::var(format!("ATTUNE_BENCH_{name}")).unwrap_or_else(|_| default.to_owned())
        };
        let sizes = told("SIZES", "20000,1000000");
        Ok(Self {
            sizes: sizes.split(',').map(str::parse).collect::<Result<_, _>>()?,
            databases: told("DATABASES", "sqlite,postgresql")
                .split(',')
                .map(str::to_owned)
                .collect(),
            n_cycles: told("CYCLES", "6000").parse()?,
            patience: Duration::from_secs(told("SECONDS", "120").parse()?),
        })
    }
}

#[actix_web::main]
async fn main() -> anyhow::Result<ExitCode> {
    let plan = BenchPlan::of_environment()?;
    let mut all = Map::new();
    let mut is_sound = true;
    for database in &plan.databases {
        for size in &plan.sizes {
            let figures = measure(&plan, database, *size).await?;
            println!("{database:>10}, {size:>9} open slots: {figures}");
            is_sound &= figures.is_sound();
            all.insert(format!("{database}_{size}"), figures.to_json());
        }
    }
    let path = servers::target()?.join("bench/web.json");
    std::fs::create_dir_all(path.parent().context("a folder")?)?;
    std::fs::write(&path, serde_json::to_vec_pretty(&Value::Object(all))?)?;
    println!("{}", path.display());
    Ok(if is_sound { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn measure(
    plan: &BenchPlan,
    database: &str,
    size: u64,
) -> anyhow::Result<figures::WebFigures> {
    // Not in memory: what a commit costs is what the disk says.
    let folder = tempfile::tempdir_in(servers::target()?)?;
    let cluster = match database {
        "sqlite" => None,
        _ => Some(Cluster::start(&folder.path().join("cluster")).await?),
    };
    let url = match &cluster {
        Some(cluster) => cluster.url(),
        None => format!("sqlite://{}?mode=rwc", folder.path().join("attune.db").display()),
    };
    let office = office::furnish(folder.path(), &url, size).await?;
    let server = WebServer::start(folder.path(), &url).await?;
    let told = crowd::work(&server, &office, plan).await?;
    let figures = figures::WebFigures::of(told, &office).await?;
    drop(server);
    Ok(figures)
}
