//! A prompt that should not be there: taken out of everybody's work, and back again.

use super::bench::{Bench, prefers};
use crate::support::{
    app::{TestApp, Worker},
    builders::add_comparisons,
    database::{TestDb, on_both_databases},
    people::{self, Judging},
    web::{Page, Visitor},
};
use annotator::data::{
    dataset::{self, DatasetContents, PromptSelection},
    formats::row::ImportRow,
    import, prompts,
};
use entity::{
    assignment, audit_log, dataset_version_item,
    ids::{DatasetVersionId, PromptId},
    judgement::{ComparisonVerdict, JudgementPayload},
    prompt,
    time::UnixMillis,
};
use reqwest::StatusCode;
use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter, sea_query::Expr};

/// A project with a prompt that is rubbish and, given after it, one that is not.
struct Office {
    app: TestApp,
    project: String,
    annotator: Visitor,
    manager: Visitor,
}

impl Office {
    async fn open(database: TestDb) -> Self {
        let app = TestApp::start(database, Worker::None).await;
        let project = app.new_project("Office").await;
        app.add_prompts(&project, ["Rubbish".to_owned()]).await;
        app.add_prompts(&project, ["Why is the sky blue?".to_owned()]).await;
        let annotator = app.new_person(&project, "annotator", &["annotator"]).await;
        let manager = app.new_person(&project, "manager", &["manager"]).await;
        Self { app, project, annotator, manager }
    }

    /// The page of the prompt that was given first.
    async fn rubbish(&self, who: &Visitor) -> Page {
        let list = self.manager.get(&format!("{}/prompts", self.project)).await;
        who.get(list.links("main a[href*='/prompts/']").last().expect("a prompt")).await
    }

    /// Presses the button of the manager's page that leads to `/withdraw` or `/restore`.
    async fn press(&self, button: &str) -> Page {
        self.manager.submit(self.rubbish(&self.manager).await.form(button)).await
    }

    /// What the annotator is asked now.
    async fn asked(&self) -> Page {
        self.annotator.get(&format!("{}/demonstrate", self.project)).await
    }

    async fn answer(&self, task: &Page) -> Page {
        let form = task.form(task.url.path()).with("answer", "An answer.");
        self.annotator.submit(form).await
    }

    async fn n_audited(&self, action: &str) -> u64 {
        let lines = audit_log::Entity::find().filter(audit_log::Column::Action.eq(action));
        lines.count(&self.app.rows).await.unwrap()
    }
}

fn is_asked(page: &Page, prompt: &str) -> bool {
    page.text().contains(prompt) && page.find_form(page.url.path()).is_some()
}

on_both_databases! {
    async fn a_withdrawn_prompt_is_asked_of_nobody_until_it_is_brought_back(database: TestDb) {
        let office = Office::open(database).await;
        let page = office.press("/withdraw").await;
        assert!(page.text().contains("Withdrawn on "), "{}", page.text());
        assert!(page.find_form("/withdraw").is_none(), "it is withdrawn already");
        let list = office.manager.get(&format!("{}/prompts", office.project)).await;
        assert_eq!(list.texts(".prompts .tag"), ["withdrawn"]);

        let home = office.annotator.get(&office.project).await;
        assert!(home.text().contains("Write answers (1)"), "{}", home.text());
        let asked = office.asked().await;
        assert!(is_asked(&asked, "Why is the sky blue?"), "{}", asked.text());
        let left = office.answer(&asked).await;
        assert!(left.text().contains("Nothing is left for you here"), "{}", left.text());

        let page = office.press("/restore").await;
        assert!(!page.text().contains("Withdrawn on "), "{}", page.text());
        assert!(is_asked(&office.asked().await, "Rubbish"));
    }
}

on_both_databases! {
    async fn pairs_of_a_withdrawn_prompt_wait_for_nobody(database: TestDb) {
        let office = Office::open(database).await;
        add_comparisons(&office.app.rows, &office.project, [2]).await;
        let figures = async || office.manager.get(&office.project).await.texts("dl.figures dd");
        assert_eq!(figures().await[3], "1");
        let list = office.manager.get(&format!("{}/prompts", office.project)).await;
        let newest = office.manager.get(&list.links("main a[href*='/prompts/']")[0]).await;
        office.manager.submit(newest.form("/withdraw")).await;
        assert_eq!(figures().await[3], "0");
        let compare = async || {
            people::compare(&office.annotator, &office.project, 1, Judging::ByTaste, |_| false).await
        };
        assert_eq!(compare().await, 0);
        let newest = office.manager.get(newest.url.path()).await;
        office.manager.submit(newest.form("/restore")).await;
        assert_eq!(compare().await, 1);
    }
}

