//! A task that is open in several windows: whatever they send, in whatever order it arrives, an older
//! text never takes the place of a newer one, and no word is lost.

use super::bench::Bench;
use crate::support::{
    app::{TestApp, Worker},
    database::on_both_databases,
    web::Form,
};
use annotator::{
    people::accounts::{self, NewAccount},
    work::{
        assignment::claim,
        drafts::{self, DraftOutcome},
        form::TaskForm,
        judgement::{self, StoreError},
        kinds,
    },
};
use entity::{
    assignment, draft,
    ids::{AccountId, AssignmentId},
    task::TaskKind,
};
use proptest::{
    collection::vec,
    prelude::*,
    test_runner::{Config, TestRunner},
};
use reqwest::StatusCode;
use sea_orm::{DatabaseConnection, EntityTrait};
use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicUsize, Ordering},
};

/// What happens in a window, or to what it has sent. `which` chooses among that.
#[derive(Clone, Copy, Debug)]
enum Deed {
    Type {
        window: usize,
    },
    Save {
        window: usize,
    },
    Submit {
        window: usize,
    },
    /// Something arrives, perhaps late and perhaps again; `is_heard`: the answer comes back.
    Arrive {
        window: usize,
        which: usize,
        is_heard: bool,
    },
    Reload {
        window: usize,
    },
}

fn deed() -> impl Strategy<Value = Deed> {
    let window = 0..2_usize;
    prop_oneof![
        4 => window.clone().prop_map(|window| Deed::Type { window }),
        4 => window.clone().prop_map(|window| Deed::Save { window }),
        1 => window.clone().prop_map(|window| Deed::Submit { window }),
        6 => (window.clone(), any::<usize>(), any::<bool>())
            .prop_map(|(window, which, is_heard)| Deed::Arrive { window, which, is_heard }),
        1 => window.prop_map(|window| Deed::Reload { window }),
    ]
}

/// A text, as the words in it.
type Words = BTreeSet<String>;

fn words(form: &TaskForm) -> Words {
    form.get("answer").split_whitespace().map(str::to_owned).collect()
}

/// What a window has sent.
#[derive(Clone, Debug)]
enum Sent {
    Save(TaskForm),
    Submit(TaskForm),
}

/// A window of a person who, where there are two texts, makes one of both.
#[derive(Default)]
struct Window {
    name: String,
    seen: i64,
    n_writes: i64,
    text: Words,
    sent: Vec<Sent>,
}

impl Window {
    fn form(&mut self) -> TaskForm {
        self.n_writes += 1;
        let text: Vec<&str> = self.text.iter().map(String::as_str).collect();
        TaskForm::default()
            .with("answer", text.join(" "))
            .with("idempotency_key", format!("{}{}", self.name, self.n_writes))
            .with("draft_version", self.seen.to_string())
            .with("draft_window", &self.name)
            .with("draft_count", self.n_writes.to_string())
    }
}

/// A task of one person in two windows.
struct Desk<'a> {
    db: &'a DatabaseConnection,
    account: AccountId,
    assignment: AssignmentId,
    windows: [Window; 2],
    typed: Words,
    n_windows: usize,
}

impl<'a> Desk<'a> {
    async fn open(bench: &'a Bench) -> Self {
        static N_DESKS: AtomicUsize = AtomicUsize::new(0);
        let desk = N_DESKS.fetch_add(1, Ordering::Relaxed);
        annotator::data::prompts::add(
            &bench.db,
            bench.project,
            &[entity::conversation::PromptBody::Text(format!("question {desk}"))],
        )
        .await
        .unwrap();
        let new = NewAccount {
            login: format!("desk{desk}"),
            display_name: "Somebody".to_owned(),
            password_hash: String::new(),
            is_admin: false,
            password_is_one_time: false,
        };
        let account = accounts::create_account(&bench.db, new).await.unwrap().id;
        let held = claim(&bench.db, account, bench.project, TaskKind::Demonstrate).await.unwrap();
        let assignment = held.expect("a task").id;
        let mut desk = Self {
            db: &bench.db,
            account,
            assignment,
            windows: Default::default(),
            typed: Words::new(),
            n_windows: 0,
        };
        desk.reload(0).await;
        desk.reload(1).await;
        desk
    }

