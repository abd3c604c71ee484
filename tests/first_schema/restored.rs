//! The fixture, unpacked into a database and a folder of the test's own and migrated.

use crate::support::{
    app::{Server, clean},
    binaries,
    database::TestDb,
    trainer::read_lines,
    web::Visitor,
};
use entity::{run, run_event};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseConnection, EntityTrait, QueryFilter, QueryOrder,
    Statement,
};
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{SystemTime, UNIX_EPOCH},
};

pub(super) struct Restored {
    pub(super) test: TestDb,
    rows: DatabaseConnection,
    /// `expected.json`, and its part of this database.
    pub(super) all: Value,
    pub(super) expected: Value,
}

/// A text in `expected.json`.
pub(super) fn text_of(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}"))
}

impl Restored {
    pub(super) async fn new(test: TestDb) -> Self {
        let unpacked = Self::unpacked(test).await;
        migrate(&unpacked.test);
        unpacked
    }

    /// As it was released, before a newer version has touched it.
    pub(super) async fn unpacked(test: TestDb) -> Self {
        let fixture = binaries::root().join("tests/fixtures/first_schema");
        let is_postgres = test.url.starts_with("postgres");
        let name = if is_postgres { "postgresql" } else { "sqlite" };
        let folder = test.folder.path();
        let mut tar = Command::new("tar");
        tar.args(["--no-same-owner", "-xzf"]).arg(fixture.join("data.tar.gz")).current_dir(folder);
        assert!(tar.status().expect("tar is there").success());
        fs::rename(folder.join(name).join("artifacts"), folder.join("artifacts")).unwrap();
        if is_postgres {
            let dump = fs::read_to_string(folder.join("postgresql/dump.sql")).unwrap();
            let empty = test.connect().await;
            empty.execute_unprepared(&dump).await.expect("the dump is plain SQL");
            empty.close().await.unwrap();
        } else {
            fs::rename(folder.join("sqlite/attune.db"), folder.join("attune.db")).unwrap();
        }
        let text = fs::read_to_string(fixture.join("expected.json")).unwrap();
        let all: Value = serde_json::from_str(&text).unwrap();
        let (rows, expected) = (test.connect().await, all[name].clone());
        Self { test, rows, all, expected }
    }

    /// The same in another place.
    pub(super) async fn moved_to(&self, test: TestDb) -> Self {
        let (rows, all) = (test.connect().await, self.all.clone());
        Self { test, rows, all, expected: self.expected.clone() }
    }

    pub(super) fn list(&self, name: &str) -> &[Value] {
        self.expected[name].as_array().unwrap()
    }

    /// The ids of the projects that people made.
    pub(super) fn projects(&self) -> impl Iterator<Item = &Value> {
        self.expected["projects"].as_object().unwrap().values()
    }

    /// A project's address.
    pub(super) fn project(&self, name: &str) -> String {
        format!("/projects/{}", text_of(&self.expected["projects"][name]))
    }

    /// Somebody who signs in with the password of that time.
    pub(super) async fn visitor(&self, server: &Server, login: &str) -> Visitor {
        let visitor = Visitor::new(&server.url);
        visitor.sign_in(login, text_of(&self.expected["passwords"][login])).await;
        visitor
    }

    async fn execute(&self, sql: &str) {
        self.rows.execute_unprepared(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    async fn number(&self, sql: &str) -> i64 {
        let statement = Statement::from_string(self.rows.get_database_backend(), sql);
        let row = self.rows.query_one_raw(statement).await.unwrap().expect("a row");
        row.try_get_by_index(0).unwrap()
    }

    pub(super) async fn count(&self, table: &str) -> i64 {
        self.number(&format!("SELECT count(*) FROM {table}")).await
    }

    pub(super) async fn check_row_counts(&self) {
        for (table, n) in self.expected["rows"].as_object().unwrap() {
            assert_eq!(Some(self.count(table).await), n.as_i64(), "rows of {table}");
        }
        let extra = "SELECT count(*) FROM assignment WHERE state = 'extra'";
        assert_eq!(self.number(extra).await, 1);
    }

    /// A deleted project can be brought back for thirty days, which may be over.
    pub(super) async fn delete_projects_now(&self) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
        self.execute(&format!(
            "UPDATE project SET deleted_at = {now} WHERE deleted_at IS NOT NULL"
        ))
        .await;
    }

    pub(super) async fn n_ended_runs(&self) -> i64 {
        let ended = "status IN ('succeeded', 'failed', 'cancelled')";
        self.number(&format!("SELECT count(*) FROM run WHERE {ended}")).await
    }

    pub(super) async fn run(&self, id: &str) -> run::Model {
        let id: entity::ids::RunId = id.parse().expect("an id");
        run::Entity::find_by_id(id).one(&self.rows).await.unwrap().expect("the run")
    }

    /// The next attempt began at what the first had kept, and did nothing twice.
    pub(super) async fn check_that_it_went_on(&self, kind: &str, before: &Value) {
        let id = self.run(text_of(&before["run"])).await.id;
        let events = run_event::Entity::find()
            .filter(run_event::Column::RunId.eq(id))
            .filter(run_event::Column::Attempt.gt(before["attempt"].as_i64()))
            .order_by_asc(run_event::Column::Sequence)
            .all(&self.rows)
            .await
            .unwrap();
        let messages: Vec<&str> =
            events.iter().filter_map(|event| event.event["message"].as_str()).collect();
        let Some(checkpoint) = before["checkpoint"].as_u64() else {
            let goes_on = messages.iter().any(|message| message.starts_with("going on from"));
            // Sampling keeps nothing: it begins again.
            assert_eq!(goes_on, kind == "fetch", "{messages:?}");
            return;
        };
        let went_on = format!("going on from the checkpoint after step {checkpoint}");
        assert!(messages.contains(&went_on.as_str()), "{kind}: {messages:?}");
        let first = events.iter().find_map(|event| event.event["metrics"]["step"].as_u64());
        assert_eq!(first, Some(checkpoint + 1), "{kind}");
    }

    /// Almost every answer is the twin's: another processor may draw another token now and then.
    pub(super) fn check_answers(&self, run: &run::Model, twin: &Value) {
        let summary = run.summary.as_ref().unwrap();
        assert_eq!(summary["final"]["completions"], twin["final"]["completions"]);
        let answers = |hash: &str| read_lines(&self.artifact(hash).join("completions.jsonl"));
        let made = answers(run.output_hash.as_deref().unwrap());
        let expected = answers(text_of(&twin["output"]));
        assert_eq!(made.len(), expected.len());
        let n_same = made.iter().zip(&expected).filter(|(made, expected)| made == expected).count();
        assert!(n_same * 10 >= made.len() * 9, "{n_same} of {} are the same", made.len());
    }

    pub(super) fn artifact(&self, hash: &str) -> PathBuf {
        self.test.folder.path().join("artifacts").join(&hash[..2]).join(hash)
    }

    /// The folder of a model, by name.
    pub(super) fn artifact_of(&self, model: &str) -> PathBuf {
        let found = self.list("models").iter().find(|known| known["name"] == model);
        self.artifact(text_of(&found.expect("the model")["hash"]))
    }

    pub(super) fn worker_log(&self) -> String {
        fs::read_to_string(self.test.folder.path().join("worker.log")).unwrap_or_default()
    }
}

fn migrate(test: &TestDb) {
    let folder: &Path = test.folder.path();
    let mut command = Command::new(binaries::annotator());
    clean(&mut command)
        .args(["migrate", "--database-url", &test.url, "--data-dir"])
        .arg(folder)
        .stdin(Stdio::null());
    let output = command.output().expect("the program starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
