//! One-word answers and names of people that are words of the program, too, or other people's: an erasure
//! takes them from texts alone.

use super::{careful_erasures::is_there, erased_texts::keep};
use crate::support::{
    app::{TestApp, Worker},
    backups::{done, elsewhere, shown},
    builders::add_finished_run,
    database::on_both_databases,
    web::Form,
};
use annotator::{
    keeping::{
        backup::tables::{self, ColumnKind},
        erasure::fields::{self, ColumnWords},
    },
    people::audit::{self, AuditAction, AuditSubject},
};
use entity::{
    account, audit_log, draft,
    hash::sha256_hex,
    ids::RunId,
    run::{self, RunKind, RunStatus},
    run_config::SftConfig,
    run_event,
};
use migrations::{Migrator, MigratorTrait};
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, DatabaseConnection, EntityTrait, QueryFilter,
    QueryOrder,
};
use serde_json::{Value, json};

/// Answers that programs write, too.
const ANSWERS: [&str; 16] = [
    "metrics",
    "linear",
    "cpu",
    "stop",
    "progress",
    "sample",
    "log",
    "rows",
    "length",
    "error",
    "warning",
    "auto",
    "bf16",
    "cosine",
    "data-line",
    "started",
];

/// Whoever answers with a tag or a setting that is longer.
const LONG_ANSWERS: [&str; 2] = ["one-after-another", "x86-64 of some kind"];

fn sample(completion: &str) -> Value {
    json!({"event": "sample", "step": 1, "prompt": "Which?", "completion": completion,
        "finish_reason": "stop", "score": null})
}

fn said() -> Vec<Value> {
    let rows = json!({"file": "rows", "rows": 2, "used": 1, "cut": 0, "max_length": 8,
        "left_out": [{"reason": "empty", "rows": 1, "at": [[1, 1]]}]});
    let environment = json!({"attune": "0.1.0", "libtorch": "2.11.0", "device": "cpu",
        "processor": "x86-64 of some kind", "threads": 2, "dtype": "bf16", "deterministic": true});
    vec![
        json!({"event": "started", "environment": environment}),
        json!({"event": "rows", "rows": rows}),
        json!({"event": "log", "level": "warning", "message": "error", "key": "data-line",
            "args": {"file": "rows", "line": {"message": "So.", "key": "one-after-another", "args": {}}}}),
        json!({"event": "metrics", "metrics": {"step": 1, "loss": 2.5, "name": "linear"}}),
        json!({"event": "metrics", "metrics": {"step": 2, "loss": 1.5, "name": "linear"}}),
        json!({"event": "progress", "step": 2, "n_steps": 2, "fraction": 1.0,
            "tokens_per_second": 10.0, "seconds_left": 0.0}),
        sample("Neither."),
    ]
}

async fn events(rows: &DatabaseConnection, run: RunId) -> Vec<Value> {
    let events = run_event::Entity::find().filter(run_event::Column::RunId.eq(run));
    let events = events.order_by_asc(run_event::Column::Sequence).all(rows).await.unwrap();
    events.into_iter().map(|row| row.event).collect()
}

async fn drafts(rows: &DatabaseConnection) -> Vec<Value> {
    let drafts = draft::Entity::find().all(rows).await.unwrap();
    drafts.into_iter().map(|draft| serde_json::from_str(&draft.body).unwrap()).collect()
}

async fn account(rows: &DatabaseConnection, login: &str) -> account::Model {
    let found = account::Entity::find().filter(account::Column::Login.eq(login)).one(rows);
    found.await.unwrap().expect("the account")
}

/// Details of the log by action, in their order.
async fn details(rows: &DatabaseConnection, action: &str) -> Vec<Value> {
    let lines = audit_log::Entity::find().filter(audit_log::Column::Action.eq(action));
    let lines = lines.order_by_asc(audit_log::Column::Id).all(rows).await.unwrap();
    lines.into_iter().map(|line| line.details).collect()
}

