//! Following a run, on both databases.

use super::bench::Bench;
use crate::support::{
    app::{TestApp, Worker},
    builders::add_run,
    database::on_both_databases,
    eventually,
};
use annotator::{
    data::dataset::{self, DatasetContents, PromptSelection},
    training::run_feed::{FeedItem, RunFeed},
};
use entity::{
    ids::{ProjectId, RunId},
    model,
    run::{self, RunStatus},
};
use futures_util::{Stream, StreamExt};
use sea_orm::{ActiveModelTrait, ActiveValue::Set, DbErr};
use std::{pin::pin, time::Duration};

async fn a_run(bench: &Bench) -> RunId {
    bench.prompt("only").await;
    let frozen = dataset::freeze(
        &bench.db,
        &bench.store,
        bench.project,
        DatasetContents::Prompts(PromptSelection::All),
    )
    .await;
    let dataset = frozen.unwrap().record(&bench.db, None).await.unwrap();
    let model = bench.model("sft", model::ModelKind::Sft).await;
    bench.queued_sample(model, dataset).await
}

/// Everything a viewer is told until the run is over: sequence numbers, and how it ended.
async fn watch(told: impl Stream<Item = Result<FeedItem, DbErr>>) -> (Vec<i64>, Option<RunStatus>) {
    let mut told = pin!(told);
    let (mut sequences, mut end) = (Vec::new(), None);
    while let Some(told) = told.next().await {
        match told.unwrap() {
            FeedItem::Event { sequence, .. } => sequences.push(sequence),
            FeedItem::Status(_) => {}
            FeedItem::End(status) => end = Some(status),
        }
    }
    (sequences, end)
}

on_both_databases! {
    async fn every_viewer_sees_every_event_once_wherever_it_joins(database: TestDb) {
        let bench = Bench::new(database).await;
        let run = a_run(&bench).await;
        for sequence in 1..=700 {
            bench.event(run, sequence).await;
        }
        bench.set_status(run, RunStatus::Running).await;
        let feed = RunFeed::new(bench.db.clone());
        let (early, resumed) = (feed.follow(run, 0), feed.follow(run, 650));
        let work = async {
            for sequence in 701..=740 {
                bench.event(run, sequence).await;
                if sequence % 10 == 0 {
                    tokio::time::sleep(Duration::from_millis(120)).await;
                }
            }
            bench.set_status(run, RunStatus::Succeeded).await;
        };
        let (early, resumed, ()) = tokio::join!(watch(early), watch(resumed), work);
        assert_eq!(early, ((1..=740).collect(), Some(RunStatus::Succeeded)));
        assert_eq!(resumed, ((651..=740).collect(), Some(RunStatus::Succeeded)));
        // A run that is over is told whole, to those who come late.
        assert_eq!(watch(feed.follow(run, 738)).await, (vec![739, 740], Some(RunStatus::Succeeded)));
    }
}

on_both_databases! {
    async fn a_dropped_viewer_goes_on_where_it_was(database: TestDb) {
        let bench = Bench::new(database).await;
        let run = a_run(&bench).await;
        bench.set_status(run, RunStatus::Running).await;
        let feed = RunFeed::new(bench.db.clone());
        for sequence in 1..=5 {
            bench.event(run, sequence).await;
        }
        let mut seen = Vec::new();
        {
            let mut told = pin!(feed.follow(run, 0));
            while seen.len() < 3 {
                if let FeedItem::Event { sequence, .. } = told.next().await.unwrap().unwrap() {
                    seen.push(sequence);
                }
            }
        }
        bench.event(run, 6).await;
        bench.set_status(run, RunStatus::Cancelled).await;
        let (rest, end) = watch(feed.follow(run, 3)).await;
        seen.extend(rest);
        assert_eq!((seen, end), ((1..=6).collect(), Some(RunStatus::Cancelled)));
    }
}

on_both_databases! {
    async fn one_stream_tells_of_several_runs_that_a_person_may_see(database: TestDb) {
        let app = TestApp::start(database, Worker::None).await;
        let mut addresses = Vec::new();
        for name in ["Mine", "Theirs"] {
            let project = app.new_project(name).await;
            let id: ProjectId = project.rsplit('/').next().unwrap().parse().unwrap();
            addresses.push((project, add_run(&app.rows, id).await, add_run(&app.rows, id).await));
        }
        let (mine, one, other) = &addresses[0];
        let anna = app.new_person(mine, "anna", &["engineer"]).await;
        let theirs = addresses[1].1;
        let news = anna.ask("get", &format!("/runs/news?run={one}&run={theirs}&run={other}"), &[]).await;
        let told = news.text().await.unwrap();
        for run in [one, other] {
            assert!(told.contains(&run.to_string()), "{told}");
        }
        assert!(!told.contains(&theirs.to_string()), "{told}");
        assert_eq!(anna.ask("get", &format!("/runs/news?run={theirs}"), &[]).await.status(), 204);

        // Of streams that go on, a person has so many; one that is closed makes room.
        let row = run::ActiveModel { id: Set(*one), status: Set(RunStatus::Running), ..Default::default() };
        row.update(&app.rows).await.unwrap();
        let address = format!("/runs/news?run={one}");
        let mut open = Vec::new();
        for _ in 0..12 {
            open.push(anna.ask("get", &address, &[]).await);
            assert_eq!(open.last().unwrap().status(), 200);
        }
        assert_eq!(anna.ask("get", &address, &[]).await.status(), 429);
        open.pop();
        let ask = async || (anna.ask("get", &address, &[]).await.status() == 200).then_some(());
        eventually(Duration::from_secs(10), ask, || "a closed stream keeps its place".to_owned()).await;
        let row = run::ActiveModel { id: Set(*one), status: Set(RunStatus::Succeeded), ..Default::default() };
        row.update(&app.rows).await.unwrap();
    }
}
