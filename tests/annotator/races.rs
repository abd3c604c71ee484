//! Claims under a crowd: nothing is given out twice, nothing gets lost. Changes that get in each
//! other's way: both are made.

use super::bench::Bench;
use crate::support::{
    app::{Server, TestApp, Worker},
    builders::add_comparisons,
    database::on_both_databases,
    people::{self, Judging},
    web::Visitor,
};
use annotator::people::{account_changes, accounts, links};
use entity::{
    account,
    account_link::LinkPurpose,
    assignment::{self, AssignmentState},
    ids::TaskId,
    judgement, task,
};
use futures_util::future::join_all;
use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, EntityTrait, Statement};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};
use storage::database::begin_write;

const N_TASKS: usize = 200;
const N_PEOPLE: usize = 16;

/// How many people must judge a task: the first half two, the others one.
fn overlap(task: usize) -> i32 {
    if task < N_TASKS / 2 { 2 } else { 1 }
}

on_both_databases! {
    async fn two_servers_give_every_slot_to_one_person(database: TestDb) {
        let app = TestApp::start(database, Worker::None).await;
        let second = tokio::task::block_in_place(|| Server::start(&app.database, Worker::None));
        assert_eq!(second.first_password, None, "the second process finds what the first made");
        let project = app.new_project("A crowd").await;
        let tasks = add_comparisons(&app.rows, &project, (0..N_TASKS).map(overlap)).await;
        let mut people = Vec::new();
        for person in 0..N_PEOPLE {
            let login = format!("person{person}");
            let password = app.new_account(&project, &login, &["annotator"]).await;
            let server = if person % 2 == 0 { &app.server } else { &second };
            let visitor = Visitor::new(&server.url);
            visitor.sign_in(&login, &password).await;
            people.push(visitor);
        }

        let to_the_end = |_| false;
        let comparing = people
            .iter()
            .map(|who| people::compare(who, &project, 1, Judging::ByTaste, to_the_end));
        let judged = join_all(comparing).await;

        let n_slots: usize = (0..N_TASKS).map(|task| overlap(task) as usize).sum();
        assert_eq!(judged.iter().sum::<usize>(), n_slots, "each slot was filled once: {judged:?}");
        assert!(judged.iter().filter(|n| **n > 0).count() > N_PEOPLE / 2, "they did race: {judged:?}");
        let mut people_of: BTreeMap<TaskId, BTreeSet<_>> = BTreeMap::new();
        for row in assignment::Entity::find().all(&app.rows).await.unwrap() {
            assert_eq!(row.state, AssignmentState::Submitted);
            assert!(people_of.entry(row.task_id).or_default().insert(row.account_id));
        }
        for (i, id) in tasks.iter().enumerate() {
            assert_eq!(people_of[id].len(), overlap(i) as usize, "task {i}");
        }
        for row in task::Entity::find().all(&app.rows).await.unwrap() {
            assert!(row.kind == task::TaskKind::Demonstrate || row.open_slots == 0);
        }
        let judgements = judgement::Entity::find().all(&app.rows).await.unwrap();
        let assignments: BTreeSet<_> = judgements.iter().map(|row| row.assignment_id).collect();
        assert_eq!((judgements.len(), assignments.len()), (n_slots, n_slots), "nothing lost, nothing doubled");
    }
}

async fn person(db: &DatabaseConnection, login: &str, is_admin: bool) -> account::Model {
    let new = accounts::NewAccount {
        login: login.to_owned(),
        display_name: login.to_owned(),
        password_hash: "none".to_owned(),
        is_admin,
        password_is_one_time: false,
    };
    accounts::create_account(db, new).await.unwrap()
}

/// Until a statement waits for a row that another transaction has changed. (On SQLite whoever writes
/// waits for its turn before its first statement.)
async fn somebody_waits(db: &DatabaseConnection) {
    if db.get_database_backend() != DbBackend::Postgres {
        return;
    }
    let waiting = "SELECT 1 AS one FROM pg_stat_activity \
                   WHERE datname = current_database() AND wait_event_type = 'Lock'";
    for _ in 0..500 {
        let waiting = Statement::from_string(DbBackend::Postgres, waiting);
        if db.query_one_raw(waiting).await.unwrap().is_some() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("nobody waits");
}

on_both_databases! {
    async fn a_change_that_a_deadlock_takes_back_is_made_again(database: TestDb) {
        let bench = Bench::new(database).await;
        let (admin, anna) = (person(&bench.db, "admin", true).await, person(&bench.db, "anna", false).await);
        links::make(&bench.db, &anna, LinkPurpose::Reset).await.unwrap();
        let other = begin_write(&bench.db).await.unwrap();
        if other.get_database_backend() == DbBackend::Postgres {
            // So it is the other one that the server takes back.
            other.execute_unprepared("SET LOCAL deadlock_timeout = '1min'").await.unwrap();
        }
        other.execute_unprepared("UPDATE account_link SET expires_at = expires_at + 1").await.unwrap();
        let crossing = async {
            somebody_waits(&bench.db).await;
            other.execute_unprepared("UPDATE account SET language = 'ru'").await.unwrap();
            other.commit().await.unwrap();
        };
        let (disabled, ()) =
            tokio::join!(account_changes::disable(&bench.db, &admin, anna.id), crossing);
        disabled.unwrap();
        let anna = account::Entity::find_by_id(anna.id).one(&bench.db).await.unwrap().unwrap();
        assert!(anna.disabled_at.is_some());
        assert_eq!(anna.language.as_deref(), Some("ru"), "the other's change stands as well");
    }
}

on_both_databases! {
    async fn the_last_task_that_somebody_is_about_to_take_is_waited_for(database: TestDb) {
        let app = TestApp::start(database, Worker::None).await;
        let project = app.new_project("The last").await;
        add_comparisons(&app.rows, &project, [2]).await;
        let anna = app.new_person(&project, "anna", &["annotator"]).await;
        let boris = app.new_person(&project, "boris", &["annotator"]).await;
        // Somebody takes a slot of the only task, and a moment later does not after all.
        let taken = begin_write(&app.rows).await.unwrap();
        let take = "UPDATE task SET open_slots = open_slots - 1 WHERE kind = 'compare'";
        taken.execute_unprepared(take).await.unwrap();
        let address = format!("{project}/compare");
        let end = async {
            tokio::time::sleep(Duration::from_millis(700)).await;
            taken.rollback().await.unwrap();
        };
        let (one, other, ()) = tokio::join!(anna.get(&address), boris.get(&address), end);
        for page in [one, other] {
            assert!(page.url.path().contains("/tasks/"), "nothing is left: {}", page.text());
        }
        let late = app.new_person(&project, "late", &["annotator"]).await;
        assert_eq!(late.get(&address).await.url.path(), address, "now nothing is");
    }
}
