//! Pages of runs after an erasure: they show no word of it, whoever erased.

use crate::support::{
    app::{TestApp, Worker},
    backups::done,
    builders::add_finished_run,
    database::on_both_databases,
};
use entity::{run::RunKind, run_config::SftConfig};
use serde_json::{Value, json};

const FIRST: &str = "Where does Wilhelmine Zarkwob live?";

const SECOND: &str = "When did Ignaz Quxtrop move house?";

fn answered(prompt: &str) -> Value {
    json!({"event": "sample", "step": 0, "prompt": prompt, "completion": "Who knows.",
        "finish_reason": "stop", "score": null})
}

on_both_databases! {
    async fn pages_of_runs_that_were_looked_at_show_no_word_that_was_erased_since(database: TestDb) {
        let app = TestApp::start(database, Worker::None).await;
        let project = app.new_project("Forgetful").await;
        app.add_prompts(&project, [FIRST.to_owned(), SECOND.to_owned()]).await;
        let (said, sft) = ([answered(FIRST), answered(SECOND)], json!(SftConfig::default()));
        let run = add_finished_run(&app.rows, &project, RunKind::Sft, sft.clone(), &said).await;
        let other = add_finished_run(&app.rows, &project, RunKind::Sft, sft, &said).await;
        let addresses = [
            format!("{project}/runs/{run}"),
            format!("{project}/runs/{other}"),
            format!("{project}/runs/compare?run={run}&run={other}"),
        ];
        let shown = async |words: &str| {
            let mut shown = Vec::new();
            for address in &addresses {
                shown.push(app.admin.get(address).await.html.contains(words));
            }
            shown
        };
        assert_eq!((shown("Zarkwob").await, shown("Quxtrop").await), (vec![true; 3], vec![true; 3]));

        // Another process does it.
        done(&app.database, &["erase", "--containing", "Zarkwob", "--reason", "asked", "--yes"]);
        assert_eq!((shown("Zarkwob").await, shown("Quxtrop").await), (vec![false; 3], vec![true; 3]));

        let found = app.admin.get("/admin/erasures?words=quxtrop").await;
        let address = &found.links("main ul li a")[0];
        let page = app.admin.get(address).await;
        app.admin.submit(page.form(address).with("reason", "asked")).await;
        assert_eq!(shown("Quxtrop").await, [false; 3]);
        assert_eq!(shown("Who knows.").await, [true; 3], "what else was said stays");
    }
}
