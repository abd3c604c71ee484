//! Texts that are to be erased, and those that were: found however they are spelt, gone with their own
//! words and not with other people's, and brought again by nobody.

use crate::support::{
    app::{TestApp, Worker},
    backups::{annotator, done, elsewhere, shown},
    database::on_both_databases,
};
use annotator::people::audit::{self, AuditAction, AuditSubject};
use entity::{
    audit_log, hash::sha256_hex, ids::ProjectId, import, judgement, project, prompt, task, text,
    time::UnixMillis,
};
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, DatabaseConnection, EntityTrait,
    PaginatorTrait, QueryFilter, QueryOrder,
};
use serde_json::{Value, json};
use std::fs;

const QUESTION: &str = "Where does Wilhelmine Zarkwob live?";

const ANSWER: &str = "She lives with Ignaz Quxtrop in Elmstreet.";

pub(super) fn id_of(project: &str) -> ProjectId {
    project.rsplit('/').next().unwrap().parse().unwrap()
}

fn asked(question: &str) -> Value {
    json!([{"role": "user", "content": question}])
}

/// A file of rows, of which four have a text that was erased.
fn rows() -> String {
    let rows = [
        json!({"prompt": asked(QUESTION)}),
        json!({"prompt": "What is new?"}),
        json!({"prompt": "And beside it?", "completion": ANSWER}),
        json!({"messages": [{"role": "user", "content": "Who?"}, {"role": "assistant", "content": ANSWER}]}),
        json!({"prompt": "Which?", "chosen": "This.", "rejected": ANSWER}),
        json!({"prompt": "Which?", "chosen": "This.", "rejected": "That."}),
    ];
    rows.map(|row| format!("{row}\n")).concat()
}

/// A question and an answer that were erased.
async fn erase_both(app: &TestApp) {
    let first = app.new_project("First").await;
    app.add_prompts(&first, [QUESTION.to_owned()]).await;
    keep(&app.rows, ANSWER).await;
    for words in ["Zarkwob", "Quxtrop"] {
        done(&app.database, &["erase", "--containing", words, "--reason", "asked", "--yes"]);
    }
}

async fn prompts_of(app: &TestApp, project: &str) -> Vec<String> {
    let own = prompt::Entity::find().filter(prompt::Column::ProjectId.eq(id_of(project)));
    let rows = own.order_by_asc(prompt::Column::Id).all(&app.rows).await.unwrap();
    let mut bodies = Vec::new();
    for row in rows {
        let text = text::Entity::find_by_id(row.text_hash).one(&app.rows).await.unwrap().unwrap();
        bodies.push(text.body.unwrap_or_default());
    }
    bodies.sort();
    bodies
}

