//! What people type: cleaned and bounded with a sentence beside the field, the same letters the same
//! text, and a form that is sent twice done once.

use crate::support::{
    app::{TestApp, Worker},
    builders::{add_model, add_run},
    database::{TestDb, on_both_databases},
    web::{Form, Page, Visitor},
};
use entity::{
    account,
    ids::ProjectId,
    judgement, membership, project, prompt,
    run::{self, RunStatus},
    task, text,
};
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter,
};
use storage::artifact_store::ArtifactStore;

/// "Andréj", with its accents as characters and as marks.
const COMPOSED: &str = "andréй";
const DECOMPOSED: &str = "andre\u{301}и\u{306}";

fn id_of(project: &str) -> ProjectId {
    project.rsplit('/').next().unwrap().parse().unwrap()
}

/// The form's refusal with a sentence at that field, and what was typed still in it.
fn assert_refused(page: &Page, field: &str, typed: &str) {
    assert_eq!(page.status, 422, "{}", page.text());
    let sentence = page.texts(&format!("#{field}-error"));
    assert_eq!(sentence.len(), 1, "no sentence at {field}:\n{}", page.text());
    let kept = page.form(page.url.path());
    assert_eq!(kept.value(field), Some(typed), "what was typed in {field}");
}

async fn open(database: TestDb) -> (TestApp, String) {
    let app = TestApp::start(database, Worker::None).await;
    let project = app.new_project("Other").await;
    (app, project)
}

on_both_databases! {
    async fn a_name_that_cannot_be_stored_or_seen_is_told_beside_its_field(database: TestDb) {
        let (app, project) = open(database).await;
        let long = "ё".repeat(101);
        for (name, kept) in [("Other\0", "Other\u{FFFD}"), ("\u{202e}rehtO", "\u{202e}rehtO"), (&long, &long)] {
            let form = app.admin.get("/projects/new").await.form("/projects/new");
            assert_refused(&app.admin.try_submit(form.with("name", name)).await, "name", kept);
            let form = app.admin.get("/admin/people").await.form("/admin/people").with("login", "anna");
            assert_refused(&app.admin.try_submit(form.with("name", name)).await, "name", kept);
            let people = format!("{project}/people");
            let form = app.admin.get(&people).await.form("/people").with("login", "anna").with("name", name);
            let page = app.admin.try_submit(form.choosing("role", "annotator")).await;
            assert_refused(&page, "name", kept);
        }
        let models = format!("{project}/models/new");
        for revision in ["v\0".to_owned(), "v".repeat(1001)] {
            let form = app.admin.get(&models).await.form("/models/new").with("source", "org/name");
            let page = app.admin.try_submit(form.with("revision", &revision)).await;
            assert_refused(&page, "revision", &revision.replace('\0', "\u{FFFD}"));
        }
        let accounts = account::Entity::find().count(&app.rows).await.unwrap();
        assert_eq!((accounts, run::Entity::find().count(&app.rows).await.unwrap()), (1, 0));
    }
}

on_both_databases! {
    async fn what_a_form_refuses_stays_in_its_fields(database: TestDb) {
        let (app, project) = open(database).await;
        let written = "Be kind.\n\nBe brief.";
        for overlap in ["", "0", "101", "two", "99999999999999999999"] {
            let form = app.admin.get(&project).await.form("/settings").with("guidelines", written);
            let page = app.admin.try_submit(form.with("overlap", overlap)).await;
            assert_eq!(page.status, 422);
            assert_eq!(page.texts("#overlap-error").len(), 1, "{}", page.text());
            let kept = page.form("/settings");
            assert_eq!((kept.value("guidelines"), kept.value("overlap")), (Some(written), Some(overlap)));
        }
        let long = "word ".repeat(200_001);
        app.add_prompts(&project, ["Why?".to_owned()]).await;
        let task = app.admin.get(&format!("{project}/demonstrate")).await;
        let form = task.form(task.url.path()).with("answer", &long);
        assert_refused(&app.admin.try_submit(form).await, "answer", &long);
    }
}