on_both_databases! {
    async fn an_erased_answer_leaves_the_curves_and_the_settings_of_runs_as_they_are(database: TestDb) {
        let app = TestApp::start(database, Worker::None).await;
        let project = app.new_project("Curves").await;
        let answers = ANSWERS.iter().chain(&LONG_ANSWERS);
        let row = |answer: &&str| format!("{}\n", json!({"prompt": "Which?", "completion": answer}));
        app.admin.bring_in(&project, answers.clone().map(row).collect::<String>()).await;
        let config = json!(SftConfig::default());
        let run = add_finished_run(&app.rows, &project, RunKind::Sft, config.clone(), &said()).await;
        let model_said = [sample("metrics"), sample("stop there")];
        let other = add_finished_run(&app.rows, &project, RunKind::Sft, config.clone(), &model_said).await;
        let row = run::ActiveModel {
            id: Set(other),
            status: Set(RunStatus::Queued),
            error_message: Set(Some(json!({"message": "So.", "key": "data-line", "args": {"file": "rows"}}))),
            summary: Set(Some(json!({"kind": "linear", "rows": [{"file": "rows"}]}))),
            environment: Set(Some(json!({"device": "cpu", "processor": "x86-64 of some kind"}))),
            ..Default::default()
        };
        let waiting = row.update(&app.rows).await.unwrap();
        let subject = AuditSubject::of_all(other);
        let launched = json!({"kind": "linear", "config": config});
        audit::record(&app.rows, None, AuditAction::RunLaunch, subject, launched.clone()).await.unwrap();
        let page = format!("{project}/runs/{run}");
        let chart = async || app.admin.get(&page).await.texts("figure");
        let charts = chart().await;
        assert!(!charts.is_empty(), "the page has its curves");

        for answer in answers {
            let order = ["erase", "--text", &sha256_hex(answer), "--reason", "law", "--yes"];
            done(&app.database, &order);
            assert!(!is_there(&app.rows, &sha256_hex(answer)).await);
        }
        assert_eq!(chart().await, charts);
        assert!(app.admin.get(&page).await.text().contains("Neither."));
        assert_eq!(events(&app.rows, run).await, said());
        assert_eq!(events(&app.rows, other).await, [sample("[erased]"), sample("stop there")]);
        let still = run::Entity::find_by_id(other).one(&app.rows).await.unwrap().unwrap();
        assert_eq!(still, waiting, "what waits is launched as it was meant");
        assert_eq!(details(&app.rows, "run.launch").await, [launched]);
        assert!(details(&app.rows, "text.erase").await.iter().all(|line| line["reason"] == "law"));
        app.forget_runs().await;
    }
}

on_both_databases! {
    async fn a_short_turn_of_an_erased_conversation_stays_where_others_say_it(database: TestDb) {
        let app = TestApp::start(database, Worker::None).await;
        let project = app.new_project("Turns").await;
        let said = [sample("Yes."), sample("As Ignaz Quxtrop said.")];
        let run = add_finished_run(&app.rows, &project, RunKind::Sft, json!({}), &said).await;
        let turn = |role, content| json!({"role": role, "content": content});
        let turns = [
            turn("user", "Is it true?"), turn("assistant", "Yes."),
            turn("user", "As Ignaz Quxtrop said."),
        ];
        app.admin.bring_in(&project, format!("{}\n", json!({"prompt": turns}))).await;
        done(&app.database, &["erase", "--containing", "Quxtrop", "--reason", "law", "--yes"]);
        assert_eq!(events(&app.rows, run).await, [sample("Yes."), sample("[erased]")]);
    }
}

on_both_databases! {
    async fn a_one_word_answer_goes_with_its_person_and_not_from_what_others_say(database: TestDb) {
        let app = TestApp::start(database, Worker::None).await;
        let project = app.new_project("Words").await;
        app.add_prompts(&project, (1..=6).map(|n| format!("Which is number {n}?"))).await;
        let said = [sample("Quxtrop"), sample("2")];
        let run = add_finished_run(&app.rows, &project, RunKind::Sft, json!({}), &said).await;
        let anna = app.new_person(&project, "anna", &["annotator"]).await;
        let berta = app.new_person(&project, "berta", &["annotator"]).await;
        let old = app.database.folder.path().join("old");
        let mut page = anna.get(&format!("{project}/demonstrate")).await;
        for answer in ["2", "Quxtrop"] {
            page = anna.submit(page.form(page.url.path()).with("answer", answer)).await;
        }
        let task = berta.get(&format!("{project}/demonstrate")).await;
        let form = task.form(task.url.path()).with("answer", " 2");
        berta.submit(Form { action: format!("{}/draft", form.action), ..form.clone() }).await;
        let typed = drafts(&app.rows).await;
        assert!(typed.iter().any(|draft| draft["answer"] == " 2"), "{typed:?}");
        done(&app.database, &["backup", "--out", shown(&old)]);

        let person = ["erase", "--person", "anna", "--with-texts", "--reason", "asked"];
        let told = done(&app.database, &person);
        assert!(told.contains("alone wrote: 1") && told.contains("Quxtrop"), "{told}");
        done(&app.database, &[&person[..], &["--yes"]].concat());
        assert!(is_there(&app.rows, &sha256_hex("2")).await, "Berta is about to say it");
        assert!(!is_there(&app.rows, &sha256_hex("Quxtrop")).await);
        assert_eq!(events(&app.rows, run).await, said);
        assert_eq!(drafts(&app.rows).await, typed);
        berta.submit(form).await;

        // A restore does the same, and no more.
        let erasures = app.database.folder.path().join("artifacts/erasures.jsonl");
        for target in elsewhere().await {
            done(&target, &["restore", shown(&old), "--erasures", shown(&erasures)]);
            let rows = target.connect().await;
            assert!(!is_there(&rows, &sha256_hex("Quxtrop")).await);
            assert_eq!((events(&rows, run).await, drafts(&rows).await), (said.to_vec(), typed.clone()));
        }

        // Whoever names the text means it wherever it is all that stands in a field.
        let named = keep(&app.rows, "Zarkwob").await;
        let task = berta.get(&format!("{project}/demonstrate")).await;
        let form = task.form(task.url.path()).with("answer", "Zarkwob");
        berta.submit(Form { action: format!("{}/draft", form.action), ..form }).await;
        done(&app.database, &["erase", "--text", &named, "--reason", "asked", "--yes"]);
        let left = drafts(&app.rows).await;
        assert!(left.iter().any(|draft| draft["answer"] == "[erased]"), "{left:?}");
    }
}

