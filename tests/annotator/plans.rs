//! What the statements of every answer cost, asked of the databases themselves: none looks through a
//! project, and a page takes few of them.

mod lists;

use super::bench::Bench;
use crate::support::{
    app::{Server, TestApp, Worker},
    builders::add_comparisons,
    database::{TestDb, on_both_databases},
    tcp_proxy::TcpProxy,
};
use annotator::{
    people::{
        accounts::{self, NewAccount},
        notices::UnreadRuns,
    },
    web::of::ProjectObject,
    work::{
        assignment::{claim, expire_lapsed},
        counts::WaitingTasks,
        drafts,
        form::{TaskForm, TaskSubmission},
        held_task::{HeldTask, ShownTask},
        judgement::{previous, store_and_claim},
        kinds,
        tasks::NewTask,
    },
};
use entity::{
    account, assignment,
    ids::MembershipId,
    membership::{self, ProjectRole},
    session,
    task::{self, TaskKind},
    time::UnixMillis,
};
use sea_orm::{
    ActiveValue::Set,
    ConnectionTrait, DatabaseConnection, DbBackend, EntityTrait, Statement,
    sea_query::{PostgresQueryBuilder, QueryBuilder, Values},
};
use serde_json::Value;
use std::time::Duration;
use storage::{
    database::{begin_write, row_chunks},
    statements::recorded,
    write_batch::BETWEEN,
};

/// Open tasks of the project.
const N_TASKS: usize = 2500;

/// Prompts that they are about.
const N_PROMPTS: usize = 100;

/// Rows that a statement may look at. A claim passes over what the person has dealt with, which here
/// is little.
const MAX_ROWS: f64 = 100.0;

