//! Accounts: who lets whom in, with which link, and what ends when somebody is let in no more.

use crate::support::{
    app::{TestApp, Worker, clean},
    binaries,
    builders::add_run,
    database::{TestDb, on_both_databases},
    eventually,
    web::{Form, Page, Visitor},
};
use annotator::web::format;
use entity::{
    account, account_link,
    hash::sha256_hex,
    ids::{AccountId, ProjectId},
    membership,
    run::{self, RunStatus},
    session,
    time::UnixMillis,
};
use reqwest::StatusCode;
use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter, sea_query::Expr};
use std::{
    process::{Command, Output},
    time::Duration,
};

/// How long something may take to end; it should be a second.
const PATIENCE: Duration = Duration::from_secs(30);

async fn account(app: &TestApp, login: &str) -> account::Model {
    let found = account::Entity::find().filter(account::Column::Login.eq(login)).one(&app.rows);
    found.await.unwrap().expect("the account")
}

/// What an administrator does with an account on the page of all people.
async fn act(by: &Visitor, account: AccountId, action: &str) -> Page {
    by.try_submit(form_to(by, account, action).await).await
}

/// The form that does it.
async fn form_to(by: &Visitor, account: AccountId, action: &str) -> Form {
    let form = by.get("/admin/people").await.form("/admin/people");
    let mut fields: Vec<_> = form.fields.into_iter().filter(|(name, _)| name == "csrf").collect();
    // The same form again is another form, and not a double click.
    fields.push(("sent".to_owned(), uuid::Uuid::now_v7().to_string()));
    let action = format!("/admin/people/{account}/{action}");
    Form { action, fields }
}

/// Somebody new, as an administrator makes them; the link that is shown.
async fn invited(by: &Visitor, login: &str, is_admin: bool) -> String {
    let mut form = by.get("/admin/people").await.form("/admin/people");
    form = form.with("login", login).with("name", login);
    if is_admin {
        form = form.choosing("admin", "yes");
    }
    by.submit(form).await.secret()
}

async fn administrator(app: &TestApp, by: &Visitor, login: &str) -> Visitor {
    let link = invited(by, login, true).await;
    let visitor = Visitor::new(&app.server.url);
    visitor.accept(&link, &format!("the password of {login}")).await;
    visitor
}

async fn is_signed_in(who: &Visitor) -> bool {
    who.try_get("/settings").await.url.path() == "/settings"
}

async fn can_sign_in(app: &TestApp, login: &str, password: &str) -> bool {
    let visitor = Visitor::new(&app.server.url);
    let form = visitor.get("/sign-in").await.form("/sign-in");
    let page = visitor.try_submit(form.with("login", login).with("password", password)).await;
    page.status.is_success()
}

on_both_databases! {
    async fn two_administrators_who_lock_or_reset_each_other_at_once_leave_one(database: TestDb) {
        let app = TestApp::start(database, Worker::None).await;
        let (mut left, mut left_id) = (app.admin.clone(), account(&app, "admin").await.id);
        for round in 0..6 {
            let login = format!("other{round}");
            let other = administrator(&app, &left, &login).await;
            let other_id = account(&app, &login).await.id;
            let action = if round % 2 == 0 { "disable" } else { "reset" };
            // Both have their form before either is sent.
            let forms = (form_to(&left, other_id, action).await, form_to(&other, left_id, action).await);
            tokio::join!(left.try_submit(forms.0), other.try_submit(forms.1));
            let people = [(left.clone(), left_id), (other, other_id)];
            let mut still_in = Vec::new();
            for (who, id) in people {
                if is_signed_in(&who).await {
                    still_in.push((who, id));
                }
            }
            assert_eq!(still_in.len(), 1, "round {round} ({action})");
            (left, left_id) = still_in.pop().unwrap();
        }
        let own = act(&left, left_id, "disable").await;
        assert_eq!(own.status, StatusCode::BAD_REQUEST, "nobody locks themselves out");
        assert!(is_signed_in(&left).await);
    }
}

