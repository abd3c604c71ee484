//! The first released schema, as commit 04c3460 left it: every newer version opens it, brings it to
//! its own schema, shows what people wrote and goes on with the runs that were cut short.
//!
//! What is in it, and how it was made: `tests/fixtures/first_schema/README.md`.

mod restored;

use crate::support::{
    app::{Server, Worker, clean},
    backups::{done, elsewhere, refused, shown},
    binaries,
    database::{TestDb, on_both_databases},
    eventually,
    hub::{Hub, Repository, client},
    leash::Leash,
    web::{Page, Visitor},
};
use entity::run;
use restored::{Restored, text_of};
use serde_json::Value;
use std::{collections::HashMap, fs, path::Path, process::Stdio, time::Duration};
use storage::schema::SchemaState;

/// How long all half-done runs together may take.
const PATIENCE: Duration = Duration::from_secs(300);

/// What the English pages say of a verdict: A is left.
const VERDICTS: [(&str, &str); 8] = [
    (r#"{"left":3}"#, "A much better"),
    (r#"{"left":2}"#, "A better"),
    (r#"{"left":1}"#, "A slightly better"),
    (r#"{"right":1}"#, "B slightly better"),
    (r#"{"right":2}"#, "B better"),
    (r#"{"right":3}"#, "B much better"),
    (r#""tie""#, "Equal"),
    (r#""both_bad""#, "Both bad"),
];

/// What they say of a reason for a skip, of those that were given.
const REASONS: [(&str, &str); 2] = [
    ("not_my_subject", "It is not my subject"),
    ("broken", "Something is broken: cut off, garbled"),
];

on_both_databases! {
    async fn what_people_wrote_is_all_there(database: TestDb) {
        let restored = Restored::new(database).await;
        restored.check_row_counts().await;
        restored.delete_projects_now().await;
        let server = Server::start(&restored.test, Worker::None);
        assert_eq!(server.first_password, None, "it is no first start");
        let admin = restored.visitor(&server, "admin").await;
        let home = admin.get("/").await;
        admin.submit(home.form(&format!("{}/restore", restored.project("Abandoned")))).await;

        for said in restored.list("said") {
            check_judgement(&admin, said).await;
        }
        let verdicts: Vec<String> =
            restored.list("said").iter().map(|said| said["verdict"].to_string()).collect();
        for (verdict, _) in VERDICTS {
            assert!(verdicts.iter().any(|said| said == verdict), "nobody said {verdict}");
        }
        check_prompts(&admin, &restored).await;
        check_open_work(&restored, &server).await;
    }
}

on_both_databases! {
    async fn a_backup_of_it_is_restored_with_this_versions_schema(database: TestDb) {
        let unpacked = Restored::unpacked(database).await;
        let folder = unpacked.test.folder.path().join("backup");
        done(&unpacked.test, &["backup", "--out", shown(&folder)]);
        for target in elsewhere().await {
            done(&target, &["restore", shown(&folder)]);
            let moved = unpacked.moved_to(target).await;
            moved.check_row_counts().await;
            let server = Server::start(&moved.test, Worker::None);
            let admin = moved.visitor(&server, "admin").await;
            let is_there = |said: &&Value| said["project"] == moved.expected["projects"]["Animals"];
            for said in moved.list("said").iter().filter(is_there) {
                check_judgement(&admin, said).await;
            }
        }
    }
}

on_both_databases! {
    async fn a_copy_is_kept_before_the_schema_changes(database: TestDb) {
        let unpacked = Restored::unpacked(database).await;
        let copies = unpacked.test.folder.path().join("artifacts/backups");
        // Something is in the way of the copy.
        fs::write(&copies, "").unwrap();
        let refusal = refused(&unpacked.test, &["migrate"]);
        assert!(refusal.contains("before its schema changes") && refusal.contains("--no-migration-copy"), "{refusal}");
        let state = storage::schema::state(&unpacked.test.connect().await).await.unwrap();
        assert!(matches!(state, SchemaState::Older(_)), "nothing was changed");
        fs::remove_file(&copies).unwrap();

        done(&unpacked.test, &["migrate"]);
        done(&unpacked.test, &["migrate"]);
        let copies: Vec<_> = fs::read_dir(copies).unwrap().map(|entry| entry.unwrap().path()).collect();
        let [copy] = copies.as_slice() else { panic!("not one copy: {copies:?}") };
        let target = TestDb::sqlite().await;
        if copy.extension().is_some_and(|extension| extension == "db") {
            fs::copy(copy, target.folder.path().join("attune.db")).unwrap();
            let state = storage::schema::state(&target.connect().await).await.unwrap();
            assert!(matches!(state, SchemaState::Older(_)), "an older version can open it");
            done(&target, &["migrate", "--no-migration-copy"]);
            assert!(!target.folder.path().join("artifacts/backups").exists());
        } else {
            done(&target, &["restore", shown(copy)]);
        }
        unpacked.moved_to(target).await.check_row_counts().await;
    }
}

/// The letters and digits of a text: Markdown puts others in and takes others away.
fn letters(text: &str) -> String {
    text.chars().filter(|letter| letter.is_alphanumeric()).collect()
}

/// A judgement's page has its author, its words and every other revision.
async fn check_judgement(who: &Visitor, said: &Value) {
    let project = format!("/projects/{}", text_of(&said["project"]));
    let page = who.get(&format!("{project}/judgements/{}", text_of(&said["judgement"]))).await;
    let shown = page.text();
    assert!(shown.contains(said["by"].as_str().unwrap_or("import")), "{said}\n{shown}");
    if let Some(text) = said["text"].as_str() {
        assert!(letters(&shown).contains(&letters(text)), "{said}\n{shown}");
    }
    if !said["verdict"].is_null() {
        let verdict = said["verdict"].to_string();
        let words = VERDICTS.iter().find(|(known, _)| verdict == *known);
        assert_eq!(page.texts("p b"), [words.expect("a verdict").1], "{said}");
    }
    if let Some(reason) = said["reason"].as_str() {
        let words = REASONS.iter().find(|(known, _)| reason == *known);
        assert!(shown.contains(words.expect("a reason").1), "{said}\n{shown}");
    }
    let links = page.links("dd a");
    for revision in said["revisions"].as_array().unwrap() {
        let address = format!("{project}/judgements/{}", text_of(revision));
        assert!(*revision == said["judgement"] || links.contains(&address), "{said}: {links:?}");
    }
}

/// A prompt's page has its last message, and a withdrawn one can be brought back.
async fn check_prompts(who: &Visitor, restored: &Restored) {
    let mut n_withdrawn = 0;
    for prompt in restored.list("prompts") {
        let project = format!("/projects/{}", text_of(&prompt["project"]));
        let address = format!("{project}/prompts/{}", text_of(&prompt["prompt"]));
        // The demo project of the first start is nobody's.
        if !restored.projects().any(|project| *project == prompt["project"]) {
            continue;
        }
        let page = who.get(&address).await;
        let last = match &prompt["body"] {
            Value::Array(messages) => &messages.last().unwrap()["content"],
            plain => plain,
        };
        assert!(
            letters(&page.text()).contains(&letters(text_of(last))),
            "{prompt}\n{}",
            page.text()
        );
        let is_withdrawn = prompt["withdrawn"] == true;
        let action = if is_withdrawn { "/restore" } else { "/withdraw" };
        assert!(page.find_form(&format!("{address}{action}")).is_some(), "{prompt}");
        n_withdrawn += usize::from(is_withdrawn);
    }
    assert_eq!(n_withdrawn, 2);
}

/// Who was in the middle of an answer finds it as they left it and can send it, late as it is; who
/// held a task gets one again.
async fn check_open_work(restored: &Restored, server: &Server) {
    let anna = restored.visitor(server, "anna").await;
    let draft = &restored.expected["draft"];
    let address =
        format!("{}/tasks/{}", restored.project("Animals"), text_of(&draft["assignment"]));
    let task = anna.get(&address).await;
    let form = task.form(&address);
    assert_eq!(form.value("answer"), draft["body"]["answer"].as_str());
    assert!(task.html.contains("lang=\"ru\""), "she reads Russian");
    anna.submit(form.with("answer", "Начало ответа и его конец.")).await;
    assert_eq!(restored.count("draft").await, 0);
    let n_before = restored.expected["rows"]["judgement"].as_i64().unwrap();
    assert_eq!(restored.count("judgement").await, n_before + 1);
    let boris = restored.visitor(server, "boris").await;
    for kind in ["demonstrate", "compare"] {
        let task = boris.get(&format!("{}/{kind}", restored.project("Animals"))).await;
        assert!(task.find_form(task.url.path()).is_some(), "{}", task.text());
    }
    let guidelines = boris.get(&restored.project("Animals")).await.text();
    assert!(guidelines.contains("Answer in the language of the question."), "{guidelines}");
}

on_both_databases! {
    async fn what_was_made_of_it_is_shown_with_its_figures(database: TestDb) {
        let restored = Restored::new(database).await;
        let server = Server::start(&restored.test, Worker::None);
        let erik = restored.visitor(&server, "erik").await;
        let animals = restored.project("Animals");
        for (kind, twin) in restored.expected["twins"].as_object().unwrap() {
            let page = erik.get(&format!("{animals}/runs/{}", text_of(&twin["run"]))).await;
            assert!(page.html.contains("data-status=\"succeeded\""), "{kind}: {}", page.text());
            check_figures(&page, kind, twin);
        }
        for model in restored.list("models") {
            let page = erik.get(&format!("{animals}/models/{}", text_of(&model["model"]))).await;
            let shown = page.text();
            assert!(shown.contains(text_of(&model["name"])) && shown.contains(text_of(&model["hash"])), "{shown}");
            let downloads = page.links("a").iter().filter(|link| link.ends_with("/download")).count();
            assert_eq!(downloads == 0, model["deleted"] == true, "{model}");
        }
        for version in restored.list("datasets") {
            let project = format!("/projects/{}", text_of(&version["project"]));
            let page = erik.get(&format!("{project}/datasets/{}", text_of(&version["version"]))).await;
            let counts = &version["counts"];
            let counted = match (text_of(&version["kind"]), counts["eval"].as_u64()) {
                ("prompts", Some(0)) => format!("{} to answer", counts["train"]),
                _ => format!("{} to train on, {} held out", counts["train"], counts["eval"]),
            };
            let shown = page.text();
            assert!(shown.contains(&counted) && shown.contains(text_of(&version["hash"])), "{shown}");
        }
        let runs = erik.get(&format!("{animals}/runs")).await;
        for status in ["failed", "cancelled"] {
            assert_eq!(runs.texts(&format!(".status-{status}")).len(), 1, "{status}");
        }
        for run in restored.expected["half_done"].as_object().unwrap().values() {
            let address = format!("{animals}/runs/{}", text_of(&run["run"]));
            assert!(runs.links("a").contains(&address), "{address} is not listed");
            assert!(erik.get(&address).await.html.contains("data-status=\"running\""));
        }
    }
}

/// The table of all metrics has what the run said last, rounded.
fn check_figures(page: &Page, kind: &str, twin: &Value) {
    let names = page.texts("#run-metrics th");
    let values = page.texts("#run-metrics td");
    let shown: HashMap<_, _> = names.into_iter().zip(values).collect();
    let is_counted = |name: &str| !["sample", "fetch"].contains(&kind) && name != "step";
    for (name, value) in twin["final"].as_object().unwrap() {
        let Some(value) = value.as_f64().filter(|_| is_counted(name)) else { continue };
        let shown: f64 =
            shown.get(name).unwrap_or_else(|| panic!("{kind}: no {name}")).parse().unwrap();
        assert!(
            (shown - value).abs() <= 1e-2 * value.abs() + 1e-9,
            "{kind}: {name}: {shown}, not {value}"
        );
    }
}

on_both_databases! {
    async fn runs_that_were_half_done_go_on_and_end_as_their_twins_did(database: TestDb) {
        let restored = Restored::new(database).await;
        let hub = hub(&restored);
        let server = Server::start(&restored.test, Worker::None);
        let _worker = worker(&restored, &hub);
        let n_runs = restored.expected["rows"]["run"].as_i64().unwrap();
        // The two new policies answer the prompts, which is a run each.
        let all_over = async || restored.n_ended_runs().await.eq(&(n_runs + 2)).then_some(());
        let log = || format!("runs that are stuck:\n{}\n{}", server.log(), restored.worker_log());
        eventually(PATIENCE, all_over, log).await;

        let half_done = restored.expected["half_done"].as_object().unwrap();
        assert_eq!(half_done.len(), 6);
        for (kind, before) in half_done {
            let run = restored.run(text_of(&before["run"])).await;
            assert_eq!(run.status, run::RunStatus::Succeeded, "{kind}: {:?}", run.error);
            assert_eq!(i64::from(run.attempt), before["attempt"].as_i64().unwrap() + 1, "{kind}");
            restored.check_that_it_went_on(kind, before).await;
            let twin = &restored.expected["twins"][kind];
            match kind.as_str() {
                "fetch" => check_what_was_fetched(&restored, &hub, &run),
                "sample" => restored.check_answers(&run, twin),
                _ => check_numbers(kind, &run, twin),
            }
        }
        let erik = restored.visitor(&server, "erik").await;
        check_what_follows(&erik, &restored).await;
    }
}

/// A hub with the repository that was on its way.
fn hub(restored: &Restored) -> Hub {
    let mut repository = Repository::default();
    for entry in fs::read_dir(restored.artifact_of("tiny_llama")).unwrap().flatten() {
        let name = entry.file_name().into_string().unwrap();
        repository.files.insert(name, fs::read(entry.path()).unwrap());
    }
    let readme = text_of(&restored.all["readme"]).as_bytes().to_vec();
    repository.files.insert("README.md".into(), readme);
    Hub::start("people/tiny-base-two", repository)
}

fn worker(restored: &Restored, hub: &Hub) -> Leash {
    let folder = restored.test.folder.path();
    let artifacts = folder.join("artifacts");
    let errors = fs::File::create(folder.join("worker.log")).unwrap();
    let arguments = ["worker", "--poll-ms", "50", "--name", "newer", "--database-url"];
    let storage = [restored.test.url.as_str(), "--artifacts", artifacts.to_str().unwrap()];
    Leash::start(&binaries::trainer(), arguments.into_iter().chain(storage), |command| {
        let command = client(clean(command), &hub.endpoint(), &folder.join("hub"));
        command.stdout(Stdio::null()).stderr(errors)
    })
}

/// Within a thousandth of the twin's: on the machine and with the build that made the fixture the
/// numbers are the same, but another processor or libtorch adds in another order.
fn check_numbers(kind: &str, run: &run::Model, twin: &Value) {
    let summary = run.summary.as_ref().unwrap();
    assert_eq!(summary["steps"], twin["steps"], "{kind}");
    let (made, expected) = (&summary["final"], twin["final"].as_object().unwrap());
    assert!(expected.len() > 4, "{kind}: {expected:?}");
    for (name, value) in expected {
        let Some(value) = value.as_f64().filter(|_| name != "eps") else { continue };
        let made = made[name].as_f64().unwrap_or_else(|| panic!("{kind}: no {name} in {summary}"));
        let tolerance = 1e-3 * value.abs() + 1e-5;
        assert!((made - value).abs() <= tolerance, "{kind}: {name} is {made}, not {value}");
    }
}

/// The rest alone was asked for, and the whole is what the hub has.
fn check_what_was_fetched(restored: &Restored, hub: &Hub, run: &run::Model) {
    let asked = hub.asked();
    let weights = asked.iter().filter(|asked| asked.path.starts_with("/cdn/"));
    let ranges: Vec<_> = weights.map(|asked| asked.range.as_deref().unwrap_or("all")).collect();
    assert_eq!(ranges, [format!("bytes={}-", restored.all["arrived"])], "{asked:?}");
    let made = restored.artifact(run.output_hash.as_deref().unwrap());
    let weights = |folder: &Path| fs::read(folder.join("model.safetensors")).unwrap();
    assert!(weights(&made) == weights(&restored.artifact_of("tiny_llama")));
    assert_eq!(
        fs::read_to_string(made.join("README.md")).unwrap(),
        text_of(&restored.all["readme"])
    );
}

/// New models are there to be used, and the answers of the sample run are there to be compared.
async fn check_what_follows(who: &Visitor, restored: &Restored) {
    let animals = restored.project("Animals");
    let n_known = restored.list("models").len();
    for (kind, before) in restored.expected["half_done"].as_object().unwrap() {
        let address = format!("{animals}/runs/{}", text_of(&before["run"]));
        let look = async || {
            let output = who.get(&address).await.texts("#run-output .note").join(" ");
            (!output.is_empty()).then_some(output)
        };
        let output = eventually(PATIENCE, look, || format!("nothing comes of {kind}")).await;
        assert_eq!(output.contains("comparison tasks"), kind == "sample", "{kind}: {output}");
    }
    let models = who.get(&format!("{animals}/models")).await;
    assert!(models.text().contains("people/tiny-base-two"), "{}", models.text());
    assert_eq!(restored.count("model").await, n_known as i64 + 5);
}