    /// The version, and then the text: what a page shows.
    async fn stored(&self) -> (i64, Words) {
        let row = assignment::Entity::find_by_id(self.assignment).one(self.db).await.unwrap();
        let row = row.unwrap();
        let draft = draft::Entity::find_by_id(self.assignment).one(self.db).await.unwrap();
        let stored = drafts::stored(self.db, &row, draft.as_ref()).await.unwrap();
        (row.draft_version, words(&stored.form))
    }

    async fn do_it(&mut self, deed: Deed) {
        match deed {
            Deed::Type { window } => {
                let word = format!("w{}", self.typed.len());
                self.typed.insert(word.clone());
                self.windows[window].text.insert(word);
            }
            Deed::Save { window } => {
                let form = self.windows[window].form();
                self.windows[window].sent.push(Sent::Save(form));
            }
            Deed::Submit { window } => {
                let form = self.windows[window].form();
                self.windows[window].sent.push(Sent::Submit(form));
            }
            Deed::Arrive { window, which, is_heard } => {
                let sent = &self.windows[window].sent;
                if sent.is_empty() {
                    return;
                }
                let sent = sent[which % sent.len()].clone();
                self.arrive(window, sent, is_heard).await;
            }
            Deed::Reload { window } => self.reload(window).await,
        }
    }

    async fn arrive(&mut self, window: usize, sent: Sent, is_heard: bool) {
        match sent {
            Sent::Save(form) => {
                let outcome = drafts::keep(self.db, self.account, self.assignment, form).await;
                match outcome.unwrap().expect("the person's own") {
                    DraftOutcome::Kept { version, .. } if is_heard => {
                        let seen = &mut self.windows[window].seen;
                        *seen = version.max(*seen);
                    }
                    DraftOutcome::Overtaken if is_heard => self.look(window).await,
                    _ => {}
                }
            }
            Sent::Submit(form) => {
                let Ok(said) = kinds::definition(TaskKind::Demonstrate).parse(&form) else {
                    return;
                };
                match judgement::store(self.db, self.account, self.assignment, said).await {
                    Ok(_) | Err(StoreError::Overtaken) if is_heard => self.look(window).await,
                    Ok(_) | Err(StoreError::Overtaken) => {}
                    Err(error) => panic!("{error}"),
                }
            }
        }
    }

    /// The person sees what is stored beside what the window holds, and goes on with both.
    async fn look(&mut self, window: usize) {
        let (version, text) = self.stored().await;
        self.windows[window].seen = version;
        self.windows[window].text.extend(text);
    }

    /// What the window held is kept in the browser; what it has sent may still arrive.
    async fn reload(&mut self, window: usize) {
        self.n_windows += 1;
        self.windows[window].name = format!("window{}", self.n_windows);
        self.windows[window].n_writes = 0;
        self.look(window).await;
    }
}

on_both_databases! {
    async fn whatever_two_windows_send_no_word_is_lost(database: TestDb) {
        let bench = Bench::new(database).await;
        let runtime = tokio::runtime::Handle::current();
        let config = Config { cases: 64, failure_persistence: None, ..Config::default() };
        let held = tokio::task::block_in_place(|| {
            TestRunner::new(config).run(&vec(deed(), 1..=40), |deeds| {
                runtime.block_on(async {
                    let mut desk = Desk::open(&bench).await;
                    let mut before = desk.stored().await;
                    for deed in deeds {
                        desk.do_it(deed).await;
                        let now = desk.stored().await;
                        assert!(now.0 >= before.0, "{deed:?}: version {} after {}", now.0, before.0);
                        // Whoever writes has seen what was there, and keeps it.
                        assert!(now.1.is_superset(&before.1), "{deed:?}: {now:?} after {before:?}");
                        before = now;
                    }
                    // In the end every window saves, looks where it must, and saves again.
                    for window in [0, 1, 0, 1] {
                        let form = desk.windows[window].form();
                        desk.arrive(window, Sent::Save(form), true).await;
                        let form = desk.windows[window].form();
                        desk.arrive(window, Sent::Save(form), true).await;
                    }
                    assert_eq!(desk.stored().await.1, desk.typed, "a word is lost");
                });
                Ok(())
            })
        });
        held.unwrap();
    }
}

