//! More erasures than a statement takes values, as one person's texts or a common word leave them.

use super::{bench::Bench, erased_texts::keep};
use crate::support::{
    app::{TestApp, Worker},
    database::on_both_databases,
    eventually,
};
use annotator::{
    config::{EraseConfig, StorageConfig},
    keeping::{
        erasure::finish::{self, Remains},
        verbs,
    },
};
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
use storage::statements::recorded;

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

on_both_databases! {
    async fn the_guidelines_of_all_projects_are_read_once_however_many_texts_go(database: TestDb) {
        let (url, folder) = (database.url.clone(), database.folder.path().to_owned());
        let bench = Bench::new(database).await;
        for n in 0..5 {
            keep(&bench.db, &format!("Ignaz Quxtrop, number {n}")).await;
        }
        let storage = StorageConfig {
            data_dir: folder,
            database_url: Some(url),
            artifacts: None,
            no_migration_copy: false,
        };
        let request = EraseConfig {
            storage,
            text: None,
            containing: Some("Quxtrop".to_owned()),
            person: None,
            with_texts: false,
            guidelines: false,
            reason: "asked".to_owned(),
            yes: false,
        };
        let (told, statements) = recorded(verbs::erase(request)).await;
        told.unwrap();
        let reads = statements.iter().filter(|asked| asked.sql.contains(r#""project"."guidelines""#));
        assert_eq!(reads.count(), 1);
    }
}