on_both_databases! {
    async fn locking_twice_leaves_locked_and_unlocking_twice_unlocked(database: TestDb) {
        let app = TestApp::start(database, Worker::None).await;
        let project = app.new_project("Doors").await;
        let anna = app.new_person(&project, "anna", &["annotator"]).await;
        let id = account(&app, "anna").await.id;
        for action in ["disable", "disable"] {
            assert!(act(&app.admin, id, action).await.status.is_success());
            assert!(account(&app, "anna").await.disabled_at.is_some());
        }
        assert!(!is_signed_in(&anna).await);
        assert!(!can_sign_in(&app, "anna", "the password of anna").await);
        for action in ["enable", "enable"] {
            assert!(act(&app.admin, id, action).await.status.is_success());
            assert!(account(&app, "anna").await.disabled_at.is_none());
        }
        assert!(!is_signed_in(&anna).await, "an old session does not come back");
        assert!(can_sign_in(&app, "anna", "the password of anna").await);
    }
}

on_both_databases! {
    async fn a_session_that_began_during_a_reset_or_a_lock_is_nobodys(database: TestDb) {
        let app = TestApp::start(database, Worker::None).await;
        let project = app.new_project("Doors").await;
        app.new_account(&project, "anna", &["annotator"]).await;
        let id = account(&app, "anna").await.id;
        let mut password = "the password of anna".to_owned();
        for (round, action) in ["reset", "disable"].into_iter().enumerate() {
            let anna = Visitor::new(&app.server.url);
            anna.sign_in("anna", &password).await;
            let rows = session::Entity::find().filter(session::Column::AccountId.eq(id));
            let begun = rows.all(&app.rows).await.unwrap();
            let done = act(&app.admin, id, action).await;
            assert!(done.status.is_success());
            // As if these had been looked up before the change and stored after it.
            for row in begun {
                let again = session::ActiveModel::from(row);
                session::Entity::insert(again).exec_without_returning(&app.rows).await.unwrap();
            }
            if action == "reset" {
                password = format!("another password {round}");
                Visitor::new(&app.server.url).accept(&done.secret(), &password).await;
            } else {
                act(&app.admin, id, "enable").await;
            }
            assert!(!is_signed_in(&anna).await, "{action}");
        }
    }
}

on_both_databases! {
    async fn an_open_stream_ends_when_its_reader_is_let_in_no_more(database: TestDb) {
        let app = TestApp::start(database, Worker::None).await;
        let project = app.new_project("Streams").await;
        let id: ProjectId = project.rsplit('/').next().unwrap().parse().unwrap();
        let run = add_run(&app.rows, id).await;
        let set_status = async |status: RunStatus| {
            run::Entity::update_many()
                .col_expr(run::Column::Status, Expr::value(status))
                .filter(run::Column::Id.eq(run))
                .exec(&app.rows)
                .await
                .unwrap();
        };
        set_status(RunStatus::Running).await;
        let events = format!("{project}/runs/{run}/events");
        let news = format!("/runs/news?run={run}");
        let stays = app.new_person(&project, "stays", &["engineer"]).await;
        let mut open = stays.ask("get", &events, &[]).await;
        for action in ["sign-out", "disable", "reset", "remove", "delete"] {
            let login = format!("to-{action}");
            let reader = app.new_person(&project, &login, &["engineer"]).await;
            let mut streams = Vec::new();
            for address in [&events, &news] {
                let mut stream = reader.ask("get", address, &[]).await;
                assert!(stream.chunk().await.unwrap().is_some(), "{address} streams");
                streams.push(stream);
            }
            let account = account(&app, &login).await.id;
            match action {
                "remove" => {
                    let people = app.admin.get(&format!("{project}/people")).await;
                    app.admin.submit(people.form(&format!("/people/{account}/remove"))).await;
                }
                "sign-out" => {
                    let page = reader.get("/settings").await;
                    reader.submit(page.form("/sign-out")).await;
                }
                "delete" => {
                    let page = app.admin.get(&format!("{project}/delete")).await;
                    app.admin.submit(page.form("/delete").with("name", "Streams")).await;
                }
                _ => assert!(act(&app.admin, account, action).await.status.is_success()),
            }
            let end = async {
                for mut stream in streams {
                    while let Ok(Some(_)) = stream.chunk().await {}
                }
            };
            tokio::time::timeout(PATIENCE, end).await.unwrap_or_else(|_| panic!("{action}: it goes on"));
            if action == "remove" {
                assert!(open.chunk().await.unwrap().is_some(), "others go on reading");
            }
        }
        set_status(RunStatus::Succeeded).await;
    }
}

