//! An assignment's life under whatever people do to it, in any order and at the same time: the slots
//! always add up, and nothing that was written is lost.

use super::bench::Bench;
use crate::support::database::on_both_databases;
use annotator::{
    data::{
        prompts,
        texts::{self, HashedText},
    },
    people::{
        accounts::{self, NewAccount},
        projects,
    },
    work::{
        assignment::{claim, expire_lapsed},
        drafts,
        form::{TaskForm, TaskSubmission},
        judgement::store,
        kinds::{self, skip},
        tasks::{self, NewTask},
    },
};
use entity::{
    assignment::{self, AssignmentState},
    conversation::PromptBody,
    draft,
    hash::sha256_hex,
    ids::{AccountId, AssignmentId, ProjectId},
    judgement,
    task::{self, TaskKind},
    time::UnixMillis,
};
use futures_util::future::join_all;
use proptest::{
    collection::vec,
    prelude::*,
    test_runner::{Config, TestRunner},
};
use sea_orm::{ColumnTrait, DatabaseConnection, EntityTrait, QueryFilter, sea_query::Expr};
use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicUsize, Ordering},
};

const N_PEOPLE: usize = 4;

/// What somebody does. `of` chooses among the assignments that they ever had.
#[derive(Clone, Copy, Debug)]
enum Deed {
    Claim,
    /// Types, which renews the lease.
    Type {
        of: usize,
    },
    /// Answers for the first time, too late, or anew. Twice is a double click.
    Answer {
        of: usize,
        twice: bool,
    },
    Skip {
        of: usize,
    },
    /// Does nothing for so long that the lease runs out.
    Sleep {
        of: usize,
    },
    /// Whatever ran out is taken back.
    Sweep,
}

/// By whom, and what.
type Step = Vec<(usize, Deed)>;

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let deed = prop_oneof![
        4 => Just(Deed::Claim),
        1 => any::<usize>().prop_map(|of| Deed::Type { of }),
        4 => any::<(usize, bool)>().prop_map(|(of, twice)| Deed::Answer { of, twice }),
        2 => any::<usize>().prop_map(|of| Deed::Skip { of }),
        2 => any::<usize>().prop_map(|of| Deed::Sleep { of }),
        2 => Just(Deed::Sweep),
    ];
    // Most steps are one deed, some are several at once.
    vec(vec((0..N_PEOPLE, deed), 1..=3), 1..=24)
}

/// A project of its own in a database that all cases share.
struct Office<'a> {
    db: &'a DatabaseConnection,
    project: ProjectId,
    people: Vec<AccountId>,
    /// How often something was written, so that every answer is another.
    n_written: AtomicUsize,
    /// The assignment and the text of every answer; none for a skip.
    said: Vec<(AssignmentId, Option<String>)>,
}

impl<'a> Office<'a> {
    async fn open(db: &'a DatabaseConnection, overlaps: &[i32]) -> Self {
        static N_OFFICES: AtomicUsize = AtomicUsize::new(0);
        let office = N_OFFICES.fetch_add(1, Ordering::Relaxed);
        let project = projects::create(db, &format!("Office {office}"), "").await.unwrap().id;
        for (n, overlap) in overlaps.iter().enumerate() {
            let text = PromptBody::Text(format!("question {n}")).to_canonical_json();
            let text = HashedText::new(text);
            let hash = text.hash();
            texts::store_all(db, vec![text]).await.unwrap();
            let prompt = prompts::place(db, project, &[hash]).await.unwrap()[0].0;
            let (kind, origin) = (TaskKind::Demonstrate, format!("test:{n}"));
            let new = NewTask { project, prompt, kind, overlap: *overlap, run: None, origin };
            tasks::ask(db, vec![new]).await.unwrap();
        }
        let mut people = Vec::new();
        for person in 0..N_PEOPLE {
            let new = NewAccount {
                login: format!("{office}.{person}"),
                display_name: "Somebody".to_owned(),
                password_hash: String::new(),
                is_admin: false,
                password_is_one_time: false,
            };
            people.push(accounts::create_account(db, new).await.unwrap().id);
        }
        Self { db, project, people, n_written: AtomicUsize::new(0), said: Vec::new() }
    }

    async fn take(&mut self, step: &Step) {
        let done = join_all(step.iter().map(|(who, deed)| self.do_it(self.people[*who], *deed)));
        let written = done.await;
        self.said.extend(written.into_iter().flatten());
        if let [(who, Deed::Type { of })] = step[..]
            && let Some(id) = self.assignment(self.people[who], of).await
        {
            let kept = draft::Entity::find_by_id(id).one(self.db).await.unwrap();
            let is_there = |draft: draft::Model| draft.body == r#"{"answer":"begun"}"#;
            assert!(kept.is_some_and(is_there), "a draft is lost");
        }
    }