on_both_databases! {
    async fn an_answer_of_which_nothing_is_seen_is_none(database: TestDb) {
        let (app, project) = open(database).await;
        app.add_prompts(&project, ["Why?".to_owned()]).await;
        for unseen in ["\u{200b}", "\u{2800} \u{3164}\n\u{ad}", "\u{feff}"] {
            let task = app.admin.get(&format!("{project}/demonstrate")).await;
            let form = task.form(task.url.path()).with("answer", unseen);
            assert_eq!(app.admin.try_submit(form).await.status, 422, "{unseen:?}");
        }
        assert_eq!(judgement::Entity::find().count(&app.rows).await.unwrap(), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_answer_to_a_form_offers_no_other_language_in_which_it_would_be_lost() {
    let (app, project) = open(TestDb::sqlite().await).await;
    let page = app.admin.get(&project).await;
    assert!(page.find_form("/language").is_some());
    let refused = app.admin.try_submit(page.form("/settings").with("overlap", "0")).await;
    assert_eq!((refused.status.as_u16(), refused.find_form("/language").is_none()), (422, true));
}

on_both_databases! {
    async fn byte_0_in_an_answer_is_made_visible_and_the_rest_is_kept(database: TestDb) {
        let (app, project) = open(database).await;
        app.add_prompts(&project, ["One\0, two?".to_owned()]).await;
        let task = app.admin.get(&format!("{project}/demonstrate")).await;
        assert!(task.text().contains("One\u{FFFD}, two?"), "{}", task.text());
        let mut form = task.form(task.url.path()).with("answer", "Three\0 and\tfour\u{1b}.");
        form = form.with("idempotency_key", format!("{}\0", "k".repeat(100_000)));
        app.admin.submit(form).await;
        let stored = text::Entity::find().filter(text::Column::Body.eq("Three\u{FFFD} and\tfour\u{FFFD}."));
        assert_eq!(stored.count(&app.rows).await.unwrap(), 1);
    }
}

on_both_databases! {
    async fn a_login_and_a_name_are_the_same_however_a_keyboard_sends_them(database: TestDb) {
        let (app, project) = open(database).await;
        for (login, other) in [(COMPOSED, DECOMPOSED), (&*format!("{DECOMPOSED}2"), &*format!("{COMPOSED}2"))] {
            let password = app.new_account(&project, login, &["annotator"]).await;
            Visitor::new(&app.server.url).sign_in(other, &password).await;
            let form = app.admin.get("/admin/people").await.form("/admin/people");
            let page = app.admin.try_submit(form.with("login", other).with("name", "Another")).await;
            assert_eq!(page.texts("#login-error").len(), 1, "{}", page.text());
        }
        app.new_project("Café").await;
        let form = app.admin.get("/projects/new").await.form("/projects/new");
        let page = app.admin.try_submit(form.with("name", "Cafe\u{301}")).await;
        assert_refused(&page, "name", "Cafe\u{301}");
        // Those who were stored as somebody typed them are found as well.
        let stored = account::Entity::find().filter(account::Column::Login.eq(COMPOSED)).one(&app.rows);
        let stored = stored.await.unwrap().unwrap();
        let before = account::ActiveModel { id: Set(stored.id), login: Set(DECOMPOSED.to_owned()), ..Default::default() };
        before.update(&app.rows).await.unwrap();
        let form = app.admin.get("/admin/people").await.form("/admin/people");
        let page = app.admin.try_submit(form.with("login", COMPOSED).with("name", "Another")).await;
        assert_eq!(page.texts("#login-error").len(), 1, "{}", page.text());
    }
}

/// The same form from two browsers at once: every page that answers.
async fn from_two_browsers(app: &TestApp, forms: [Form; 2]) -> [Page; 2] {
    let [first, second] = forms;
    let (first, second) = tokio::join!(app.admin.try_submit(first), app.admin.try_submit(second));
    [first, second]
}

on_both_databases! {
    async fn two_who_make_the_same_thing_at_once_make_it_once_and_are_told(database: TestDb) {
        let (app, project) = open(database).await;
        for n in 0..4 {
            let name = format!("same{n}");
            let project_form = app.admin.get("/projects/new").await.form("/projects/new").with("name", &name);
            let person = app.admin.get("/admin/people").await.form("/admin/people");
            let person = person.with("login", &name).with("name", "Anna");
            let member = app.admin.get(&format!("{project}/people")).await.form("/people");
            let member = member.with("login", format!("member{n}")).with("name", "Anna");
            let member = member.choosing("role", "annotator");
            let prompts = app.admin.get(&format!("{project}/prompts")).await.form("/prompts");
            let prompts = prompts.with("prompts", format!("Question {n}?"));
            for form in [project_form, person, member, prompts] {
                // A field that nobody reads makes them two forms.
                let other = form.clone().choosing("window", "2");
                for page in from_two_browsers(&app, [form, other]).await {
                    assert!(page.status.is_success() || page.status == 422, "{}: {}", page.status, page.text());
                }
            }
        }
        let projects = project::Entity::find().filter(project::Column::Name.starts_with("same"));
        assert_eq!(projects.count(&app.rows).await.unwrap(), 4);
        let of_project = prompt::Entity::find().filter(prompt::Column::ProjectId.eq(id_of(&project)));
        assert_eq!(of_project.count(&app.rows).await.unwrap(), 4);
        let tasks = task::Entity::find().filter(task::Column::ProjectId.eq(id_of(&project)));
        assert_eq!(tasks.count(&app.rows).await.unwrap(), 4);
    }
}

on_both_databases! {
    async fn a_form_that_is_sent_twice_is_done_once(database: TestDb) {
        let (app, project) = open(database).await;
        let prompts = app.admin.get(&format!("{project}/prompts")).await.form("/prompts");
        let prompts = prompts.with("prompts", "One?\n\nTwo?");
        for page in from_two_browsers(&app, [prompts.clone(), prompts.clone()]).await {
            assert!(page.status.is_success());
        }
        app.admin.submit(prompts).await;
        let rows = prompt::Entity::find().filter(prompt::Column::ProjectId.eq(id_of(&project)));
        assert_eq!(rows.count(&app.rows).await.unwrap(), 2);

        // Whoever clicks twice sees the second answer, and the link is in it.
        let person = app.admin.get("/admin/people").await.form("/admin/people");
        let person = person.with("login", "anna").with("name", "Anna");
        let [first, second] = from_two_browsers(&app, [person.clone(), person]).await;
        assert_eq!(first.secret(), second.secret());

        let base = app.admin.get(&format!("{project}/models/new")).await.form("/models/new");
        let base = base.with("source", "org/name");
        from_two_browsers(&app, [base.clone(), base]).await;
        assert_eq!(run::Entity::find().count(&app.rows).await.unwrap(), 1);
        app.forget_runs().await;

        // Doing a thing again after another is doing it again.
        let people = app.admin.get(&format!("{project}/people")).await.form("/people").with("login", "anna");
        let [add, other] = ["annotator", "manager"].map(|role| people.clone().choosing("role", role));
        app.admin.submit(add.clone()).await;
        membership::Entity::delete_many().exec(&app.rows).await.unwrap();
        app.admin.submit(other).await;
        app.admin.submit(add).await;
        assert_eq!(membership::Entity::find().count(&app.rows).await.unwrap(), 2);
    }
}

on_both_databases! {
    async fn what_an_address_or_a_script_sends_damaged_is_told_and_not_taken_for_nothing(database: TestDb) {
        let (app, project) = open(database).await;
        let store = ArtifactStore::open(app.database.folder.path().join("artifacts")).unwrap();
        let model = add_model(&app.rows, &store, id_of(&project), "mine").await;
        let facts = format!("{project}/runs/new/sft/facts");
        app.admin.get(&format!("{facts}?model={model}")).await;
        app.admin.get(&format!("{facts}?model=")).await;
        assert_eq!(app.admin.try_get(&format!("{facts}?model=zzz")).await.status, 404);
        for (query, status) in [("after=x", 404), ("before=-1", 404), ("after=1&after=2", 400)] {
            let page = app.admin.try_get(&format!("{project}/prompts?{query}")).await;
            assert_eq!(page.status, status, "{query}: {}", page.text());
        }
        let chat = app.admin.get(&format!("{project}/models/{model}/chat")).await.form("/chat");
        let damaged = chat.with("message", "And then?").with("turns", "[{\"role\":\"user\",\"cont");
        assert_refused(&app.admin.try_submit(damaged).await, "message", "And then?");
    }
}

on_both_databases! {
    async fn continue_twice_does_not_say_that_there_is_nothing_to_go_on_from(database: TestDb) {
        let (app, project) = open(database).await;
        let run = add_run(&app.rows, id_of(&project)).await;
        let queued = run::ActiveModel { id: Set(run), status: Set(RunStatus::Queued), ..Default::default() };
        queued.update(&app.rows).await.unwrap();
        let token = app.admin.token().await;
        let address = format!("{project}/runs/{run}");
        app.admin.ask("post", &format!("{address}/resume"), &[("csrf", &token)]).await;
        let page = app.admin.get(&address).await;
        assert_eq!(page.texts("[role=status].note"), Vec::<String>::new());
        app.forget_runs().await;
    }
}
