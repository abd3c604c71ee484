//! Claims, answers and imports against a real SQLite file. (The races on both databases are in the
//! workspace's `tests`.)

use crate::{
    config::StorageConfig,
    data::{formats::row::ImportRow, import, prompts},
    database,
    people::{accounts, accounts::NewAccount, projects},
    work::{
        assignment::{claim, expire_lapsed},
        form::{TaskForm, TaskSubmission},
        judgement::{self, store},
        kinds::{self, skip},
    },
};
use entity::{
    assignment::{self, AssignmentState},
    conversation::PromptBody,
    ids::{AccountId, ProjectId},
    judgement::JudgementPayload,
    task::{self, TaskKind},
    time::UnixMillis,
};
use sea_orm::{DatabaseConnection, EntityTrait, PaginatorTrait, sea_query::Expr};

struct World {
    db: DatabaseConnection,
    project: ProjectId,
    _folder: tempfile::TempDir,
}

impl World {
    /// A project with that many prompts, each of which wants one answer.
    async fn with_prompts(n: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let storage = StorageConfig::in_folder(folder.path());
        let db = database::open(&storage).await.unwrap();
        let project = projects::create(&db, "P", "").await.unwrap().id;
        let texts: Vec<PromptBody> =
            (0..n).map(|n| PromptBody::Text(format!("prompt {n}"))).collect();
        prompts::add(&db, project, &texts).await.unwrap();
        Self { db, project, _folder: folder }
    }

    async fn person(&self, login: &str) -> AccountId {
        let new = NewAccount {
            login: login.to_owned(),
            display_name: login.to_owned(),
            password_hash: String::new(),
            is_admin: false,
            password_is_one_time: false,
        };
        accounts::create_account(&self.db, new).await.unwrap().id
    }

    async fn claim(&self, who: AccountId) -> Option<assignment::Model> {
        claim(&self.db, who, self.project, TaskKind::Demonstrate).await.unwrap()
    }

    async fn open_slots(&self) -> i32 {
        task::Entity::find().one(&self.db).await.unwrap().unwrap().open_slots
    }

    async fn state(&self, of: &assignment::Model) -> AssignmentState {
        assignment::Entity::find_by_id(of.id).one(&self.db).await.unwrap().unwrap().state
    }

    /// Lets every lease run out.
    async fn time_passes(&self) {
        assignment::Entity::update_many()
            .col_expr(assignment::Column::ExpiresAt, Expr::value(UnixMillis(1)))
            .exec(&self.db)
            .await
            .unwrap();
    }
}

fn answer(text: &str, key: &str) -> TaskSubmission {
    let form = TaskForm::default().with("answer", text).with("idempotency_key", key);
    kinds::definition(TaskKind::Demonstrate).parse(&form).unwrap()
}

fn skipped() -> TaskSubmission {
    skip::parse(&TaskForm::default().with("reason", "unclear")).unwrap()
}

#[actix_web::test]
async fn one_slot_is_given_to_one_person_who_keeps_it() {
    let world = World::with_prompts(1).await;
    let (anna, boris) = (world.person("anna").await, world.person("boris").await);
    let first = world.claim(anna).await.unwrap();
    assert_eq!(world.claim(anna).await.unwrap().id, first.id);
    assert_eq!(world.claim(boris).await, None);
    assert_eq!(world.open_slots().await, 0);
}

#[actix_web::test]
async fn a_lease_that_ran_out_goes_to_somebody_else() {
    let world = World::with_prompts(1).await;
    let (anna, boris) = (world.person("anna").await, world.person("boris").await);
    let annas = world.claim(anna).await.unwrap();
    world.time_passes().await;
    let boriss = world.claim(boris).await.unwrap();
    assert_eq!(boriss.task_id, annas.task_id);
    assert_eq!(world.state(&annas).await, AssignmentState::Expired);
}

