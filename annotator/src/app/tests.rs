//! Below a base path, every address that the pages name begins with it.

use super::*;
use crate::{
    config::StorageConfig,
    data::{
        dataset::{self, DatasetContents},
        formats::row::ImportRow,
        import,
    },
    people::{accounts, accounts::NewAccount, projects},
    web::{address, principal::Principal},
};
use actix_web::{
    dev::Service,
    http::header,
    test::{TestRequest, call_service, init_service, read_body},
};
use entity::{
    account,
    ids::{ModelId, ProjectId, RunId},
    judgement, model, prompt, run,
    run_config::RunKind,
    time::UnixMillis,
};
use sea_orm::{ActiveModelTrait, ActiveValue::Set, EntityTrait};
use serde_json::json;

/// Attributes whose values are addresses.
const ADDRESSES: [&str; 10] = [
    "href",
    "action",
    "formaction",
    "src",
    "data-url",
    "data-news",
    "data-draft",
    "data-preview",
    "data-facts",
    "value",
];

const ROWS: [&str; 4] = [
    r#"{"prompt":"Q","completion":"A"}"#,
    r#"{"prompt":"R","completion":"B"}"#,
    r#"{"prompt":"S","chosen":"C","rejected":"D"}"#,
    r#"{"prompt":"T"}"#,
];

/// An administrator's project with something of every sort in it.
struct FullProject {
    db: DatabaseConnection,
    store: ArtifactStore,
    admin: account::Model,
    id: ProjectId,
    /// Paths of the pages that show one thing.
    pages: Vec<String>,
    _folder: tempfile::TempDir,
}

impl FullProject {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let storage = StorageConfig::in_folder(folder.path());
        let db = database::open(&storage).await.unwrap();
        let store = ArtifactStore::open_writable(storage.artifacts_dir()).unwrap();
        let admin = NewAccount {
            login: "admin".to_owned(),
            display_name: "Administrator".to_owned(),
            password_hash: String::new(),
            is_admin: true,
            password_is_one_time: true,
        };
        let admin = accounts::create_account(&db, admin).await.unwrap();
        let id = projects::create(&db, "P", "").await.unwrap().id;
        let rows = ROWS.map(|row| ImportRow::parse(row).unwrap());
        import::store::store_all(&db, id, &rows).await.unwrap();
        let frozen =
            dataset::freeze(&db, &store, id, DatasetContents::Demonstrations).await.unwrap();
        let version = frozen.record(&db, Some(admin.id)).await.unwrap();
        let run = add_run(&db, id, &admin).await;
        let model = add_model(&db, id, run).await;
        let judgement = judgement::Entity::find().one(&db).await.unwrap().unwrap().id;
        let prompt = prompt::Entity::find().one(&db).await.unwrap().unwrap().id;
        let pages = vec![
            format!("/datasets/{version}"),
            format!("/runs/{run}"),
            format!("/models/{model}"),
            format!("/judgements/{judgement}"),
            format!("/prompts/{prompt}"),
        ];
        Self { db, store, admin, id, pages, _folder: folder }
    }

    fn paths(&self) -> Vec<String> {
        let everybody =
            ["/", "/settings", "/notices", "/notices/new", "/projects/new", "/admin/people"];
        let lists = [
            "",
            "/people",
            "/prompts",
            "/datasets",
            "/runs",
            "/runs/new/sft",
            "/runs/new/ppo",
            "/runs/new/grpo",
            "/runs/new/kto",
            "/runs/new/rloo",
            "/runs/compare",
            "/models",
            "/models/new",
            "/delete",
            "/demonstrate",
            "/compare",
        ];
        let in_project = lists.iter().map(|page| (*page).to_owned()).chain(self.pages.clone());
        let in_project = in_project.map(|page| format!("/projects/{}{page}", self.id));
        let everybody = everybody.map(str::to_owned).into_iter();
        everybody.chain(["/admin/disk".to_owned()]).chain(in_project).collect()
    }
}

async fn add_run(db: &DatabaseConnection, project: ProjectId, by: &account::Model) -> RunId {
    let row = run::ActiveModel {
        id: Set(RunId::new()),
        project_id: Set(project),
        kind: Set(RunKind::Sft),
        config: Set(json!({})),
        status: Set(run::RunStatus::Succeeded),
        attempt: Set(0),
        fruitless_attempts: Set(0),
        furthest_step: Set(0),
        cancel_requested: Set(false),
        progress: Set(0.0),
        step: Set(0),
        n_steps: Set(0),
        created_by: Set(Some(by.id)),
        created_at: Set(UnixMillis::now()),
        finished_at: Set(Some(UnixMillis::now())),
        ..<run::ActiveModel as Default>::default()
    };
    row.insert(db).await.unwrap().id
}

/// Deleted, so that its page shows no files.
async fn add_model(db: &DatabaseConnection, project: ProjectId, run: RunId) -> ModelId {
    let row = model::ActiveModel {
        id: Set(ModelId::new()),
        project_id: Set(Some(project)),
        name: Set("model".to_owned()),
        kind: Set(model::ModelKind::Sft),
        artifact_hash: Set("0".repeat(64)),
        n_parameters: Set(1),
        run_id: Set(Some(run)),
        created_at: Set(UnixMillis::now()),
        deleted_at: Set(Some(UnixMillis::now())),
        ..<model::ActiveModel as Default>::default()
    };
    row.insert(db).await.unwrap().id
}

/// The addresses in a page or in JSON.
fn addresses(body: &str) -> Vec<&str> {
    let mut found = Vec::new();
    for name in ADDRESSES {
        for rest in body.split(&format!(" {name}=\"")).skip(1) {
            found.extend(rest.split('"').next());
        }
    }
    for rest in body.split("\"url\":\"").skip(1) {
        found.extend(rest.split('"').next());
    }
    found.retain(|address| address.starts_with('/'));
    found
}

#[actix_web::test]
async fn below_a_base_path_every_address_begins_with_it() {
    address::set_base("/attune");
    let full = FullProject::new().await;
    let (admin, db) = (full.admin.clone(), full.db.clone());
    let live = LiveModels::new(full.store.clone(), None, 0);
    let app = ActixApp::new()
        .app_data(web::Data::new(db.clone()))
        .app_data(web::Data::new(full.store.clone()))
        .app_data(web::Data::new(RunFeed::new(db.clone())))
        .app_data(web::Data::new(RunDigests::new(db.clone())))
        .app_data(web::Data::new(RowCounter::new(db.clone(), full.store.clone())))
        .app_data(web::Data::new(live))
        .configure(routes::configure)
        .wrap_fn(move |request, service| {
            Principal::set(request.request(), Some(admin.clone()));
            service.call(request)
        })
        .wrap(session::middleware(db, false));
    let app = init_service(app).await;
    let mut n_found = 0;
    for path in full.paths() {
        let response = call_service(&app, TestRequest::get().uri(&path).to_request()).await;
        let status = response.status();
        assert!(status.is_success() || status.is_redirection(), "{path}: {status}");
        if let Some(to) = response.headers().get(header::LOCATION) {
            assert!(to.to_str().unwrap().starts_with("/attune/"), "{path} leads to {to:?}");
        }
        let body = read_body(response).await;
        let body = std::str::from_utf8(&body).unwrap();
        for address in addresses(body) {
            n_found += 1;
            assert!(address.starts_with("/attune/"), "{path} names {address}");
        }
    }
    assert!(n_found > 300, "only {n_found} addresses were found");
}
