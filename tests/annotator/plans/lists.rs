//! What lists cost: the last part as little as the first.

use super::*;
use crate::support::builders::add_run;
use annotator::{
    data::{
        dataset::{self, DatasetContents, PromptSelection},
        prompts,
    },
    people::notices,
    web::list_part::{ListPart, ListPosition},
};
use entity::{
    dataset_version,
    ids::{DatasetVersionId, PromptId},
    prompt, run,
};
use sea_orm::{ColumnTrait, QueryFilter, QueryOrder, QuerySelect, sea_query::Expr};

/// The parts of a project's lists, near their beginnings and near their ends, and what the header says
/// of a person's runs.
async fn read_lists(bench: &Bench, who: &account::Model, version: &dataset_version::Model) {
    let db = &bench.db;
    let newest = prompt::Entity::find().order_by_desc(prompt::Column::Id).all(db).await.unwrap();
    let after = |id: String| ListPosition { after: id, before: String::new() };
    let before = |id: String| ListPosition { after: String::new(), before: id };
    let places = [
        ListPosition::default(),
        after(newest[80].id.to_string()),
        before(newest[80].id.to_string()),
    ];
    for place in places {
        let key: (_, fn(&prompt::Model) -> PromptId) = (prompt::Column::Id, |row| row.id);
        let list = prompts::of_project(bench.project);
        let part = ListPart::load(db, list, key, &place, 10).await.unwrap();
        assert_eq!(part.rows.len(), 10);
    }
    let key: (_, fn(&dataset_version::Model) -> DatasetVersionId) =
        (dataset_version::Column::Id, |row| row.id);
    let list = dataset::versions_of(bench.project);
    ListPart::load(db, list, key, &after(version.id.to_string()), 10).await.unwrap();
    for first in [0, 90] {
        let rows = dataset::rows_of(db, version, first..first + 10).await.unwrap();
        assert_eq!(rows.len(), 10);
    }
    let unread = UnreadRuns::of(db, who).await.unwrap();
    assert_eq!((unread.n_unseen, unread.waits), (1, false));
    notices::ended_for(who).limit(10).all(db).await.unwrap();
    notices::unseen_by(who).limit(10).all(db).await.unwrap();
}

/// Runs of a person that have ended, all but the newest seen.
async fn launched(bench: &Bench, who: &account::Model) {
    let mut newest = add_run(&bench.db, bench.project).await;
    for _ in 0..300 {
        newest = add_run(&bench.db, bench.project).await;
    }
    let ended = run::Entity::update_many()
        .col_expr(run::Column::CreatedBy, Expr::value(who.id))
        .col_expr(run::Column::FinishedAt, Expr::value(UnixMillis::now()));
    ended.exec(&bench.db).await.unwrap();
    let seen = run::Entity::update_many()
        .col_expr(run::Column::SeenAt, Expr::value(UnixMillis::now()))
        .filter(run::Column::Id.ne(newest));
    seen.exec(&bench.db).await.unwrap();
    for _ in 0..300 {
        add_run(&bench.db, bench.project).await; // of others
    }
}

on_both_databases! {
    async fn no_list_costs_more_near_its_end_and_no_header_by_what_was_seen(database: TestDb) {
        let bench = Bench::new(database).await;
        large(&bench).await;
        let anna = person(&bench.db, "anna").await;
        let role = membership::ActiveModel {
            id: Set(MembershipId::new()),
            account_id: Set(anna.id),
            project_id: Set(bench.project),
            role: Set(ProjectRole::Engineer),
            created_at: Set(UnixMillis::now()),
        };
        membership::Entity::insert(role).exec_without_returning(&bench.db).await.unwrap();
        launched(&bench, &anna).await;
        let contents = DatasetContents::Prompts(PromptSelection::All);
        let frozen = dataset::freeze(&bench.db, &bench.store, bench.project, contents).await.unwrap();
        let version = frozen.record(&bench.db, None).await.unwrap();
        let version = dataset_version::Entity::find_by_id(version).one(&bench.db).await.unwrap().unwrap();
        bench.db.execute_unprepared("ANALYZE").await.unwrap();
        let ((), statements) = recorded(read_lists(&bench, &anna, &version)).await;
        let asked: Vec<&Statement> = statements.iter().filter(|it| it.sql.contains("LIMIT") || it.sql.contains("position")).collect();
        assert!(asked.len() >= 9, "only {} statements were seen", asked.len());
        for statement in asked {
            assert!(!statement.sql.contains("OFFSET"), "{}", statement.sql);
            if bench.db.get_database_backend() == DbBackend::Sqlite {
                let plan = sqlite_plan(&bench.db, statement).await;
                assert!(!is_linear(&plan), "{}\n{plan:#?}", statement.sql);
            } else {
                let (n, plan) = rows_looked_at(&bench.db, statement).await;
                assert!(n <= 30.0, "{n} rows: {}\n{plan:#}", statement.sql);
            }
        }
    }
}