#[actix_web::test]
async fn whoever_let_a_lease_run_out_gets_the_task_back_with_the_same_order() {
    let world = World::with_prompts(1).await;
    let anna = world.person("anna").await;
    let before = world.claim(anna).await.unwrap();
    world.time_passes().await;
    let after = world.claim(anna).await.unwrap();
    assert_eq!((after.id, after.order_seed), (before.id, before.order_seed));
    assert_eq!(after.state, AssignmentState::Leased);
}

#[actix_web::test]
async fn the_same_submit_sent_twice_is_one_judgement_and_another_answer_a_revision() {
    let world = World::with_prompts(1).await;
    let anna = world.person("anna").await;
    let held = world.claim(anna).await.unwrap();
    let first = store(&world.db, anna, held.id, answer("A", "key")).await.unwrap();
    let again = store(&world.db, anna, held.id, answer("A", "key")).await.unwrap();
    assert_eq!(first, again);
    let changed = store(&world.db, anna, held.id, answer("B", "key")).await.unwrap();
    assert_eq!((first.revision, changed.revision), (1, 2));
    assert_eq!(world.state(&held).await, AssignmentState::Submitted);
    assert_eq!(world.open_slots().await, 0);
}

#[actix_web::test]
async fn a_late_answer_takes_a_free_slot_or_is_kept_as_extra() {
    let world = World::with_prompts(1).await;
    let (anna, boris) = (world.person("anna").await, world.person("boris").await);
    let annas = world.claim(anna).await.unwrap();
    world.time_passes().await;
    let boriss = world.claim(boris).await.unwrap();
    store(&world.db, anna, annas.id, answer("late", "a")).await.unwrap();
    assert_eq!(world.state(&annas).await, AssignmentState::Extra);

    world.time_passes().await;
    assert_eq!(expire_lapsed(&world.db).await.unwrap(), 1);
    store(&world.db, boris, boriss.id, answer("later", "b")).await.unwrap();
    assert_eq!(world.state(&boriss).await, AssignmentState::Submitted);
    assert_eq!(world.open_slots().await, 0);
}

#[actix_web::test]
async fn a_skip_gives_the_slot_back_and_the_task_does_not_return() {
    let world = World::with_prompts(1).await;
    let (anna, boris) = (world.person("anna").await, world.person("boris").await);
    let held = world.claim(anna).await.unwrap();
    let said = store(&world.db, anna, held.id, skipped()).await.unwrap();
    assert!(matches!(said.payload, JudgementPayload::Skip { .. }));
    assert_eq!(world.open_slots().await, 1);
    assert_eq!(world.claim(anna).await, None);
    assert!(world.claim(boris).await.is_some());
}

#[actix_web::test]
async fn nobody_answers_for_somebody_else() {
    let world = World::with_prompts(1).await;
    let (anna, boris) = (world.person("anna").await, world.person("boris").await);
    let held = world.claim(anna).await.unwrap();
    let refused = store(&world.db, boris, held.id, answer("mine", "b")).await;
    assert!(matches!(refused, Err(judgement::StoreError::NoSuchAssignment)));
}

#[actix_web::test]
async fn importing_twice_is_importing_once() {
    let world = World::with_prompts(0).await;
    let lines = [
        r#"{"prompt":"Q"}"#,
        r#"{"prompt":"Q","completion":"A"}"#,
        r#"{"prompt":"Q","chosen":"A","rejected":"B"}"#,
    ];
    let rows = lines.map(|line| ImportRow::parse(line).unwrap());
    let first = import::store::store_all(&world.db, world.project, &rows).await.unwrap();
    assert_eq!((first.new_rows(), first.known), (3, 0));
    let again = import::store::store_all(&world.db, world.project, &rows).await.unwrap();
    assert_eq!((again.new_rows(), again.known), (0, 3));
    assert_eq!(entity::judgement::Entity::find().count(&world.db).await.unwrap(), 2);
    assert_eq!(task::Entity::find().count(&world.db).await.unwrap(), 3);
}