/// The form of a task's page, as its button for saving sends it.
fn saving(form: &Form, text: &str) -> Form {
    let form = form.clone().with("answer", text);
    Form { action: format!("{}/draft", form.action), ..form }
}

on_both_databases! {
    async fn an_old_page_is_told_of_what_it_has_not_seen(database: TestDb) {
        let app = TestApp::start(database, Worker::None).await;
        let project = app.new_project("Two windows").await;
        app.add_prompts(&project, ["Why?".to_owned()]).await;
        let anna = app.new_person(&project, "anna", &["annotator"]).await;
        let old = anna.get(&format!("{project}/demonstrate")).await;
        let path = old.url.path().to_owned();
        let old = old.form(&path);
        anna.submit(saving(&anna.get(&path).await.form(&path), "newer")).await;

        // An older draft, an answer and a skip from the old page: both texts are shown, none is stored.
        let refused = anna.try_submit(saving(&old, "older")).await;
        assert_eq!(refused.status, StatusCode::CONFLICT);
        assert_eq!(refused.texts("main [data-other]"), ["newer"]);
        assert_eq!(refused.form(&path).value("answer"), Some("older"));
        let refused = anna.try_submit(old.clone().with("answer", "older answer")).await;
        assert_eq!(refused.status, StatusCode::CONFLICT);
        assert_eq!(anna.get(&path).await.form(&path).value("answer"), Some("newer"));
        let skip = Form { action: format!("{path}/skip"), ..old.clone() };
        assert_eq!(anna.try_submit(skip.choosing("reason", "unclear")).await.status, StatusCode::CONFLICT);
        assert_eq!(anna.get(&path).await.form(&path).value("answer"), Some("newer"));

        // Whoever has seen both may send theirs.
        anna.submit(refused.form(&path)).await;
        let again = anna.try_submit(old.with("answer", "a second answer")).await;
        assert_eq!(again.status, StatusCode::CONFLICT);
        assert_eq!(again.texts("main [data-other]"), ["older answer"]);
        assert!(again.text().contains("already"), "{}", again.text());
        let page = anna.submit(again.form(&path)).await;
        assert!(page.text().contains("replaces your earlier one"), "{}", page.text());
    }
}

on_both_databases! {
    async fn an_answer_that_comes_after_a_later_draft_of_the_same_text_is_stored(database: TestDb) {
        let app = TestApp::start(database, Worker::None).await;
        let project = app.new_project("One window").await;
        app.add_prompts(&project, ["Why?".to_owned()]).await;
        let anna = app.new_person(&project, "anna", &["annotator"]).await;
        let page = anna.get(&format!("{project}/demonstrate")).await;
        let path = page.url.path().to_owned();
        let sent = |n: &str| page.form(&path).with("draft_window", "one").with("draft_count", n);
        // A page that is still there after a while saves what it has sent.
        anna.submit(saving(&sent("2"), "Because.")).await;
        let answered = anna.try_submit(sent("1").with("answer", "Because.")).await;
        assert!(answered.status.is_success(), "{}: {}", answered.status, answered.text());
        // Not what came before something that it does not say.
        let page = anna.get(&path).await;
        let sent = |n: &str| page.form(&path).with("draft_window", "two").with("draft_count", n);
        anna.submit(saving(&sent("2"), "Because, and more.")).await;
        let late = anna.try_submit(sent("1").with("answer", "Why not?")).await;
        assert_eq!(late.status, StatusCode::CONFLICT);
    }
}
