//! Tasks that wait, or are in somebody's hands, while something of them is erased: nobody is asked of
//! what is gone.

use crate::support::{
    app::{TestApp, Worker},
    backups::done,
    builders::add_comparisons,
    database::on_both_databases,
    web::{Page, Visitor},
};
use annotator::work::assignment::expire_lapsed;
use entity::{
    assignment::{self, AssignmentState},
    completion,
    ids::TaskId,
    judgement, task, task_completion,
    time::UnixMillis,
};
use sea_orm::{
    ColumnTrait, DatabaseConnection, EntityTrait, PaginatorTrait, QueryFilter, sea_query::Expr,
};

const REMOVED: &str = "this text was removed";

/// Erases the first answer of a task.
async fn erase_an_answer(app: &TestApp, task: TaskId) {
    let places = task_completion::Entity::find().filter(task_completion::Column::TaskId.eq(task));
    let place = places.one(&app.rows).await.unwrap().expect("an answer");
    let answer = completion::Entity::find_by_id(place.completion_id).one(&app.rows).await.unwrap();
    let hash = answer.expect("the answer").text_hash;
    done(&app.database, &["erase", "--text", &hash, "--reason", "asked", "--yes"]);
}

/// The slots of a task that nobody has and how many want somebody; they add up with those who hold it.
async fn slots(db: &DatabaseConnection, id: TaskId) -> (i32, i32) {
    let task = task::Entity::find_by_id(id).one(db).await.unwrap().unwrap();
    let holders = assignment::Entity::find()
        .filter(assignment::Column::TaskId.eq(id))
        .filter(
            assignment::Column::State.is_in([AssignmentState::Leased, AssignmentState::Submitted]),
        )
        .count(db)
        .await
        .unwrap();
    assert_eq!(task.open_slots, task.overlap - holders as i32, "the slots add up");
    (task.open_slots, task.overlap)
}

async fn of_assignment(db: &DatabaseConnection, page: &Page) -> assignment::Model {
    let id = page.id().parse().unwrap();
    assignment::Entity::find_by_id::<entity::ids::AssignmentId>(id).one(db).await.unwrap().unwrap()
}

/// Everything that a person is given to compare, until nothing is left; how many.
async fn compare_all(who: &Visitor, project: &str) -> usize {
    let mut page = who.get(&format!("{project}/compare")).await;
    let mut n = 0;
    while let Some(form) = page.find_form(page.url.path()) {
        assert!(!page.text().contains(REMOVED), "{}", page.text());
        page = who.submit(form.choosing("choice", "1")).await;
        n += 1;
    }
    n
}

on_both_databases! {
    async fn a_pair_of_which_an_answer_was_erased_is_given_to_nobody(database: TestDb) {
        let app = TestApp::start(database, Worker::None).await;
        let project = app.new_project("Pairs").await;
        let anna = app.new_person(&project, "anna", &["annotator"]).await;
        let tasks = add_comparisons(&app.rows, &project, [2, 1, 2]).await;
        erase_an_answer(&app, tasks[0]).await;
        erase_an_answer(&app, tasks[2]).await;
        assert_eq!(slots(&app.rows, tasks[0]).await, (0, 0));
        let home = anna.get(&project).await;
        assert!(home.text().contains("Compare answers (1)"), "{}", home.text());
        let figures = app.admin.get(&project).await.texts("dl.figures dd");
        assert_eq!(figures[3], "1", "what is gone is no open work: {figures:?}");
        assert_eq!(compare_all(&anna, &project).await, 1);
    }
}

on_both_databases! {
    async fn whoever_holds_a_pair_of_which_an_answer_is_erased_is_given_another(database: TestDb) {
        let app = TestApp::start(database, Worker::None).await;
        let project = app.new_project("Held").await;
        let anna = app.new_person(&project, "anna", &["annotator"]).await;
        let boris = app.new_person(&project, "boris", &["annotator"]).await;
        let tasks = add_comparisons(&app.rows, &project, [3, 2]).await;
        let answered = boris.get(&format!("{project}/compare")).await;
        let form = answered.form(answered.url.path()).choosing("choice", "1");
        boris.submit(form).await;
        let held = anna.get(&format!("{project}/compare")).await;
        assert_eq!(of_assignment(&app.rows, &held).await.task_id, tasks[0], "the oldest comes first");

        erase_an_answer(&app, tasks[0]).await;
        assert_eq!(slots(&app.rows, tasks[0]).await, (0, 1), "what was said of it stays");
        let next = anna.get(&format!("{project}/compare")).await;
        assert_eq!(of_assignment(&app.rows, &next).await.task_id, tasks[1]);
        assert!(!next.text().contains(REMOVED), "{}", next.text());

        // What was begun may be sent all the same, and opens nothing; nor does who thinks better of it.
        let late = held.form(held.url.path()).choosing("choice", "1");
        anna.submit(late).await;
        assert_eq!(of_assignment(&app.rows, &held).await.state, AssignmentState::Extra);
        let said = judgement::Entity::find().filter(judgement::Column::TaskId.eq(tasks[0]));
        assert_eq!(said.count(&app.rows).await.unwrap(), 2);
        let again = boris.get(answered.url.path()).await;
        let skip = again.form(&format!("{}/skip", answered.url.path()));
        boris.submit(skip.choosing("reason", "broken")).await;
        assert_eq!(of_assignment(&app.rows, &answered).await.state, AssignmentState::Skipped);
        assert_eq!(slots(&app.rows, tasks[0]).await, (0, 0));
        assert_eq!(compare_all(&app.new_person(&project, "clara", &["annotator"]).await, &project).await, 0);
    }
}

