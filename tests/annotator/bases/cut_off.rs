//! A fetch that is cut off in the middle goes on where it was.

use super::{House, NAME, PATIENCE, WEIGHTS, copy_tiny_base, start_worker};
use crate::support::{app::run_of, database::on_both_databases, eventually, leash};
use entity::{
    ids::RunId,
    run::{self, RunStatus},
};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, sea_query::Expr};
use serde_json::json;
use std::fs;

impl House {
    /// Begins a fetch and waits until half of the weights are there and no more comes.
    async fn fetch_half(&self) -> RunId {
        self.hub.fall_silent(WEIGHTS, 500_000);
        let run = run_of(&self.name(&self.engineer, NAME).await);
        let partial = self.store.run_folder(run).join("1/output.partial");
        let part = partial.join(format!("{WEIGHTS}.part"));
        let half = async || fs::metadata(&part).ok().filter(|file| file.len() == 500_000);
        eventually(PATIENCE, half, || "half of the weights do not arrive".to_owned()).await;
        self.comes_to(run, RunStatus::Running).await;
        run
    }

    /// Waits for a run that was cut off in the middle, and looks at what it asked the hub for.
    async fn ends_without_fetching_twice(&self, run: RunId) -> run::Model {
        let run = self.app.wait_for_run(run).await;
        let asked = self.hub.asked();
        let ranges: Vec<_> = asked.iter().filter(|asked| asked.path.starts_with("/cdn/")).collect();
        let ranges: Vec<_> = ranges.iter().map(|asked| asked.range.as_deref()).collect();
        assert_eq!(ranges, [None, Some("bytes=500000-")]);
        let n_configs = asked.iter().filter(|asked| asked.path.ends_with("/config.json")).count();
        assert_eq!(n_configs, 1, "{asked:?}");
        assert_eq!(self.offered(&self.project).await, [NAME]);
        run
    }
}

/// The process that fetches for a run.
fn process_of(run: RunId) -> u32 {
    let entries = fs::read_dir("/proc").expect("/proc is there").flatten();
    let mut pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let is_it = |pid: &u32| {
        let line = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.contains("\0fetch\0") && line.contains(&run.to_string())
    };
    pids.find(is_it).expect("a process that fetches")
}

on_both_databases! {
    async fn a_fetch_whose_process_is_killed_goes_on_where_it_was(database: TestDb) {
        let house = House::new(database).await;
        let run = house.fetch_half().await;
        leash::signal("KILL", &process_of(run).to_string());
        let run = house.ends_without_fetching_twice(run).await;
        assert_eq!(run.attempt, 2);
    }
}

on_both_databases! {
    async fn a_fetch_whose_worker_is_killed_goes_on_where_it_was(database: TestDb) {
        let mut house = House::new(database).await;
        let run = house.fetch_half().await;
        tokio::task::block_in_place(|| house.worker.kill());
        house.worker = start_worker(&house.app.database, &house.hub);
        let run = house.ends_without_fetching_twice(run).await;
        assert_eq!(run.attempt, 2);
    }
}

on_both_databases! {
    async fn what_was_whole_when_its_worker_died_is_fetched_again_only_if_nobody_noted_it(database: TestDb) {
        let mut house = House::new(database).await;
        for is_noted in [true, false] {
            tokio::task::block_in_place(|| house.worker.stop());
            let run = run_of(&house.name(&house.engineer, NAME).await);
            let attempt = house.store.run_folder(run).join("1");
            copy_tiny_base(&attempt.join("output"));
            if is_noted {
                let said = json!({"kind": "fetch", "steps": 1, "tokens": 0, "seconds": 1.0,
                    "tokens_per_second": 0.0, "peak_rss_mb": 1, "final": {}});
                fs::write(attempt.join("summary.json"), said.to_string()).unwrap();
            }
            run::Entity::update_many()
                .col_expr(run::Column::Attempt, 1.into())
                .col_expr(run::Column::Status, Expr::value(RunStatus::Interrupted))
                .filter(run::Column::Id.eq(run))
                .exec(&house.app.rows)
                .await
                .unwrap();
            house.worker = start_worker(&house.app.database, &house.hub);
            let run = house.app.wait_for_run(run).await;
            assert!(house.model(&run).await.name.starts_with(NAME));
            assert_eq!(house.hub.asked().is_empty(), is_noted);
        }
    }
}

on_both_databases! {
    async fn a_fetch_that_is_cancelled_can_be_continued(database: TestDb) {
        let house = House::new(database).await;
        let run = house.fetch_half().await;
        house.press(run, "/cancel").await;
        house.comes_to(run, RunStatus::Cancelled).await;
        let said = house.page(run).await.texts("#run-glance").join("");
        assert!(said.contains("kB of 1.0 MB have arrived"), "{said}");
        assert!(house.bases().await.is_empty());
        house.press(run, "/resume").await;
        house.ends_without_fetching_twice(run).await;
    }
}