/// A project with many open tasks.
async fn large(bench: &Bench) {
    let mut tasks = Vec::new();
    let mut prompts = Vec::new();
    for n in 0..N_PROMPTS {
        prompts.push(bench.prompt(&format!("What is number {n}?")).await);
    }
    for n in 0..N_TASKS {
        let prompt = prompts[n % N_PROMPTS];
        let origin = format!("plan:{n}");
        let (project, kind) = (bench.project, TaskKind::Demonstrate);
        tasks.push(NewTask { project, prompt, kind, overlap: 1, run: None, origin }.open());
    }
    for rows in row_chunks(tasks) {
        task::Entity::insert_many(rows).exec_without_returning(&bench.db).await.unwrap();
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

fn answer(text: &str) -> TaskSubmission {
    let form = TaskForm::default().with("answer", text).with("idempotency_key", text);
    kinds::definition(TaskKind::Demonstrate).parse(&form).unwrap()
}

/// Everything that a person's work asks of the database, several times over.
async fn work(bench: &Bench, who: &account::Model, n_answers: usize) {
    let db = &bench.db;
    let role = membership::ActiveModel {
        id: Set(MembershipId::new()),
        account_id: Set(who.id),
        project_id: Set(bench.project),
        role: Set(ProjectRole::Annotator),
        created_at: Set(UnixMillis::now()),
    };
    membership::Entity::insert(role).exec_without_returning(db).await.unwrap();
    let claimed = claim(db, who.id, bench.project, TaskKind::Demonstrate).await.unwrap();
    let mut held = claimed.expect("there is much to do");
    for n in 0..n_answers {
        let typed = TaskForm::default().with("answer", format!("begun {n}"));
        drafts::keep(db, who.id, held.id, typed).await.unwrap();
        let shown = ShownTask::load_with_access(db, who, held.id).await.unwrap();
        assert!(shown.is_some(), "they hold it");
        assert!(HeldTask::load_with_access(db, who, held.id).await.unwrap().is_some());
        let task = task::Entity::find_by_id(held.task_id).one(db).await.unwrap().unwrap();
        previous(db, &held, &task).await.unwrap();
        let said = answer(&format!("{n}"));
        let (_, next) = store_and_claim(db, who.id, held.id, said).await.unwrap();
        let left = assignment::Entity::find_by_id(held.id).one(db).await.unwrap().unwrap();
        previous(db, &left, &task).await.unwrap();
        held = next.expect("there is much to do");
    }
    WaitingTasks::of(db, who.id, bench.project).await.unwrap();
    UnreadRuns::of(db, who).await.unwrap();
    expire_lapsed(db).await.unwrap();
}

/// The plan of a statement, as SQLite tells it.
async fn sqlite_plan(db: &DatabaseConnection, statement: &Statement) -> Vec<String> {
    let mut explain = statement.clone();
    explain.sql = format!("EXPLAIN QUERY PLAN {}", statement.sql);
    let rows = db.query_all_raw(explain).await.unwrap();
    rows.iter().map(|row| row.try_get("", "detail").unwrap()).collect()
}

/// Tables that grow with a project.
const LARGE_TABLES: [&str; 11] = [
    "task",
    "assignment",
    "judgement",
    "prompt",
    "text",
    "draft",
    "completion",
    "session",
    "run",
    "dataset_version",
    "dataset_version_item",
];

/// Whether SQLite's plan looks through a large table, or sorts more than the few leases that a person
/// holds.
fn is_linear(plan: &[String]) -> bool {
    let is_scan = |line: &String| {
        let mut words = line.split(' ');
        words.next() == Some("SCAN") && words.next().is_some_and(is_large)
    };
    let sorts = plan.iter().any(|line| line.contains("TEMP B-TREE FOR ORDER BY"));
    let is_of_leases = plan[0].contains("assignment_account (account_id=? AND state=?)");
    plan.iter().any(is_scan) || sorts && !is_of_leases
}

fn is_large(table: &str) -> bool {
    LARGE_TABLES.contains(&table)
}

/// The large tables of which a statement makes a list, to look whether something is in it.
fn lists(sql: &str) -> Vec<&str> {
    let from = |list: &'_ str| list.split(" FROM \"").nth(1)?.split('"').next().map(str::to_owned);
    let tables = sql.split("IN (SELECT").skip(1).filter_map(from);
    tables.filter_map(|table| LARGE_TABLES.into_iter().find(|large| *large == table)).collect()
}

/// The most rows that any step of a statement's plan looked at on PostgreSQL, where the plan is one
/// for all values, as that of a statement which is kept.
async fn rows_looked_at(db: &DatabaseConnection, statement: &Statement) -> (f64, Value) {
    let turn = begin_write(db).await.unwrap();
    // What goes through a whole table in some order is cheap only while there is little in it.
    let settings =
        ["plan_cache_mode = force_generic_plan", "enable_seqscan = off", "enable_mergejoin = off"];
    for setting in settings {
        turn.execute_unprepared(&format!("SET LOCAL {setting}")).await.unwrap();
    }
    turn.execute_unprepared(&format!("PREPARE hot AS {}", statement.sql)).await.unwrap();
    let values = statement.values.clone().map(|values| values.0).unwrap_or_default();
    let values: Vec<String> =
        values.iter().map(|value| PostgresQueryBuilder.value_to_string(value)).collect();
    let arguments =
        if values.is_empty() { String::new() } else { format!("({})", values.join(", ")) };
    let explain = format!("EXPLAIN (ANALYZE, FORMAT JSON) EXECUTE hot{arguments}");
    let row =
        turn.query_one_raw(Statement::from_string(DbBackend::Postgres, explain)).await.unwrap();
    let plan: Value = row.unwrap().try_get_by_index(0).unwrap();
    turn.execute_unprepared("DEALLOCATE hot").await.unwrap();
    turn.rollback().await.unwrap();
    (most_rows(&plan[0]["Plan"]), plan)
}

fn most_rows(node: &Value) -> f64 {
    let number = |name: &str| node[name].as_f64().unwrap_or_default();
    let own = (number("Actual Rows")
        + number("Rows Removed by Filter")
        + number("Rows Removed by Join Filter"))
        * number("Actual Loops");
    let below = node["Plans"].as_array().map(Vec::as_slice).unwrap_or_default();
    below.iter().map(most_rows).fold(own, f64::max)
}

/// The statements that were sent to SQLite at once, one by one.
fn apart(together: &Statement) -> Vec<Statement> {
    if !together.sql.contains(BETWEEN) {
        return vec![together.clone()];
    }
    let mut values = together.values.iter().flat_map(|values| values.0.clone());
    let one = |sql: &str| {
        let of_it = values.by_ref().take(sql.matches('?').count()).collect();
        Statement { sql: sql.to_owned(), values: Some(Values(of_it)), ..together.clone() }
    };
    together.sql.split(BETWEEN).map(one).collect()
}

/// Statements that are asked again: what inserts is a point, and would insert twice.
fn is_asked_again(statement: &Statement) -> bool {
    ["SELECT", "UPDATE"].iter().any(|verb| statement.sql.starts_with(verb))
}

on_both_databases! {
    async fn no_statement_of_a_persons_work_looks_through_the_project(database: TestDb) {
        let bench = Bench::new(database).await;
        large(&bench).await;
        // Statistics of a project in which people have worked already.
        for n in 0..6 {
            let somebody = person(&bench.db, &format!("somebody{n}")).await;
            work(&bench, &somebody, 25).await;
        }
        bench.db.execute_unprepared("ANALYZE").await.unwrap();
        let anna = person(&bench.db, "anna").await;
        let ((), statements) = recorded(work(&bench, &anna, 12)).await;
        let asked: Vec<Statement> = statements.iter().flat_map(apart).filter(is_asked_again).collect();
        assert!(asked.len() > 60, "only {} statements were seen", asked.len());
        let mut n_claims = 0;
        for statement in &asked {
            n_claims += usize::from(statement.sql.contains("RETURNING") && statement.sql.contains("open_slots"));
            if bench.db.get_database_backend() == DbBackend::Sqlite {
                let plan = sqlite_plan(&bench.db, statement).await;
                assert!(!is_linear(&plan), "{}\n{plan:#?}", statement.sql);
                assert!(lists(&statement.sql).is_empty(), "{}", statement.sql);
            } else if !statement.sql.contains("counted") {
                let (n, plan) = rows_looked_at(&bench.db, statement).await;
                assert!(n <= MAX_ROWS, "{n} rows: {}\n{plan:#}", statement.sql);
            }
        }
        assert!(n_claims > 10, "{n_claims} claims were seen");
    }
}

/// Statements that an answer may take at the most, `BEGIN` and `COMMIT` aside: about as many as it
/// takes, so that one more is noticed.
const MOST: [(&str, &str, usize); 4] =
    [("GET", "page", 3), ("POST", "/draft", 5), ("POST", "submit", 8), ("GET", "home", 9)];

fn most(method: &str, what: &str) -> usize {
    MOST.iter().find(|it| (it.0, it.1) == (method, what)).expect("a row of the table").2
}

/// What the server's log says of the last such request.
fn statements_of(server: &Server, method: &str, path: &str) -> usize {
    let log = server.log();
    let asked = format!("method={method} path={path:?} ");
    let line =
        log.lines().rev().find(|line| line.contains(&asked) && line.contains("n_statements="));
    let line = line.unwrap_or_else(|| panic!("no line of {asked} in\n{log}"));
    let n = line.split("n_statements=").nth(1).expect("a number");
    n.chars().take_while(char::is_ascii_digit).collect::<String>().parse().expect("a number")
}

on_both_databases! {
    async fn a_page_takes_few_statements(database: TestDb) {
        let app = TestApp::start(database, Worker::None).await;
        let project = app.new_project("Statements").await;
        app.add_prompts(&project, (0..4).map(|n| format!("Question {n}"))).await;
        add_comparisons(&app.rows, &project, [1; 4]).await;
        let anna = app.new_person(&project, "anna", &["annotator"]).await;
        for (kind, field, value) in [("demonstrate", "answer", "An answer."), ("compare", "choice", "1")] {
            let page = anna.get(&format!("{project}/{kind}")).await;
            let path = page.url.path().to_owned();
            let n = statements_of(&app.server, "GET", &path);
            // Two answers with their texts come on top.
            let more = if kind == "compare" { 4 } else { 0 };
            assert!(n <= most("GET", "page") + more, "GET {path}: {n}");
            let form = page.form(&path);
            let form = if kind == "compare" { form.choosing(field, value) } else { form.with(field, value) };
            let fields: Vec<_> =
                form.fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            let draft = format!("{path}/draft");
            let kept = anna.ask("post", &format!("{draft}?quiet=true"), &fields).await;
            assert!(kept.status().is_success(), "{}", kept.status());
            let n = statements_of(&app.server, "POST", &draft);
            assert!(n <= most("POST", "/draft"), "POST {draft}: {n}");
            anna.submit(form).await;
            let n = statements_of(&app.server, "POST", &path);
            assert!(n <= most("POST", "submit"), "POST {path}: {n}");
        }
        anna.get("/").await;
        let n = statements_of(&app.server, "GET", "/");
        assert!(n <= most("GET", "home"), "GET /: {n}");
    }
}

on_both_databases! {
    async fn a_page_that_is_only_read_is_shown_while_another_writes_and_writes_nothing(database: TestDb) {
        let app = TestApp::start(database, Worker::None).await;
        let project = app.new_project("Reading").await;
        let anna = app.new_person(&project, "anna", &["annotator"]).await;
        anna.get("/").await;
        let before = session::Entity::find().all(&app.rows).await.unwrap();
        let writer = app.database.connect().await;
        let writing = begin_write(&writer).await.unwrap();
        if writer.get_database_backend() == DbBackend::Postgres {
            writing.execute_unprepared("LOCK TABLE session IN EXCLUSIVE MODE").await.unwrap();
        }
        for page in ["/", &project, &format!("{project}/people"), "/settings", "/notices"] {
            app.admin.get(page).await;
        }
        for page in ["/", &project, "/settings"] {
            anna.get(page).await;
        }
        writing.rollback().await.unwrap();
        let after = session::Entity::find().all(&app.rows).await.unwrap();
        assert_eq!(after.len(), before.len());
        for row in &before {
            assert!(after.contains(row), "a session was written: {row:?}");
        }
    }
}

/// The same database by another way: through a line that can be cut.
async fn over(line: &TcpProxy, database: &TestDb) -> TestDb {
    let (start, end) = database.url.split_once('@').expect("user and host");
    let (_, name) = end.split_once('/').expect("a name");
    TestDb::at(format!("{start}@{}/{name}", line.address))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_postgresql_that_is_away_for_a_moment_is_waited_for_and_one_that_stays_away_is_told() {
    let Some(database) = TestDb::postgres().await else { return };
    let host = database.url.split_once('@').unwrap().1.split_once('/').unwrap().0.to_owned();
    let line = TcpProxy::start(&host).await;
    let app = TestApp::start(over(&line, &database).await, Worker::None).await;
    let project = app.new_project("Away").await;
    app.add_prompts(&project, ["A question".to_owned(), "Another".to_owned()]).await;
    let page = app.admin.get(&format!("{project}/demonstrate")).await;
    let path = page.url.path().to_owned();
    let form = page.form(&path).with("answer", "An answer that arrives.");
    // Every connection of the pool is used, and then lost.
    futures_util::future::join_all((0..12).map(|_| app.admin.get("/"))).await;
    line.cut();
    let back = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        line.mend();
    };
    let (page, ()) = tokio::join!(app.admin.try_get(&path), back);
    assert_eq!(page.status, 200, "{}", page.text());
    app.admin.submit(form).await;

    line.cut();
    let refused = app.admin.ask("get", &path, &[]).await;
    assert_eq!(refused.status(), 503);
    assert!(refused.headers().contains_key("retry-after"));
    line.mend();
    assert_eq!(app.admin.try_get("/").await.status, 200);
    let answered = assignment::Entity::find().all(&app.rows).await.unwrap();
    let submitted = assignment::AssignmentState::Submitted;
    assert_eq!(answered.iter().filter(|row| row.state == submitted).count(), 1);
}