on_both_databases! {
    async fn whoever_holds_the_task_of_a_prompt_that_is_erased_is_given_another(database: TestDb) {
        let app = TestApp::start(database, Worker::None).await;
        let project = app.new_project("Asked").await;
        let anna = app.new_person(&project, "anna", &["annotator"]).await;
        app.add_prompts(&project, ["Where does Wilhelmine Zarkwob live?".to_owned()]).await;
        let held = anna.get(&format!("{project}/demonstrate")).await;
        assert!(held.text().contains("Zarkwob"), "{}", held.text());
        app.add_prompts(&project, ["Why is the sky blue?".to_owned()]).await;
        done(&app.database, &["erase", "--containing", "Zarkwob", "--reason", "asked", "--yes"]);
        let next = anna.get(&format!("{project}/demonstrate")).await;
        assert!(next.text().contains("Why is the sky blue?"), "{}", next.text());
        let home = anna.get(&project).await;
        assert!(home.text().contains("Write answers (1)"), "{}", home.text());
        let left = of_assignment(&app.rows, &held).await;
        assert_eq!(left.state, AssignmentState::Expired);
        assert_eq!(slots(&app.rows, left.task_id).await.0, 0);

        // Leases that run out open nothing, either.
        assignment::Entity::update_many()
            .col_expr(assignment::Column::ExpiresAt, Expr::value(UnixMillis(1)))
            .exec(&app.rows)
            .await
            .unwrap();
        expire_lapsed(&app.rows).await.unwrap();
        assert_eq!(slots(&app.rows, left.task_id).await.0, 0);
    }
}

/// What a page says of a task that is no longer in one's hands.
fn ended(page: &Page) -> (Vec<String>, Vec<String>) {
    let shown = |mark: &str| page.texts(&format!("[{mark}]:not([hidden])"));
    (shown("data-expired"), shown("data-erased"))
}

on_both_databases! {
    async fn whoever_held_what_was_erased_is_told_that_and_not_that_time_ran_out(database: TestDb) {
        let app = TestApp::start(database, Worker::None).await;
        let project = app.new_project("Told").await;
        let anna = app.new_person(&project, "anna", &["annotator"]).await;
        let tasks = add_comparisons(&app.rows, &project, [1]).await;
        let asked = ["Where does Wilhelmine Zarkwob live?", "Why is the sky blue?"];
        app.add_prompts(&project, asked.map(str::to_owned)).await;
        let pair = anna.get(&format!("{project}/compare")).await;
        let question = anna.get(&format!("{project}/demonstrate")).await;
        assert!(question.text().contains("Zarkwob"), "{}", question.text());
        erase_an_answer(&app, tasks[0]).await;
        done(&app.database, &["erase", "--containing", "Zarkwob", "--reason", "asked", "--yes"]);
        for held in [&pair, &question] {
            let address = held.url.path();
            let (expired, erased) = ended(&anna.get(address).await);
            assert!(expired.is_empty(), "{expired:?}");
            assert!(erased.concat().contains("Part of this task was removed"), "{erased:?}");
            // The script of a page that is open learns it, too.
            let form = held.form(address);
            let fields = ["csrf", "draft_version"].map(|name| (name, form.value(name).unwrap()));
            let saved = anna.ask("POST", &format!("{address}/draft?quiet=true"), &fields).await;
            let saved: serde_json::Value = saved.json().await.unwrap();
            assert_eq!((&saved["is_held"], &saved["is_erased"]), (&false.into(), &true.into()));
        }
        anna.read_in("ru").await;
        let (_, erased) = ended(&anna.get(pair.url.path()).await);
        assert!(erased.concat().contains("Часть этого задания удалена"), "{erased:?}");
        anna.read_in("en").await;

        // Of another task it is time that ran out.
        let late = anna.get(&format!("{project}/demonstrate")).await;
        assignment::Entity::update_many()
            .col_expr(assignment::Column::ExpiresAt, Expr::value(UnixMillis(1)))
            .exec(&app.rows)
            .await
            .unwrap();
        expire_lapsed(&app.rows).await.unwrap();
        let (expired, erased) = ended(&anna.get(late.url.path()).await);
        assert!(expired.concat().contains("15 minutes") && erased.is_empty(), "{erased:?}");
    }
}
