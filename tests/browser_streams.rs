//! Chromium allows six connections to a host: pages that follow a run must not use them up.

use crate::{
    browser::sign_in,
    support::{
        app::{TestApp, Worker},
        browser::Browser,
        builders::add_run,
        database::TestDb,
    },
};
use entity::{
    ids::{ProjectId, RunId},
    run::{self, RunStatus},
};
use sea_orm::{ColumnTrait, DatabaseConnection, EntityTrait, QueryFilter, sea_query::Expr};
use std::time::Duration;

const N_WINDOWS: usize = 8;

async fn set_status(rows: &DatabaseConnection, runs: &[RunId], status: RunStatus) {
    run::Entity::update_many()
        .col_expr(run::Column::Status, Expr::value(status))
        .filter(run::Column::Id.is_in(runs.iter().copied()))
        .exec(rows)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn windows_that_follow_runs_leave_the_browser_a_connection_in_chromium() {
    let Some(browser) = Browser::start().await else { return };
    let app = TestApp::start(TestDb::sqlite().await, Worker::None).await;
    let project = app.new_project("Many runs").await;
    let id: ProjectId = project.rsplit('/').next().unwrap().parse().unwrap();
    let mut runs = Vec::new();
    for _ in 0..N_WINDOWS {
        runs.push(add_run(&app.rows, id).await);
    }
    set_status(&app.rows, &runs, RunStatus::Running).await;
    let site = &app.server.url;
    sign_in(&browser, site, "admin", app.server.first_password.as_deref().unwrap()).await;

    let first = browser.client.window().await.unwrap();
    for (n, run) in runs.iter().enumerate() {
        if n > 0 {
            let window = browser.client.new_window(false).await.unwrap().handle;
            browser.client.switch_to_window(window).await.unwrap();
        }
        let address = format!("{site}{project}/runs/{run}");
        let opened = tokio::time::timeout(Duration::from_secs(60), browser.open(&address)).await;
        assert!(opened.is_ok(), "window {} gets no connection", n + 1);
        browser.wait_for("return document.body.dataset.connection === 'live'").await;
    }
    // The news of each still reach its page.
    set_status(&app.rows, &runs, RunStatus::Succeeded).await;
    let is_over = "return document.querySelector('#run-status').dataset.status === 'succeeded'";
    browser.wait_for(is_over).await;
    browser.client.switch_to_window(first).await.unwrap();
    browser.wait_for(is_over).await;
    assert_eq!(browser.run("return document.body.dataset.connection").await, "ended");
    browser.close().await;
}
