//! More erasures than a statement takes values, as one person's texts or a common word leave them.

use super::bench::Bench;
use crate::support::{
    app::{TestApp, Worker},
    database::on_both_databases,
    eventually,
};
use annotator::keeping::erasure::finish::{self, Remains};
use entity::{
    account,
    erasure::{self, ErasureKind},
    hash::sha256_hex,
    ids::{AccountId, ErasureId},
    time::UnixMillis,
};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, DatabaseConnection, EntityTrait, PaginatorTrait, QueryFilter,
};
use std::time::Duration;

/// PostgreSQL takes 65,535 values, SQLite half as many.
const MANY: usize = 66_000;

/// Lines of texts that are gone from the rows and not yet from the disk.
async fn erase_many(db: &DatabaseConnection, by: Option<AccountId>) {
    let now = UnixMillis::now();
    let line = |n: usize| erasure::ActiveModel {
        id: Set(ErasureId::new()),
        kind: Set(ErasureKind::Text),
        subject: Set(sha256_hex(n.to_string())),
        reason: Set(format!("Paper {n}")),
        erased_by: Set(by),
        erased_at: Set(now),
        finished_at: Set(None),
        texts_left: Set(false),
    };
    for first in (0..MANY).step_by(3000) {
        let lines = (first..MANY.min(first + 3000)).map(line);
        erasure::Entity::insert_many(lines).exec_without_returning(db).await.unwrap();
    }
}

on_both_databases! {
    async fn many_erasures_come_to_an_end(database: TestDb) {
        let bench = Bench::new(database).await;
        erase_many(&bench.db, None).await;
        // Other databases of the cluster may hold an earlier state.
        let done = async || {
            let remains = finish::finish(&bench.db, &bench.store).await.unwrap();
            (remains == Remains::Nothing).then_some(())
        };
        eventually(Duration::from_secs(60), done, || "something remains".to_owned()).await;
        let waits = erasure::Entity::find().filter(erasure::Column::FinishedAt.is_null());
        assert_eq!(waits.count(&bench.db).await.unwrap(), 0);
        let noted = std::fs::read_to_string(bench.store.root().join("erasures.jsonl")).unwrap();
        assert_eq!(noted.lines().count(), MANY);
    }
}

on_both_databases! {
    async fn a_long_list_of_erasures_is_read_from_part_to_part_and_back(database: TestDb) {
        let app = TestApp::start(database, Worker::None).await;
        let admin = account::Entity::find().one(&app.rows).await.unwrap().unwrap();
        erase_many(&app.rows, Some(admin.id)).await;
        let papers = |from: usize| (from - 100..from).rev().map(|n| format!("Paper {n}")).collect::<Vec<_>>();
        let first = app.admin.get("/admin/erasures").await;
        assert_eq!(first.texts("td:nth-child(2)"), papers(MANY));
        assert!(first.links("a[rel=prev]").is_empty());
        let next = &first.links("a[rel=next]")[0];
        let second = app.admin.get(&format!("/admin/erasures{next}")).await;
        assert_eq!(second.texts("td:nth-child(2)"), papers(MANY - 100));
        assert_eq!(second.texts("td:nth-child(3)")[0], admin.display_name);
        let back = &second.links("a[rel=prev]")[0];
        let back = app.admin.get(&format!("/admin/erasures{back}")).await;
        assert_eq!(back.texts("td:nth-child(2)"), papers(MANY));
    }
}
