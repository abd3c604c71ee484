//! What is kept of a person, taken away by themselves or by an administrator.

use crate::support::{
    app::{TestApp, Worker},
    backups::{done, refused},
    binaries,
    database::on_both_databases,
};
use entity::{account, audit_log};
use sea_orm::{EntityTrait, PaginatorTrait};
use serde_json::Value;

on_both_databases! {
    async fn whoever_only_asks_about_an_export_takes_nothing_away(database: TestDb) {
        let app = TestApp::start(database, Worker::None).await;
        let admin = account::Entity::find().one(&app.rows).await.unwrap().unwrap();
        let lines = async || audit_log::Entity::find().count(&app.rows).await.unwrap();
        let before = lines().await;
        let places =
            ["/settings/export.jsonl".to_owned(), format!("/admin/people/{}/export.jsonl", admin.id)];
        for place in &places {
            let answer = app.admin.ask("HEAD", place, &[]).await;
            assert_eq!(answer.headers()["content-type"], "application/x-ndjson");
        }
        assert_eq!(lines().await, before);
        for place in &places {
            assert!(app.admin.get(place).await.html.contains("\"what\":\"account\""));
        }
        assert_eq!(lines().await, before + 2);
    }
}

on_both_databases! {
    async fn a_hyphen_is_standard_output_and_no_file_of_that_name(database: TestDb) {
        let app = TestApp::start(database, Worker::None).await;
        let said = done(&app.database, &["export-person", "--login", "admin", "--out", "-"]);
        assert!(!binaries::root().join("-").exists(), "somebody's data are in the folder");
        let lines = said.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let what: Vec<Value> = lines.map(|line| line["what"].clone()).collect();
        assert_eq!(what.first().unwrap(), "account");
        assert_eq!(what.last().unwrap(), "audit", "all of it is written");
        let said = refused(&app.database, &["backup", "--out", "-"]);
        assert!(said.contains("a backup is a folder"), "{said}");
    }
}
