//! What the launch form and a model's page say of a model before a run starts from it.

use crate::support::{
    app::{TestApp, Worker},
    database::on_both_databases,
    tiny_base,
    web::{Page, Visitor},
};
use entity::{ids::ModelId, model, time::UnixMillis};
use sea_orm::{ActiveModelTrait, ActiveValue::Set, EntityTrait};
use std::{collections::HashMap, fs};
use storage::artifact_store::ArtifactStore;

/// The tiny base, with a card and without a chat template.
async fn add_base(app: &TestApp) -> ModelId {
    let folder = app.database.folder.path().join("with-a-card");
    fs::create_dir(&folder).unwrap();
    for file in fs::read_dir(tiny_base()).unwrap().flatten() {
        fs::copy(file.path(), folder.join(file.file_name())).unwrap();
    }
    fs::write(folder.join("tokenizer_config.json"), "{}").unwrap();
    fs::write(folder.join("README.md"), "---\nlanguage:\n- en\n- ru\n---\n# A model\n").unwrap();
    annotator::models::base_folder::register(&app.rows, &store(app), folder).await.unwrap()
}

/// Made from a base; of the files of the tiny base, with its template and without a card.
async fn add_child(app: &TestApp, parent: ModelId) -> ModelId {
    let stored = store(app).import(&tiny_base()).unwrap();
    annotator::keeping::artifacts::record(&app.rows, &stored).await.unwrap();
    let parent = model::Entity::find_by_id(parent).one(&app.rows).await.unwrap().unwrap();
    let child = model::ActiveModel {
        id: Set(ModelId::new()),
        name: Set("child".to_owned()),
        kind: Set(model::ModelKind::Sft),
        parent_id: Set(Some(parent.id)),
        artifact_hash: Set(stored.hash),
        created_at: Set(UnixMillis::now()),
        ..parent.into()
    };
    child.insert(&app.rows).await.unwrap().id
}

fn store(app: &TestApp) -> ArtifactStore {
    ArtifactStore::open(app.database.folder.path().join("artifacts")).unwrap()
}

/// Term and description of every pair within an element.
fn pairs(page: &Page, within: &str) -> HashMap<String, String> {
    let texts = |tag: &str| page.texts(&format!("{within} dl.pairs {tag}"));
    texts("dt").into_iter().zip(texts("dd")).collect()
}

async fn facts(
    visitor: &Visitor,
    project: &str,
    kind: &str,
    typed: &str,
) -> HashMap<String, String> {
    pairs(&visitor.get(&format!("{project}/runs/new/{kind}/facts?{typed}")).await, "")
}

fn gigabytes(memory: &str) -> f64 {
    let (_, total) = memory.split_once("adds to it: ").expect("the total");
    total.split(' ').next().unwrap().parse().expect("a number")
}

on_both_databases! {
    async fn the_launch_form_says_what_is_known_of_a_base_and_what_a_run_needs(database: TestDb) {
        let app = TestApp::start(database, Worker::None).await;
        let project = app.new_project("Animals").await;
        let engineer = app.new_person(&project, "erin", &["engineer"]).await;
        let base = add_base(&app).await;

        let form = engineer.get(&format!("{project}/runs/new/sft")).await;
        let said = pairs(&form, ".facts");
        let parameters = said["Parameters"].as_str();
        assert!(parameters.starts_with("205 K · ") && parameters.ends_with(" KiB on disk"), "{parameters}");
        assert_eq!(said["Context"], "512 tokens");
        assert!(said["Chat template"].starts_with("None: "), "{said:?}");
        assert_eq!(said["Languages"], "English, русский");
        // 1,024 tokens are asked for, and the model reads 512.
        assert!(said["Memory, about"].contains("are of 512 tokens each"), "{said:?}");

        let child = add_child(&app, base).await;
        let said = facts(&engineer, &project, "sft", &format!("model={child}&batch_size=1")).await;
        assert_eq!(said["Chat template"], "Yes");
        assert_eq!(said["Languages"], "English, русский", "from what it was made from");
        assert!(said["Memory, about"].contains("where it is 1 sequence of 512 tokens."), "{said:?}");
        let page = engineer.get(&format!("{project}/models/{child}")).await;
        assert_eq!(pairs(&page, "")["Languages"], "English, русский");
    }
}

on_both_databases! {
    async fn the_memory_follows_the_settings_and_says_nothing_of_settings_that_are_wrong(database: TestDb) {
        let app = TestApp::start(database, Worker::None).await;
        let project = app.new_project("Animals").await;
        let base = add_base(&app).await;
        let memory = async |kind: &str, typed: &str| {
            let said = facts(&app.admin, &project, kind, &format!("model={base}&{typed}")).await;
            said.get("Memory, about").cloned()
        };
        let small = memory("sft", "batch_size=1&max_length=512").await.unwrap();
        let large = memory("sft", "batch_size=400&max_length=512").await.unwrap();
        assert!(gigabytes(&large) > 2.0 * gigabytes(&small), "{small} / {large}");
        let pairs = memory("dpo", "batch_size=200&max_length=512").await.unwrap();
        assert_eq!(gigabytes(&pairs), gigabytes(&large), "a pair is two sequences");
        assert_eq!(memory("sft", "batch_size=many").await, None);
        assert_eq!(memory("ppo", "").await, None, "no reward model is there to choose");
        assert!(memory("sample", "").await.unwrap().contains("at once"));
    }
}