on_both_databases! {
    async fn erasing_somebody_who_is_called_like_a_role_changes_no_line_of_others(database: TestDb) {
        let app = TestApp::start(database, Worker::None).await;
        let project = app.new_project("annotator").await;
        app.new_account(&project, "berta", &["annotator", "manager"]).await;
        app.new_account(&project, "annotator", &["annotator"]).await;
        app.new_account(&project, "care", &["engineer"]).await;
        // One has a name that is somebody else's login.
        for (login, name) in [("annotator", "berta"), ("care", "Customer Care")] {
            let named = account::ActiveModel {
                id: Set(account(&app.rows, login).await.id),
                display_name: Set(name.to_owned()),
                ..Default::default()
            };
            named.update(&app.rows).await.unwrap();
        }
        for (action, details) in [
            (AuditAction::ModelDelete, json!({"name": "Customer Care Bot", "artifact": "annotator"})),
            (AuditAction::AccountErase, json!({"reason": "Customer Care asked for it"})),
        ] {
            let subject = AuditSubject::of_all("somewhere");
            audit::record(&app.rows, None, action, subject, details).await.unwrap();
        }
        let (added, created, made) = (
            details(&app.rows, "membership.add").await,
            details(&app.rows, "account.create").await,
            details(&app.rows, "project.create").await,
        );
        assert_eq!(added[0]["roles"].as_array().unwrap().len(), 2);
        for login in ["annotator", "care"] {
            done(&app.database, &["erase", "--person", login, "--reason", "asked", "--yes"]);
        }
        assert_eq!(details(&app.rows, "membership.add").await, added);
        assert_eq!(details(&app.rows, "project.create").await, made);
        let mut unnamed = created;
        for line in &mut unnamed {
            if line["login"] == "annotator" || line["login"] == "care" {
                line["login"] = json!("[erased]");
            }
        }
        assert_eq!(unnamed.iter().filter(|line| line["login"] == "[erased]").count(), 2);
        assert_eq!(details(&app.rows, "account.create").await, unnamed);
        assert_eq!(details(&app.rows, "model.delete").await[0]["name"], "Customer Care Bot");
        assert_eq!(details(&app.rows, "account.erase").await[0]["reason"], "[erased] asked for it");
    }
}

on_both_databases! {
    async fn of_every_column_it_is_said_whose_words_it_holds(database: TestDb) {
        let mut unsaid = Vec::new();
        let db = database.connect().await;
        Migrator::up(&db, None).await.unwrap();
        for table in tables::all(&db).await.unwrap() {
            for column in table.columns.iter().filter(|column| !column.is_key) {
                let has_text = matches!(column.kind, ColumnKind::Text | ColumnKind::Json);
                if has_text && fields::of_column(&table.name, &column.name).is_none() {
                    unsaid.push(format!("{}.{}", table.name, column.name));
                }
            }
        }
        assert!(unsaid.is_empty(), "say in keeping/erasure/fields.rs what stands in {unsaid:?}");
    }
}

/// An erasure must know of each detail in the log whether words of people stand in it.
pub(super) async fn every_detail_is_said(rows: &DatabaseConnection) {
    let known = fields::of_column("audit_log", "details");
    let Some(ColumnWords::Fields(known)) = known else { panic!("details have fields") };
    for line in audit_log::Entity::find().all(rows).await.unwrap() {
        let unsaid = fields::unknown(&line.details, known);
        assert!(unsaid.is_empty(), "{}: say what stands in {unsaid:?}", line.action);
    }
}
