//! Somebody who was erased stays so: nothing lets the account in again.

use crate::support::{
    app::{TestApp, Worker},
    backups::{done, refused},
    database::on_both_databases,
    web::Form,
};
use entity::{account, account_link, audit_log, ids::AccountId, membership};
use reqwest::StatusCode;
use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter};

async fn account(app: &TestApp, login: &str) -> account::Model {
    let found = account::Entity::find().filter(account::Column::Login.eq(login)).one(&app.rows);
    found.await.unwrap().expect("the account")
}

/// A form that no page offers, as a page that was opened before would send it.
async fn forged(app: &TestApp, id: AccountId, action: &str) -> Form {
    let form = app.admin.get("/admin/people").await.form("/admin/people");
    let fields = form.fields.into_iter().filter(|(name, _)| name == "csrf").collect();
    Form { action: format!("/admin/people/{id}/{action}"), fields }
}

on_both_databases! {
    async fn nobody_uses_the_account_of_an_erased_person_again(database: TestDb) {
        let app = TestApp::start(database, Worker::None).await;
        let project = app.new_project("Erased").await;
        app.new_account(&project, "anna", &["annotator"]).await;
        let id = account(&app, "anna").await.id;
        done(&app.database, &["erase", "--person", "anna", "--reason", "She asked", "--yes"]);
        let erased = account::Entity::find_by_id(id).one(&app.rows).await.unwrap().unwrap();

        let people = app.admin.get("/admin/people").await;
        assert!(people.texts("td .tag").iter().any(|tag| tag == "erased"), "{}", people.text());
        for action in ["enable", "reset", "disable"] {
            assert!(people.find_form(&format!("{id}/{action}")).is_none(), "{action} is offered");
            let told = app.admin.try_submit(forged(&app, id, action).await).await;
            assert_eq!(told.status, StatusCode::CONFLICT, "{action}");
            assert!(told.text().contains("is erased for the law"), "{}", told.text());
        }
        let told = refused(&app.database, &["reset-password", "--login", &erased.login]);
        assert!(told.contains("is erased for the law"), "{told}");
        let form = app.admin.get(&format!("{project}/people")).await.form("/people");
        let form = form.with("login", &erased.login).choosing("role", "annotator");
        let told = app.admin.try_submit(form).await;
        assert_eq!(told.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(told.texts("#login-error").concat().contains("is erased for the law"), "{}", told.text());

        let still = account::Entity::find_by_id(id).one(&app.rows).await.unwrap().unwrap();
        assert_eq!(still, erased);
        let links = account_link::Entity::find().filter(account_link::Column::AccountId.eq(id));
        assert_eq!(links.count(&app.rows).await.unwrap(), 0);
        let roles = membership::Entity::find().filter(membership::Column::AccountId.eq(id));
        assert_eq!(roles.count(&app.rows).await.unwrap(), 0);
        let changes = ["account.enable", "account.disable", "account.reset_password"];
        let told = audit_log::Entity::find()
            .filter(audit_log::Column::Subject.eq(id.to_string()))
            .filter(audit_log::Column::Action.is_in(changes));
        assert_eq!(told.count(&app.rows).await.unwrap(), 0);
    }
}

on_both_databases! {
    async fn somebody_who_is_locked_can_be_erased_without_being_unlocked(database: TestDb) {
        let app = TestApp::start(database, Worker::None).await;
        let project = app.new_project("Locked").await;
        app.new_account(&project, "anna", &["annotator"]).await;
        let id = account(&app, "anna").await.id;
        let people = app.admin.get("/admin/people").await;
        app.admin.submit(people.form(&format!("{id}/disable"))).await;
        let people = app.admin.get("/admin/people").await;
        let erase = format!("/admin/people/{id}/erase");
        assert!(people.links("main a").contains(&erase), "{}", people.html);
        let form = app.admin.get(&erase).await.form(&erase);
        app.admin.submit(form.with("reason", "She asked")).await;
        let gone = account::Entity::find_by_id(id).one(&app.rows).await.unwrap().unwrap();
        assert!(gone.display_name.starts_with("Erased person") && gone.disabled_at.is_some());
    }
}

on_both_databases! {
    async fn an_erased_person_is_called_so_in_the_readers_language(database: TestDb) {
        let app = TestApp::start(database, Worker::None).await;
        let project = app.new_project("Named").await;
        app.add_prompts(&project, ["Why?".to_owned()]).await;
        let anna = app.new_person(&project, "anna", &["annotator", "engineer"]).await;
        let asked = anna.get(&format!("{project}/demonstrate")).await;
        anna.submit(asked.form(asked.url.path()).with("answer", "So.")).await;
        let told = app.admin.get(&format!("{project}/prompts")).await;
        let prompt = told.links("main a[href*='/prompts/']").pop().expect("a prompt");
        let id = account(&app, "anna").await.id;
        done(&app.database, &["erase", "--person", "anna", "--reason", "She asked", "--yes"]);
        let stored = account::Entity::find_by_id(id).one(&app.rows).await.unwrap().unwrap();
        assert_eq!(stored.display_name, format!("Erased person {}", id.short()));

        let judgement = app.admin.get(&prompt).await;
        let judgement = judgement.links("main a[href*='/judgements/']").pop().expect("a judgement");
        let project_log = format!("{project}/audit");
        let pages = [
            "/admin/people", "/admin/audit", &project_log, &prompt, &judgement,
            &format!("/admin/people/{id}/erase"),
        ];
        for (language, name, others) in [
            ("ru", format!("Удалённый пользователь {}", id.short()), "Erased person"),
            ("en", format!("Erased person {}", id.short()), "Удалённый пользователь"),
        ] {
            app.admin.read_in(language).await;
            for page in pages {
                let page = app.admin.get(page).await;
                assert!(!page.html.contains(others), "{language} {}: {}", page.url, page.text());
                if page.url.path() != project_log {
                    assert!(page.html.contains(&name), "{language} {}: {}", page.url, page.text());
                }
            }
        }
        // What programs read stays as it was.
        app.admin.read_in("ru").await;
        let exported = app.admin.get("/admin/audit/export/jsonl").await.html;
        assert!(!exported.contains("Удалённый пользователь"), "{exported}");
        assert!(exported.contains(&stored.display_name), "{exported}");
    }
}

on_both_databases! {
    async fn of_whoever_is_erased_already_what_they_wrote_alone_is_said_to_go(database: TestDb) {
        let app = TestApp::start(database, Worker::None).await;
        let project = app.new_project("Gone").await;
        app.new_account(&project, "anna", &["annotator"]).await;
        let erase = format!("/admin/people/{}/erase", account(&app, "anna").await.id);
        let page = app.admin.get(&erase).await;
        assert!(page.text().contains("Name, login, password"), "{}", page.text());
        app.admin.submit(page.form(&erase).with("reason", "She asked")).await;
        for (language, told, before) in [
            ("en", "is erased already", "Name, login, password"),
            ("ru", "уже удалены", "Имя, логин, пароль"),
        ] {
            app.admin.read_in(language).await;
            let page = app.admin.get(&erase).await;
            assert!(page.text().contains(told), "{}", page.text());
            assert!(!page.text().contains(before), "{}", page.text());
            assert_eq!(page.form(&erase).value("texts"), Some("yes"));
        }
    }
}
