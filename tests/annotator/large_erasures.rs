//! Texts that are said thousands of times, and words that stand in more texts than memory holds.

use super::{
    bench::Bench, careful_erasures::is_there, erased_texts::keep, flood::peak_resident_bytes,
};
use crate::support::{
    app::{TestApp, Worker},
    backups::done,
    database::on_both_databases,
};
use entity::{
    artifact,
    dataset_version::{self, DatasetCounts, DatasetKind},
    dataset_version_item::{self, DatasetSplit},
    hash::sha256_hex,
    ids::{DatasetVersionId, JudgementId},
    judgement::{self, JudgementPayload, ShownOrder},
    task,
    time::UnixMillis,
};
use sea_orm::{ActiveModelTrait, ActiveValue::Set, EntityTrait, IntoActiveModel};

/// Texts that were said so often are named in part.
const MANY: usize = 34_000;

/// Answers that say a text, and dataset versions that hold the first of them.
async fn say_often(bench: &Bench, hash: &str, n_versions: usize) {
    let prompt = bench.prompt("Positive or negative?").await;
    bench.demonstration(prompt).await;
    let task = task::Entity::find().one(&bench.db).await.unwrap().unwrap().id;
    let payload = JudgementPayload::Demonstration { text_hash: hash.to_owned() };
    let said: Vec<judgement::ActiveModel> = (0..MANY)
        .map(|n| judgement::ActiveModel {
            id: Set(JudgementId::new()),
            task_id: Set(task),
            assignment_id: Set(None),
            account_id: Set(None),
            revision: Set(n as i32),
            payload: Set(payload.clone()),
            shown_order: Set(ShownOrder(Vec::new())),
            idempotency_key: Set(n.to_string()),
            lead_time_ms: Set(None),
            created_at: Set(UnixMillis::now()),
        })
        .collect();
    let first = said[0].id.clone().unwrap();
    for some in said.chunks(3000) {
        let some = some.to_vec();
        judgement::Entity::insert_many(some).exec_without_returning(&bench.db).await.unwrap();
    }
    for n in 0..n_versions {
        let row = artifact::Model {
            hash: sha256_hex(format!("version {n}")),
            n_bytes: 1,
            created_at: UnixMillis::now(),
            erased_at: None,
        };
        let hash = row.hash.clone();
        let row = row.into_active_model().reset_all();
        artifact::Entity::insert(row).exec_without_returning(&bench.db).await.unwrap();
        let id = DatasetVersionId::new();
        let row = dataset_version::Model {
            id,
            project_id: bench.project,
            kind: DatasetKind::Demonstrations,
            hash,
            counts: DatasetCounts::default(),
            created_by: None,
            created_at: UnixMillis::now(),
            filling_since: None,
        };
        let row = row.into_active_model().reset_all();
        dataset_version::Entity::insert(row).exec_without_returning(&bench.db).await.unwrap();
        let row = dataset_version_item::Model {
            dataset_version_id: id,
            split: DatasetSplit::Train,
            position: 0,
            prompt_id: prompt,
            judgement_id: Some(first),
        };
        let row = row.into_active_model().reset_all();
        dataset_version_item::Entity::insert(row).exec_without_returning(&bench.db).await.unwrap();
    }
}

on_both_databases! {
    async fn a_text_that_was_said_thousands_of_times_is_counted_named_in_part_and_erased(database: TestDb) {
        let app = TestApp::start(database, Worker::None).await;
        let project = app.new_project("Often").await;
        let bench = Bench::beside(&app, &project).await;
        let hash = keep(&app.rows, "positive").await;
        say_often(&bench, &hash, 130).await;
        let address = format!("/admin/erasures/texts/{hash}");
        let page = app.admin.get(&address).await;
        let text = page.text().replace(['\u{a0}', '\u{202f}', ','], "");
        assert!(text.contains("34000") && text.contains("130"), "{text}");
        let named = |what: &str| {
            page.links("main li a").iter().filter(|link| link.contains(what)).count()
        };
        assert_eq!((named("/judgements/"), named("/datasets/")), (100, 100));
        let told = done(&app.database, &["erase", "--text", &hash, "--reason", "asked"]);
        assert!(told.contains("34000 judgements") && told.contains("130 dataset versions"), "{told}");
        app.admin.submit(page.form(&address).with("reason", "asked")).await;
        assert!(!is_there(&app.rows, &hash).await);
        let erased = artifact::Entity::find().all(&app.rows).await.unwrap();
        assert_eq!(erased.iter().filter(|artifact| artifact.erased_at.is_some()).count(), 130);
    }
}

/// More than may be in memory at once.
const LONG_TEXTS: usize = 100;
const LETTERS: usize = 1_000_000;
const MOST_MORE: u64 = 60 << 20;

on_both_databases! {
    async fn copies_are_looked_for_in_texts_that_do_not_fit_in_memory(database: TestDb) {
        let app = TestApp::start(database, Worker::None).await;
        let long = |start: &str| format!("{start} Quxtropenhausen {}", "and so on ".repeat(LETTERS / 10));
        for n in 0..LONG_TEXTS {
            keep(&app.rows, &long(&format!("Number {n}"))).await;
        }
        let hash = keep(&app.rows, "Ignaz Quxtrop of Quxtropenhausen").await;
        let copy = keep(&app.rows, " Ignaz\u{a0}Quxtrop\nof  Quxtropenhausen\r\n").await;
        let other = keep(&app.rows, "Ignaz Quxtrop, of Quxtropenhausen").await;
        let address = format!("/admin/erasures/texts/{hash}");
        let form = app.admin.get(&address).await.form(&address).with("reason", "asked");
        let before = peak_resident_bytes(app.server.process());
        app.admin.submit(form).await;
        let found = app.admin.get("/admin/erasures?words=quxtropenhausen").await;
        assert!(found.links("main ul li a").len() >= LONG_TEXTS, "{}", found.text());
        let more = peak_resident_bytes(app.server.process()) - before;
        assert!(more < MOST_MORE, "{} MB", more >> 20);
        for (hash, stays) in [(hash, false), (copy, false), (other, true)] {
            assert_eq!(is_there(&app.rows, &hash).await, stays);
        }
    }
}
