//! An answer that is not streamed, and whose reader is let in no more while the model is at it.

use super::{request, silent_trainer, store};
use crate::support::{
    app::{Server, TestApp, Worker},
    builders::add_model,
    database::TestDb,
    web::Visitor,
};
use entity::{
    account,
    ids::{AccountId, ProjectId},
};
use reqwest::StatusCode;
use sea_orm::{ColumnTrait, DatabaseConnection, EntityTrait, QueryFilter};
use serde_json::json;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_nobody_may_read_any_more_is_given_up() {
    let app = TestApp::start(TestDb::sqlite().await, Worker::None).await;
    let project = app.new_project("Given up").await;
    let id: ProjectId = project.rsplit('/').next().unwrap().parse().unwrap();
    let (_silence, trainer) = silent_trainer(app.database.folder.path());
    let flags = ["--trainer", trainer.to_str().unwrap()];
    let server =
        tokio::task::block_in_place(|| Server::start_with(&app.database, Worker::None, &flags));
    let model = add_model(&app.rows, &store(&app), id, "silent").await;
    let page = format!("{project}/models/{model}");
    for (login, action) in [("anna", "sign out"), ("boris", "disable")] {
        let password = app.new_account(&project, login, &["engineer"]).await;
        let reader = Visitor::new(&server.url);
        reader.sign_in(login, &password).await;
        let path = format!("{page}/chat");
        let form = reader.get(&path).await.form("/chat").with("message", "Hello?");
        let json = request("silent", &json!({}));
        let address = format!("{page}/v1/chat/completions");
        let asked = async {
            let by_script = reader.send_json(&address, &json);
            let by_page = reader.try_submit(form);
            let (by_script, by_page) = tokio::join!(by_script, by_page);
            [by_script.status(), by_page.status]
        };
        let end = async {
            tokio::time::sleep(Duration::from_millis(1500)).await;
            if action == "disable" {
                let people = app.admin.get("/admin/people").await;
                let id = account_of(&app.rows, login).await;
                app.admin.submit(people.form(&format!("/admin/people/{id}/disable"))).await;
            } else {
                reader.submit(reader.get("/settings").await.form("/sign-out")).await;
            }
        };
        let both = async { tokio::join!(asked, end).0 };
        let ended = tokio::time::timeout(Duration::from_secs(30), both).await;
        let ended = ended.unwrap_or_else(|_| panic!("{action}: the answer is waited for"));
        assert_eq!(ended, [StatusCode::FORBIDDEN; 2], "{action}");
    }
}

async fn account_of(rows: &DatabaseConnection, login: &str) -> AccountId {
    let found = account::Entity::find().filter(account::Column::Login.eq(login)).one(rows).await;
    found.unwrap().expect("the account").id
}
