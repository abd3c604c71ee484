//! Lists that are longer than a page, and texts that are longer than a field.

use super::{bench::Bench, erased_texts::keep};
use crate::support::{
    app::{TestApp, Worker},
    database::on_both_databases,
    web::{Page, Visitor},
};
use annotator::{
    data::{formats::row::ImportRow, import::store},
    keeping::erasure::{ErasureOrder, texts},
};
use entity::{run_event, text, time::UnixMillis};
use reqwest::StatusCode;
use sea_orm::{ActiveValue::Set, EntityTrait};
use serde_json::json;

/// Every part of a list from an address on, by the links of its pages.
async fn parts(reader: &Visitor, address: &str, first: Page, way: &str) -> Vec<Page> {
    let mut pages = vec![first];
    while let Some(next) = pages.last().unwrap().links(&format!("a[rel={way}]")).first() {
        assert!(pages.len() < 20, "the list has no end");
        pages.push(reader.get(&format!("{address}{next}")).await);
    }
    pages
}

fn listed(pages: &[Page]) -> Vec<String> {
    pages.iter().flat_map(|page| page.texts("ol.prompts a")).collect()
}

on_both_databases! {
    async fn a_list_of_prompts_is_read_from_part_to_part_and_back(database: TestDb) {
        let app = TestApp::start(database, Worker::None).await;
        let project = app.new_project("Long").await;
        let bench = Bench::beside(&app, &project).await;
        let row = |n| ImportRow::parse(&json!({ "prompt": format!("Question {n}") }).to_string());
        for n in 0..130 {
            store::store_all(&app.rows, bench.project, &[row(n).unwrap()]).await.unwrap();
        }
        let address = format!("{project}/prompts");
        let first = app.admin.get(&address).await;
        let forth = parts(&app.admin, &address, first, "next").await;
        let newest_first: Vec<String> = (0..130).rev().map(|n| format!("Question {n}")).collect();
        assert_eq!(listed(&forth), newest_first);
        assert_eq!(forth.iter().map(|page| page.texts("ol.prompts a").len()).collect::<Vec<_>>(), [50, 50, 30]);

        // Somebody adds one meanwhile: what was read is neither shown again nor passed over.
        store::store_all(&app.rows, bench.project, &[row(130).unwrap()]).await.unwrap();
        let last = forth.into_iter().next_back().unwrap();
        let mut back = parts(&app.admin, &address, last, "prev").await;
        back.reverse();
        let all: Vec<String> = (0..131).rev().map(|n| format!("Question {n}")).collect();
        assert_eq!(listed(&back), all);
        let nowhere = app.admin.try_get(&format!("{address}?after=nothing")).await;
        assert_eq!(nowhere.status, StatusCode::NOT_FOUND);
    }
}

on_both_databases! {
    async fn whoever_looks_for_texts_to_erase_is_told_that_there_are_more_and_sees_them(database: TestDb) {
        let app = TestApp::start(database, Worker::None).await;
        for n in 0..130 {
            keep(&app.rows, &format!("Xylograph number {n}.")).await;
        }
        let address = "/admin/erasures";
        let first = app.admin.get(&format!("{address}?words=Xylograph+number")).await;
        assert!(first.text().contains("100 texts of more that have these words"), "{}", first.text());
        let pages = parts(&app.admin, address, first, "next").await;
        let found = |page: &Page| page.texts("main ul li a");
        assert_eq!(pages.iter().map(|page| found(page).len()).collect::<Vec<_>>(), [100, 30]);
        let mut all: Vec<String> = pages.iter().flat_map(found).collect();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 130);
        let few = app.admin.get(&format!("{address}?words=Xylograph+number+12.")).await;
        assert!(few.text().contains("One text has these words"), "{}", few.text());
    }
}

on_both_databases! {
    async fn pasted_prompts_are_bounded_and_the_field_says_so(database: TestDb) {
        let app = TestApp::start(database, Worker::None).await;
        let project = app.new_project("Pasted").await;
        let page = app.admin.get(&format!("{project}/prompts")).await;
        assert!(page.text().contains("At most 1000000 characters fit here"), "{}", page.text());
        let form = page.form("/prompts");
        let too_long = "\u{44f}".repeat(1_000_001);
        let refused = app.admin.try_submit(form.clone().with("prompts", &too_long)).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
        let told = refused.texts("#prompts-error").concat();
        assert!(told.contains("1000001") && told.contains("1000000"), "{told}");
        let taken = app.admin.try_submit(form.with("prompts", &too_long[2..])).await;
        assert!(taken.status.is_success(), "{}", taken.status);
    }
}

on_both_databases! {
    async fn an_erased_text_goes_with_its_copies_however_they_are_spelt(database: TestDb) {
        let bench = Bench::new(database).await;
        let db = &bench.db;
        let composed = "Zo\u{eb} Quxtrop war gestern im Caf\u{e9} am Fu\u{df}e der Br\u{fc}cke.";
        let spelt_otherwise =
            "Zoe\u{308}  Quxtrop war\u{a0}gestern im Cafe\u{301}\r\nam Fu\u{df}e der Bru\u{308}cke. ";
        let other = "Zoe Quxtrop war gestern im Cafe am Fu\u{df}e der Brucke.";
        let hash = keep(db, composed).await;
        let (copy, another) = (keep(db, spelt_otherwise).await, keep(db, other).await);
        let policy = bench.model("the-policy", entity::model::ModelKind::Policy).await;
        let prompt = bench.prompt("Who was where?").await;
        assert_ne!(prompt.to_string(), "");
        let contents = annotator::data::dataset::DatasetContents::Prompts(annotator::data::dataset::PromptSelection::All);
        let frozen = annotator::data::dataset::freeze(db, &bench.store, bench.project, contents).await;
        let version = frozen.unwrap().record(db, None).await.unwrap();
        let run = bench.queued_sample(policy, version).await;
        let event = json!({"event": "sample", "prompt": format!("> {spelt_otherwise}"), "completion": other});
        let row = run_event::ActiveModel {
            run_id: Set(run),
            sequence: Set(1),
            attempt: Set(1),
            event: Set(event),
            created_at: Set(UnixMillis::now()),
        };
        run_event::Entity::insert(row).exec_without_returning(db).await.unwrap();

        let order = ErasureOrder::now("asked for", None);
        assert_eq!(texts::erase(db, &bench.store, std::slice::from_ref(&hash), &order).await.unwrap(), 2);
        for (hash, stays) in [(hash, false), (copy, false), (another, true)] {
            let text = text::Entity::find_by_id(hash).one(db).await.unwrap().unwrap();
            assert_eq!(text.body.is_some(), stays);
        }
        let event = run_event::Entity::find().one(db).await.unwrap().unwrap().event;
        assert_eq!(event["prompt"], "> [erased] ");
        assert_eq!(event["completion"], other, "other letters are another text");
    }
}
