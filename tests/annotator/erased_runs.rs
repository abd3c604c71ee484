//! Pages of runs after an erasure: they show no word of it, whoever erased, and say of a run that cannot
//! go on why it cannot.

use super::bench::Bench;
use crate::support::{
    app::{TestApp, Worker},
    backups::done,
    builders::{add_finished_run, add_model},
    database::on_both_databases,
};
use annotator::{
    data::dataset::{self, DatasetContents, PromptSelection},
    keeping::erasure::{ErasureOrder, texts},
};
use entity::{
    prompt,
    run::{RunKind, RunStatus},
    run_config::SftConfig,
};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use serde_json::{Value, json};
use std::fs;

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

on_both_databases! {
    async fn a_run_whose_data_were_erased_says_so_and_cannot_be_continued(database: TestDb) {
        let app = TestApp::start(database, Worker::None).await;
        let project = app.new_project("Cut short").await;
        app.add_prompts(&project, [FIRST.to_owned()]).await;
        let bench = Bench::beside(&app, &project).await;
        let model = add_model(&app.rows, &bench.store, bench.project, "the-model").await;
        let contents = DatasetContents::Prompts(PromptSelection::All);
        let frozen = dataset::freeze(&app.rows, &bench.store, bench.project, contents).await;
        let version = frozen.unwrap().record(&app.rows, None).await.unwrap();
        let failed = bench.queued_sample(model, version).await;
        bench.set_status(failed, RunStatus::Failed).await;
        fs::create_dir_all(bench.store.run_folder(failed).join("1/output/checkpoint-2")).unwrap();
        let waiting = bench.queued_sample(model, version).await;
        let page = async |run| app.admin.get(&format!("{project}/runs/{run}")).await;
        let resume = format!("{project}/runs/{failed}/resume");
        let why = "Texts in the data that this run reads were removed";
        let before = page(failed).await;
        let form = before.form(&resume);
        assert!(!before.text().contains(why) && !page(waiting).await.text().contains(why));

        // Its files go afterwards: until then a checkpoint is there.
        let asked = prompt::Entity::find().filter(prompt::Column::ProjectId.eq(bench.project));
        let hash = asked.one(&app.rows).await.unwrap().unwrap().text_hash;
        let order = ErasureOrder::now("asked", None);
        assert_eq!(texts::erase(&app.rows, &bench.store, &[hash], &order).await.unwrap(), 1);
        for run in [failed, waiting] {
            let page = page(run).await;
            assert!(page.texts("#run-status .note").concat().contains(why), "{}", page.text());
            assert!(page.find_form(&format!("{project}/runs/{run}/resume")).is_none());
        }
        assert_eq!(page(waiting).await.texts("#run-status .tag"), ["Cancelled"]);
        let refused = app.admin.try_submit(form).await;
        assert!(refused.text().contains("texts in it were removed"), "{}", refused.text());
        app.admin.read_in("ru").await;
        let page = page(waiting).await;
        assert!(page.text().contains("данных, которые читает этот запуск, удалены"), "{}", page.text());
    }
}