on_both_databases! {
    async fn a_link_lets_its_person_choose_a_password_once(database: TestDb) {
        let app = TestApp::start(database, Worker::None).await;
        let link = invited(&app.admin, "anna", false).await;
        assert!(link.starts_with(&format!("{}/welcome?key=", app.server.url)), "{link}");
        let token = link.rsplit('=').next().unwrap();
        assert!(token.len() >= 22, "128 bits or more");
        let stored = account_link::Entity::find().one(&app.rows).await.unwrap().unwrap();
        assert_eq!(stored.token_hash, sha256_hex(token), "only the hash is kept");
        assert!(!app.admin.get("/admin/people").await.html.contains(token), "it is shown once");
        assert!(!app.server.log().contains(token), "it is in no log");

        let anna = Visitor::new(&app.server.url);
        for _ in 0..2 {
            anna.get(&link).await; // looking does not use it up
        }
        let form = anna.get(&link).await.form("/welcome");
        let short = anna.try_submit(form.clone().with("new", "short").with("again", "short")).await;
        assert_eq!(short.status, StatusCode::UNPROCESSABLE_ENTITY);
        let others = form.clone().with("new", "a long password").with("again", "another password");
        assert_eq!(anna.try_submit(others).await.status, StatusCode::UNPROCESSABLE_ENTITY);
        anna.accept(&link, "a long password").await;
        assert!(is_signed_in(&anna).await);
        assert!(can_sign_in(&app, "anna", "a long password").await);

        let thief = Visitor::new(&app.server.url);
        let over = thief.try_get(&link).await;
        assert!(over.status.is_client_error() && over.find_form("/welcome").is_none(), "{}", over.text());
        let token = thief.token().await;
        let again = form.with("new", "a thief's password").with("again", "a thief's password").with("csrf", token);
        assert!(thief.try_submit(again).await.status.is_client_error());
        assert!(!can_sign_in(&app, "anna", "a thief's password").await);
        assert!(is_signed_in(&anna).await);
    }
}

on_both_databases! {
    async fn a_reset_takes_the_password_away_and_only_the_newest_link_counts_until_it_lapses(database: TestDb) {
        let app = TestApp::start(database, Worker::None).await;
        let project = app.new_project("Doors").await;
        let anna = app.new_person(&project, "anna", &["annotator"]).await;
        let id = account(&app, "anna").await.id;
        let first = act(&app.admin, id, "reset").await.secret();
        assert!(!is_signed_in(&anna).await);
        assert!(!can_sign_in(&app, "anna", "the password of anna").await);
        let second = act(&app.admin, id, "reset").await.secret();
        assert!(anna.try_get(&first).await.status.is_client_error(), "a newer one was made");
        let left = account_link::Entity::find_by_id(id).one(&app.rows).await.unwrap().unwrap();
        let hours = (left.expires_at.0 - UnixMillis::now().0) / 3_600_000;
        assert!((22..=24).contains(&hours), "{hours} h");
        account_link::Entity::update_many()
            .col_expr(account_link::Column::ExpiresAt, (UnixMillis::now().0 - 1).into())
            .exec(&app.rows)
            .await
            .unwrap();
        assert!(anna.try_get(&second).await.status.is_client_error(), "its time is over");
        let third = act(&app.admin, id, "reset").await.secret();
        assert!(act(&app.admin, id, "disable").await.status.is_success());
        assert!(anna.try_get(&third).await.status.is_client_error(), "a locked account has no link");
        act(&app.admin, id, "enable").await;
        assert!(anna.try_get(&third).await.status.is_client_error());
        let fourth = act(&app.admin, id, "reset").await.secret();
        anna.accept(&fourth, "an own password").await;
        assert!(can_sign_in(&app, "anna", "an own password").await);
    }
}

