//! Claims under a crowd: nothing is given out twice, nothing gets lost.

use crate::support::{
    app::{Server, TestApp, Worker},
    builders::add_comparisons,
    database::on_both_databases,
    people::{self, Judging},
    web::Visitor,
};
use entity::{
    assignment::{self, AssignmentState},
    ids::TaskId,
    judgement, task,
};
use futures_util::future::join_all;
use sea_orm::EntityTrait;
use std::collections::{BTreeMap, BTreeSet};

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