    /// Returns what was sent, if something was.
    async fn do_it(&self, who: AccountId, deed: Deed) -> Option<(AssignmentId, Option<String>)> {
        match deed {
            Deed::Claim => {
                claim(self.db, who, self.project, TaskKind::Demonstrate).await.unwrap();
                None
            }
            Deed::Type { of } => {
                let id = self.assignment(who, of).await?;
                let row = assignment::Entity::find_by_id(id).one(self.db).await.unwrap().unwrap();
                let begun = TaskForm::default().with("answer", "begun");
                let begun = begun.with("draft_version", row.draft_version.to_string());
                drafts::keep(self.db, who, id, begun).await.unwrap();
                None
            }
            Deed::Answer { of, twice } => {
                let id = self.assignment(who, of).await?;
                let text = format!("text {}", self.n_written.fetch_add(1, Ordering::Relaxed));
                let sent = answer(&text);
                let first = store(self.db, who, id, sent.clone()).await.unwrap();
                if twice {
                    let again = store(self.db, who, id, sent).await.unwrap();
                    assert_eq!(again, first, "a double click is one answer");
                }
                Some((id, Some(text)))
            }
            Deed::Skip { of } => {
                let id = self.assignment(who, of).await?;
                store(self.db, who, id, skipped()).await.unwrap();
                Some((id, None))
            }
            Deed::Sleep { of } => {
                let id = self.assignment(who, of).await?;
                assignment::Entity::update_many()
                    .col_expr(assignment::Column::ExpiresAt, Expr::value(UnixMillis(1)))
                    .filter(assignment::Column::Id.eq(id))
                    .exec(self.db)
                    .await
                    .unwrap();
                None
            }
            Deed::Sweep => {
                expire_lapsed(self.db).await.unwrap();
                None
            }
        }
    }

    async fn assignment(&self, who: AccountId, of: usize) -> Option<AssignmentId> {
        let mine = assignment::Entity::find().filter(assignment::Column::AccountId.eq(who));
        let mut mine: Vec<_> = mine.all(self.db).await.unwrap().iter().map(|row| row.id).collect();
        mine.sort_unstable();
        (!mine.is_empty()).then(|| mine[of % mine.len()])
    }

    /// What holds after every step.
    async fn check(&self) {
        let tasks = task::Entity::find().filter(task::Column::ProjectId.eq(self.project));
        for task in tasks.all(self.db).await.unwrap() {
            let rows = assignment::Entity::find().filter(assignment::Column::TaskId.eq(task.id));
            let rows = rows.all(self.db).await.unwrap();
            let n = |state| rows.iter().filter(|row| row.state == state).count() as i32;
            let (leased, submitted) = (n(AssignmentState::Leased), n(AssignmentState::Submitted));
            assert!((0..=task.overlap).contains(&task.open_slots), "{task:?}");
            assert_eq!(task.open_slots, task.overlap - leased - submitted, "{task:?}\n{rows:#?}");
            assert!(submitted <= task.overlap, "{task:?}\n{rows:#?}");
            for row in &rows {
                self.check_words(row).await;
            }
        }
    }

    /// Everything that was said on an assignment is there, revision by revision, and its state is
    /// what the newest of them says.
    async fn check_words(&self, row: &assignment::Model) {
        let stored = judgement::Entity::find().filter(judgement::Column::AssignmentId.eq(row.id));
        let stored = stored.all(self.db).await.unwrap();
        let said: Vec<_> = self.said.iter().filter(|(id, _)| *id == row.id).collect();
        let revisions: BTreeSet<i32> = stored.iter().map(|row| row.revision).collect();
        assert!(revisions.into_iter().eq(1..=said.len() as i32), "{said:?}\n{stored:#?}");
        let texts: BTreeSet<String> =
            kinds::text_hashes(stored.iter().map(|row| &row.payload)).collect();
        for (_, text) in said {
            let hash = text.as_ref().map(sha256_hex);
            assert!(hash.is_none_or(|hash| texts.contains(&hash)), "{text:?} is lost");
        }
        let newest = stored.iter().max_by_key(|row| row.revision);
        let ended = match (row.state, newest) {
            (AssignmentState::Leased | AssignmentState::Expired, newest) => newest.is_none(),
            (AssignmentState::Skipped, Some(newest)) => is_skip(newest),
            (_, Some(newest)) => !is_skip(newest),
            (_, None) => false,
        };
        assert!(ended, "{row:?} does not say what {newest:?} says");
    }
}

fn is_skip(said: &judgement::Model) -> bool {
    kinds::stored_answer(&said.payload).kind().is_none()
}

fn answer(text: &str) -> TaskSubmission {
    let form = TaskForm::default().with("answer", text).with("idempotency_key", text);
    kinds::definition(TaskKind::Demonstrate).parse(&form).unwrap()
}

fn skipped() -> TaskSubmission {
    skip::parse(&TaskForm::default().with("reason", "unclear")).unwrap()
}

on_both_databases! {
    async fn whatever_people_do_the_slots_add_up_and_no_word_is_lost(database: TestDb) {
        let bench = Bench::new(database).await;
        let runtime = tokio::runtime::Handle::current();
        let mut runner = TestRunner::new(Config { cases: 48, failure_persistence: None, ..Config::default() });
        let cases = (vec(1..=3_i32, 1..=3), steps());
        let held = tokio::task::block_in_place(|| {
            runner.run(&cases, |(overlaps, steps)| {
                runtime.block_on(async {
                    let mut office = Office::open(&bench.db, &overlaps).await;
                    for step in &steps {
                        office.take(step).await;
                        office.check().await;
                    }
                });
                Ok(())
            })
        });
        held.unwrap();
    }
}

on_both_databases! {
    async fn an_answer_with_byte_0_in_it_is_not_lost(database: TestDb) {
        let bench = Bench::new(database).await;
        let office = Office::open(&bench.db, &[1]).await;
        let anna = office.people[0];
        let held = claim(&bench.db, anna, office.project, TaskKind::Demonstrate).await.unwrap().unwrap();
        let form = TaskForm::default().with("answer", "a\0b").with("idempotency_key", "key");
        let said = kinds::definition(TaskKind::Demonstrate).parse(&form).unwrap();
        let stored = store(&bench.db, anna, held.id, said).await.unwrap();
        let hash = kinds::stored_answer(&stored.payload).text_hash().unwrap().to_owned();
        let text = texts::load(&bench.db, &hash).await.unwrap();
        assert_eq!(text.as_deref(), Some("a\u{FFFD}b"));
    }
}