on_both_databases! {
    async fn a_manager_gives_no_role_of_an_engineer_and_takes_none(database: TestDb) {
        let app = TestApp::start(database, Worker::None).await;
        let project = app.new_project("Roles").await;
        let manager = app.new_person(&project, "manager", &["manager"]).await;
        app.new_account(&project, "engineer", &["engineer"]).await;
        let engineer = account(&app, "engineer").await.id;
        let people = manager.get(&format!("{project}/people")).await;
        assert!(people.find_form(&format!("{engineer}/remove")).is_none(), "it is not offered");
        let form = people.form("/people");
        for (login, name) in [("manager", ""), ("accomplice", "Accomplice")] {
            let forged = form.clone().with("login", login).with("name", name).choosing("role", "engineer");
            let refused = manager.try_submit(forged).await;
            assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", refused.text());
        }
        let csrf = form.value("csrf").unwrap();
        let remove = format!("{project}/people/{engineer}/remove");
        let refused = manager.ask("post", &remove, &[("csrf", csrf)]).await;
        assert_eq!(refused.status(), StatusCode::CONFLICT);
        let engineers = membership::Entity::find()
            .filter(membership::Column::Role.eq(membership::ProjectRole::Engineer))
            .filter(membership::Column::AccountId.ne(account(&app, "admin").await.id));
        assert_eq!(engineers.count(&app.rows).await.unwrap(), 1);

        // Whoever is both gives both.
        let both = app.new_person(&project, "both", &["manager", "engineer"]).await;
        let form = both.get(&format!("{project}/people")).await.form("/people");
        let given = form.with("login", "manager").choosing("role", "engineer");
        both.submit(given).await;
        assert!(manager.try_get(&format!("{project}/runs")).await.status.is_success());
    }
}

on_both_databases! {
    async fn adding_the_same_person_twice_at_once_makes_one_account(database: TestDb) {
        let app = TestApp::start(database, Worker::None).await;
        let project = app.new_project("Twice").await;
        for round in 0..4 {
            let login = format!("person{round}");
            let page = app.admin.get(&format!("{project}/people")).await;
            let form = page.form("/people").with("login", &login).with("name", &login);
            let form = form.choosing("role", "annotator");
            let (one, other) =
                tokio::join!(app.admin.try_submit(form.clone().choosing("sent", 1)), app.admin.try_submit(form.choosing("sent", 2)));
            for page in [one, other] {
                assert!(!page.status.is_server_error(), "{}", page.text());
            }
            let rows = account::Entity::find().filter(account::Column::Login.eq(login));
            assert_eq!(rows.count(&app.rows).await.unwrap(), 1);
        }
    }
}

fn shell(database: &TestDb, arguments: &[&str]) -> Output {
    let mut command = Command::new(binaries::annotator());
    clean(&mut command)
        .args(arguments)
        .args(["--database-url", &database.url])
        .arg("--data-dir")
        .arg(database.folder.path())
        .output()
        .expect("the program starts")
}

fn printed_password(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.split("One-time password: ")
        .nth(1)
        .and_then(|rest| rest.lines().next())
        .expect("a password")
        .to_owned()
}

on_both_databases! {
    async fn a_one_time_password_lapses_and_a_shell_lets_a_locked_administrator_in(database: TestDb) {
        let app = TestApp::start(database, Worker::None).await;
        let first = app.server.first_password.clone().unwrap();
        let made = shell(&app.database, &["create-user", "--login", "anna", "--name", "Anna", "--admin"]);
        let password = printed_password(&made);
        let until = account(&app, "anna").await.password_expires_at.expect("it lapses");
        let days = (until.0 - UnixMillis::now().0) / 86_400_000;
        assert!((6..=7).contains(&days), "{}", format::date_time(until));
        assert!(can_sign_in(&app, "anna", &password).await);
        account::Entity::update_many()
            .col_expr(account::Column::PasswordExpiresAt, (UnixMillis::now().0 - 1).into())
            .filter(account::Column::Login.eq("anna"))
            .exec(&app.rows)
            .await
            .unwrap();
        let visitor = Visitor::new(&app.server.url);
        let form = visitor.get("/sign-in").await.form("/sign-in");
        let lapsed = visitor.try_submit(form.with("login", "anna").with("password", &password)).await;
        assert!(lapsed.text().contains("The time of this one-time password is over"), "{}", lapsed.text());
        assert!(!is_signed_in(&visitor).await);

        let anna = account(&app, "anna").await.id;
        assert!(act(&app.admin, anna, "disable").await.status.is_success());
        let nobody = shell(&app.database, &["reset-password", "--login", "nobody"]);
        assert!(!nobody.status.success());
        let fresh = printed_password(&shell(&app.database, &["reset-password", "--login", "Admin"]));
        let ended = async || (!is_signed_in(&app.admin).await).then_some(());
        eventually(PATIENCE, ended, || "the old session goes on".to_owned()).await;
        assert!(!can_sign_in(&app, "admin", &first).await);
        assert!(can_sign_in(&app, "admin", &fresh).await);
        let fresh = printed_password(&shell(&app.database, &["reset-password", "--login", "anna"]));
        assert!(can_sign_in(&app, "anna", &fresh).await, "a locked account is let in, too");
    }
}