on_both_databases! {
    async fn whoever_holds_the_task_of_a_withdrawn_prompt_may_finish(database: TestDb) {
        let office = Office::open(database).await;
        let held = office.asked().await;
        assert!(is_asked(&held, "Rubbish"), "the oldest comes first: {}", held.text());
        office.press("/withdraw").await;
        let again = office.asked().await;
        assert_eq!(again.url, held.url, "what somebody holds is not taken from them");

        assignment::Entity::update_many()
            .col_expr(assignment::Column::ExpiresAt, Expr::value(UnixMillis(1)))
            .exec(&office.app.rows)
            .await
            .unwrap();
        let next = office.asked().await;
        assert!(is_asked(&next, "Why is the sky blue?"), "a lease that ran out is over: {}", next.text());

        office.answer(&held).await;
        let page = office.rubbish(&office.manager).await;
        assert!(page.text().contains("An answer."), "what was written late is kept: {}", page.text());
    }
}

on_both_databases! {
    async fn withdrawing_twice_is_withdrawing_once_and_managers_alone_may(database: TestDb) {
        let office = Office::open(database).await;
        let engineer = office.app.new_person(&office.project, "engineer", &["engineer"]).await;
        let form = office.rubbish(&office.manager).await.form("/withdraw");
        for _ in 0..2 {
            office.manager.submit(form.clone()).await;
        }
        assert_eq!(office.n_audited("prompt.withdraw").await, 1);

        let seen = office.rubbish(&engineer).await;
        assert!(seen.text().contains("Withdrawn on "), "{}", seen.text());
        assert!(seen.find_form("/restore").is_none(), "an engineer has no button");
        let token = engineer.token().await;
        let address = format!("{}/restore", seen.url.path());
        let refused = engineer.ask("post", &address, &[("csrf", &token)]).await;
        assert_eq!(refused.status(), StatusCode::FORBIDDEN);
        let without_token = office.manager.ask("post", &address, &[("csrf", "made up")]).await;
        assert_eq!(without_token.status(), StatusCode::BAD_REQUEST);
        assert_eq!(office.n_audited("prompt.restore").await, 0);
    }
}

impl Bench {
    async fn prompts_in(&self, version: DatasetVersionId) -> Vec<PromptId> {
        let items = dataset_version_item::Entity::find()
            .filter(dataset_version_item::Column::DatasetVersionId.eq(version));
        items.all(&self.db).await.unwrap().iter().map(|item| item.prompt_id).collect()
    }

    async fn freeze_now(&self, contents: DatasetContents) -> DatasetVersionId {
        let frozen = dataset::freeze(&self.db, &self.store, self.project, contents).await.unwrap();
        frozen.record(&self.db, None).await.unwrap()
    }
}

on_both_databases! {
    async fn no_new_version_holds_a_withdrawn_prompt_or_what_was_said_of_it(database: TestDb) {
        let bench = Bench::new(database).await;
        let (good, rubbish) = (bench.prompt("Why?").await, bench.prompt("Rubbish").await);
        let text_hash = bench.text("An answer.").await;
        for prompt in [good, rubbish] {
            let asked = bench.demonstration(prompt).await;
            let said = JudgementPayload::Demonstration { text_hash: text_hash.clone() };
            bench.say(asked, 1, said, false).await;
            let asked = bench.comparison(prompt, ["one", "two"]).await;
            bench.say(asked, 1, prefers(ComparisonVerdict::Left(1)), false).await;
        }
        for contents in [DatasetContents::Prompts(PromptSelection::All), DatasetContents::Demonstrations, DatasetContents::Preferences] {
            let before = bench.freeze_now(contents).await;
            assert!(prompts::withdraw(&bench.db, rubbish).await.unwrap());
            let without = bench.freeze_now(contents).await;
            assert_eq!(bench.prompts_in(without).await, [good], "{contents:?}");
            assert_eq!(bench.prompts_in(before).await.len(), 2, "an older version stays as it was");
            assert!(prompts::restore(&bench.db, rubbish).await.unwrap());
            assert_eq!(bench.freeze_now(contents).await, before, "nothing was lost");
        }
    }
}

on_both_databases! {
    async fn giving_a_withdrawn_prompt_again_brings_it_back(database: TestDb) {
        let bench = Bench::new(database).await;
        let rows = [
            r#"{"prompt": "Why?"}"#,
            r#"{"prompt": "Why?", "completion": "So."}"#,
            r#"{"prompt": "Why?", "chosen": "So.", "rejected": "Well."}"#,
        ];
        for (row, n_new_again) in rows.into_iter().zip([1, 0, 0]) {
            let row = [ImportRow::parse(row).unwrap()];
            let give = async || import::store::store_all(&bench.db, bench.project, &row).await.unwrap();
            assert_eq!(give().await.new_rows(), 1);
            assert_eq!(give().await.new_rows(), 0);
            let prompt = prompt::Entity::find().one(&bench.db).await.unwrap().unwrap().id;
            assert!(prompts::withdraw(&bench.db, prompt).await.unwrap());
            assert_eq!(give().await.new_rows(), n_new_again);
            assert!(!prompts::restore(&bench.db, prompt).await.unwrap(), "it is back already");
        }
        assert_eq!(prompt::Entity::find().count(&bench.db).await.unwrap(), 1);
    }
}
