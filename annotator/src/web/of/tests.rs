//! Objects as arguments, in addresses with a project and in addresses without one.

use super::*;
use crate::{
    config::StorageConfig,
    database,
    people::{accounts, accounts::NewAccount, members, projects},
    training::launch::{self, LaunchRequest},
    web::access::Engineer,
};
use actix_web::{test::TestRequest, web};
use entity::{membership::ProjectRole, run::RunKind, time::UnixMillis};
use sea_orm::{ActiveModelTrait, ActiveValue::Set};
use serde_json::json;

/// Two projects with a run each; somebody is an engineer of the first.
struct World {
    db: DatabaseConnection,
    engineer: account::Model,
    mine: ProjectId,
    theirs: ProjectId,
    _folder: tempfile::TempDir,
}

impl World {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let storage = StorageConfig::in_folder(folder.path());
        let db = database::open(&storage).await.unwrap();
        let mine = projects::create(&db, "Mine", "").await.unwrap().id;
        let theirs = projects::create(&db, "Theirs", "").await.unwrap().id;
        let engineer = person(&db, "engineer").await;
        members::give_role(&db, engineer.id, mine, ProjectRole::Engineer).await.unwrap();
        Self { db, engineer, mine, theirs, _folder: folder }
    }

    async fn run_of(&self, project: ProjectId) -> RunId {
        let (kind, config) = (RunKind::Sft, json!({}));
        let request = LaunchRequest { project, kind, config, inputs: Vec::new(), by: None };
        launch::queue(&self.db, &request).await.unwrap()
    }

    /// What somebody gets who asks for an object by the placeholders of an address.
    async fn ask<M: ProjectObject>(
        &self,
        who: Option<&account::Model>,
        placeholders: &[(&'static str, String)],
    ) -> Result<Of<Engineer, M>, AppError> {
        let data = web::Data::new(self.db.clone());
        let mut request = TestRequest::default().app_data(data);
        for (name, value) in placeholders {
            request = request.param(*name, value.clone());
        }
        let request = request.to_http_request();
        Principal::set(&request, who.cloned());
        Of::<Engineer, M>::extract(&request).await
    }
}

async fn person(db: &DatabaseConnection, login: &str) -> account::Model {
    let new = NewAccount {
        login: login.to_owned(),
        display_name: login.to_owned(),
        password_hash: String::new(),
        is_admin: false,
        password_is_one_time: false,
    };
    accounts::create_account(db, new).await.unwrap()
}

fn run_at(run: RunId) -> (&'static str, String) {
    ("run", run.to_string())
}

fn project_at(project: ProjectId) -> (&'static str, String) {
    ("project", project.to_string())
}

#[tokio::test]
async fn without_a_project_in_the_address_the_object_says_its_project() {
    let world = World::new().await;
    let run = world.run_of(world.mine).await;
    let engineer = Some(&world.engineer);
    let Of(Engineer(access), found) =
        world.ask::<run::Model>(engineer, &[run_at(run)]).await.unwrap();
    assert_eq!((access.project.id, found.id), (world.mine, run));

    let theirs = world.run_of(world.theirs).await;
    let refused = world.ask::<run::Model>(engineer, &[run_at(theirs)]).await;
    assert!(matches!(refused, Err(AppError::NotFound)));
    let unknown = world.ask::<run::Model>(engineer, &[run_at(RunId::new())]).await;
    assert!(matches!(unknown, Err(AppError::NotFound)));
    let nobody = world.ask::<run::Model>(None, &[run_at(run)]).await;
    assert!(matches!(nobody, Err(AppError::SignInFirst { .. })));
    let annotator = person(&world.db, "annotator").await;
    members::give_role(&world.db, annotator.id, world.mine, ProjectRole::Annotator).await.unwrap();
    let other_role = world.ask::<run::Model>(Some(&annotator), &[run_at(run)]).await;
    assert!(matches!(other_role, Err(AppError::Forbidden)));
}

#[tokio::test]
async fn an_object_of_another_project_is_not_in_the_one_of_the_address() {
    let world = World::new().await;
    let (mine, theirs) = (world.run_of(world.mine).await, world.run_of(world.theirs).await);
    let engineer = Some(&world.engineer);
    let address = |project, run| [project_at(project), run_at(run)];
    assert!(world.ask::<run::Model>(engineer, &address(world.mine, mine)).await.is_ok());
    for elsewhere in [address(world.mine, theirs), address(world.theirs, theirs)] {
        let refused = world.ask::<run::Model>(engineer, &elsewhere).await;
        assert!(matches!(refused, Err(AppError::NotFound)));
    }
}

#[tokio::test]
async fn a_base_is_every_projects_and_needs_one_in_the_address() {
    let world = World::new().await;
    let base = model::ActiveModel {
        id: Set(ModelId::new()),
        project_id: Set(None),
        name: Set("base".to_owned()),
        kind: Set(model::ModelKind::Base),
        artifact_hash: Set("0".repeat(64)),
        n_parameters: Set(1),
        created_at: Set(UnixMillis::now()),
        ..<model::ActiveModel as Default>::default()
    };
    let base = base.insert(&world.db).await.unwrap().id;
    let engineer = Some(&world.engineer);
    let model = ("model", base.to_string());
    let found = world.ask::<model::Model>(engineer, &[project_at(world.mine), model.clone()]).await;
    assert_eq!(found.unwrap().1.id, base);
    let of_theirs = [project_at(world.theirs), model.clone()];
    assert!(matches!(
        world.ask::<model::Model>(engineer, &of_theirs).await,
        Err(AppError::NotFound)
    ));
    assert!(matches!(world.ask::<model::Model>(engineer, &[model]).await, Err(AppError::NotFound)));
}