on_both_databases! {
    async fn a_row_with_a_text_that_was_erased_is_left_out_and_named(database: TestDb) {
        let app = TestApp::start(database, Worker::None).await;
        erase_both(&app).await;
        let second = app.new_project("Second").await;
        let page = app.admin.bring_in(&second, rows()).await;
        let row = import::Entity::find().one(&app.rows).await.unwrap().unwrap();
        assert_eq!(row.state, import::ImportState::Done, "{}", page.text());
        assert_eq!((row.counts.new_rows(), row.counts.erased, row.n_refused), (2, 4, 4));
        assert_eq!(page.texts("table.refusals td:first-child"), ["1", "3", "4", "5"]);
        let why = page.texts("table.refusals td:last-child").concat();
        assert!(why.contains("its text was removed for the law before"), "{why}");
        assert_eq!(prompts_of(&app, &second).await, [r#""What is new?""#, r#""Which?""#]);
        let tasks = task::Entity::find().filter(task::Column::ProjectId.eq(id_of(&second)));
        assert_eq!(tasks.count(&app.rows).await.unwrap(), 2);
        assert_eq!(judgement::Entity::find().count(&app.rows).await.unwrap(), 1);
        let orphan = text::Entity::find().filter(text::Column::Body.eq(r#""And beside it?""#));
        assert_eq!(orphan.count(&app.rows).await.unwrap(), 0, "what came beside it is not kept");

        let file = app.database.folder.path().join("rows.jsonl");
        fs::write(&file, rows()).unwrap();
        let output = annotator(&app.database, &["import", "--project", "Third", shown(&file)]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.contains("4 rows were left out"), "{said}");
        assert!(said.contains("line 5: its text was removed for the law before"), "{said}");
    }
}

on_both_databases! {
    async fn pasted_prompts_that_were_erased_are_left_out_by_their_numbers(database: TestDb) {
        let app = TestApp::start(database, Worker::None).await;
        erase_both(&app).await;
        let second = app.new_project("Second").await;
        let form = app.admin.get(&format!("{second}/prompts")).await.form("/prompts");
        let pasted = format!("How now?\n\n{QUESTION}\n\nWhat then?\n\n{QUESTION}");
        let told = app.admin.submit(form.with("prompts", pasted)).await;
        assert!(told.text().contains("Left out: 2, 4."), "{}", told.text());
        assert_eq!(prompts_of(&app, &second).await.len(), 2);
        let page = app.admin.get(&format!("{second}/demonstrate")).await;
        assert!(page.text().contains("How now?") && !page.text().contains("this text was removed"));
    }
}

async fn guide(app: &TestApp, project: &str, guidelines: &str) {
    let row = project::ActiveModel {
        id: Set(id_of(project)),
        guidelines: Set(guidelines.to_owned()),
        ..Default::default()
    };
    row.update(&app.rows).await.unwrap();
}

async fn guidelines(rows: &DatabaseConnection, project: &str) -> String {
    project::Entity::find_by_id(id_of(project)).one(rows).await.unwrap().unwrap().guidelines
}

const SYSTEM: &str = "Be kind to everybody.";

fn with_system(question: &str) -> String {
    json!({"prompt": [{"role": "system", "content": SYSTEM}, {"role": "user", "content": question}]})
        .to_string()
}

on_both_databases! {
    async fn what_is_other_peoples_too_stays_unless_somebody_says_so(database: TestDb) {
        let app = TestApp::start(database, Worker::None).await;
        let (first, kind, open) = (
            app.new_project("First").await,
            app.new_project("The kind").await,
            app.new_project("The open").await,
        );
        let (of_kind, of_open) = (
            format!("Speak. {SYSTEM} Never lie."),
            format!("Never ask: {QUESTION} Never say: {ANSWER} Done."),
        );
        guide(&app, &kind, &of_kind).await;
        guide(&app, &open, &of_open).await;
        let file = format!("{}\n{}\n", with_system(QUESTION), with_system("What is new?"));
        app.admin.bring_in(&first, file).await;
        let (answer, subject) = (keep(&app.rows, ANSWER).await, AuditSubject::of_all("somewhere"));
        let details = json!({"said": [SYSTEM, QUESTION]});
        audit::record(&app.rows, None, AuditAction::RunCancel, subject, details).await.unwrap();
        let old = app.database.folder.path().join("old");
        done(&app.database, &["backup", "--out", shown(&old)]);

        let found = app.admin.get("/admin/erasures?words=zarkwob").await;
        let address = &found.links("main ul li a")[0];
        let page = app.admin.get(address).await;
        assert!(page.text().contains("system message is that of other prompts"), "{}", page.text());
        assert_eq!(page.texts("form ul li"), ["The open"], "only where its own words stand");
        app.admin.submit(page.form(address).with("reason", "asked")).await;
        assert_eq!(guidelines(&app.rows, &kind).await, of_kind);
        assert_eq!(guidelines(&app.rows, &open).await, of_open, "nobody ticked it");
        let line = audit_log::Entity::find().filter(audit_log::Column::Subject.eq("somewhere"));
        let line = line.one(&app.rows).await.unwrap().unwrap();
        assert_eq!(line.details["said"], json!([SYSTEM, "[erased]"]));

        let order = ["erase", "--text", &answer, "--reason", "asked"];
        let told = done(&app.database, &order);
        assert!(told.contains("in the guidelines of The open: stays there"), "{told}");
        done(&app.database, &[&order[..], &["--guidelines", "--yes"]].concat());
        let left = format!("Never ask: {QUESTION} Never say: [erased] Done.");
        assert_eq!(guidelines(&app.rows, &open).await, left);

        // A restore repeats what was chosen.
        let erasures = app.database.folder.path().join("artifacts/erasures.jsonl");
        let noted = fs::read_to_string(&erasures).unwrap();
        assert_eq!(noted.matches(r#""guidelines":true"#).count(), 1, "{noted}");
        for target in elsewhere().await {
            done(&target, &["restore", shown(&old), "--erasures", shown(&erasures)]);
            let rows = target.connect().await;
            assert_eq!(guidelines(&rows, &kind).await, of_kind);
            assert_eq!(guidelines(&rows, &open).await, left);
        }
    }
}

on_both_databases! {
    async fn guidelines_change_where_whoever_erases_ticks_it(database: TestDb) {
        let app = TestApp::start(database, Worker::None).await;
        let open = app.new_project("The open").await;
        guide(&app, &open, &format!("Never say: {ANSWER} Done.")).await;
        let address = format!("/admin/erasures/texts/{}", keep(&app.rows, ANSWER).await);
        let page = app.admin.get(&address).await;
        let form = page.form(&address).with("reason", "asked").choosing("guidelines", "yes");
        app.admin.submit(form).await;
        assert_eq!(guidelines(&app.rows, &open).await, "Never say: [erased] Done.");
    }
}

pub(super) async fn keep(db: &DatabaseConnection, body: &str) -> String {
    let hash = sha256_hex(body);
    let row = text::ActiveModel {
        hash: Set(hash.clone()),
        body: Set(Some(body.to_owned())),
        created_at: Set(UnixMillis::now()),
    };
    text::Entity::insert(row).exec_without_returning(db).await.unwrap();
    hash
}

on_both_databases! {
    async fn a_text_is_found_however_its_letters_are_composed_and_large(database: TestDb) {
        let app = TestApp::start(database, Worker::None).await;
        let decomposed = keep(&app.rows, "Zoe\u{308}  QUXTROP\nwohnt in der Stra\u{df}e am Fu\u{df}.").await;
        let russian = keep(&app.rows, "\u{41d}\u{430}\u{442}\u{430}\u{43b}\u{44c}\u{44f} \u{417}\u{430}\u{440}\u{43a}\u{443}\u{451}\u{432}\u{430}").await;
        let prompt = keep(&app.rows, r#"[{"role":"user","content":"Who is\n\"Bjorn [X*] Quxtrop\"?"}]"#).await;
        let greek = keep(&app.rows, "\u{39f} \u{3a3}\u{3af}\u{3c3}\u{3c5}\u{3c6}\u{3bf}\u{3c2}").await;
        for n in 0..300 {
            keep(&app.rows, &format!("Zoe Quxtrap, quxtrop-number {n}, \u{437}\u{430}\u{440}\u{43a}\u{443}\u{43b}")).await;
        }
        let looked_up = [
            ("zo\u{eb} quxtrop wohnt", &decomposed),
            ("IN DER STRASSE AM FUSS", &decomposed),
            ("\u{437}\u{430}\u{440}\u{43a}\u{443}\u{435}\u{308}\u{432}\u{410}", &russian),
            ("\u{417}\u{410}\u{420}\u{41a}\u{423}\u{401}\u{412}\u{410}", &russian),
            ("who is \"bjorn [x*] q", &prompt),
            ("\u{3c3}\u{399}\u{301}\u{3c3}\u{3c5}\u{3c6}\u{3bf}\u{3c3}", &greek),
        ];
        for (words, hash) in looked_up {
            let query: String = form_urlencoded(words);
            let page = app.admin.get(&format!("/admin/erasures?words={query}")).await;
            let found = page.links("main ul li a");
            assert_eq!(found, [format!("/admin/erasures/texts/{hash}")], "{words}");
        }
        let order = ["erase", "--containing", "zo\u{eb} QUXTROP", "--reason", "asked"];
        let told = done(&app.database, &order);
        assert!(told.contains(&decomposed) && !told.contains(&prompt), "{told}");
        let nothing = app.admin.get("/admin/erasures?words=Quxtrip").await;
        assert!(nothing.links("main ul li a").is_empty());
    }
}

fn form_urlencoded(words: &str) -> String {
    words.bytes().map(|byte| format!("%{byte:02X}")).collect()
}
