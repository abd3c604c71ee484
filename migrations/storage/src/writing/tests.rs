//! Writers that get in each other's way, and readers beside them, on SQLite.

use super::*;
use crate::database::LockWait;
use sea_orm::{ConnectOptions, Database};
use std::sync::atomic::{AtomicUsize, Ordering};

/// A pool that does not wait for a lock, and has no connection of its own for writing.
async fn impatient(folder: &tempfile::TempDir) -> DatabaseConnection {
    let url = format!("sqlite://{}?mode=rwc", folder.path().join("a.db").display());
    let mut options = ConnectOptions::new(url);
    options.max_connections(2).map_sqlx_sqlite_opts(|sqlite| sqlite.busy_timeout(Duration::ZERO));
    Database::connect(options).await.unwrap()
}

#[tokio::test]
async fn a_writer_that_another_holds_up_is_tried_again_and_other_errors_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let db = impatient(&folder).await;
    let holder = tokio::sync::Mutex::new(Some(begin(&db).await.unwrap()));
    let n_tries = AtomicUsize::new(0);
    let written = retrying(|| async {
        if n_tries.fetch_add(1, Ordering::Relaxed) == 1
            && let Some(holder) = holder.lock().await.take()
        {
            holder.rollback().await?;
        }
        begin(&db).await
    })
    .await;
    assert!(written.is_ok());
    assert_eq!(n_tries.load(Ordering::Relaxed), 2);
    drop(written);

    let n_tries = AtomicUsize::new(0);
    let refused = retrying(|| {
        n_tries.fetch_add(1, Ordering::Relaxed);
        db.execute_unprepared("SELECT nothing FROM nowhere")
    })
    .await;
    assert!(refused.is_err());
    assert_eq!(n_tries.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn what_failed_leaves_nothing_and_what_was_in_the_way_is_done_from_its_beginning() {
    let folder = tempfile::tempdir().unwrap();
    let db = impatient(&folder).await;
    db.execute_unprepared("CREATE TABLE word (word text)").await.unwrap();
    let other = impatient(&folder).await;
    let holder = begin(&other).await.unwrap();
    let writing = write(&db, |turn| async move {
        turn.execute_unprepared("INSERT INTO word VALUES ('once')").await
    });
    let leaving = async {
        tokio::time::sleep(PAUSES[0] + PAUSES[1] / 2).await;
        holder.rollback().await
    };
    let (written, left) = tokio::join!(writing, leaving);
    left.unwrap();
    written.unwrap();
    let failed: Result<(), DbErr> = write(&db, |turn| async move {
        turn.execute_unprepared("INSERT INTO word VALUES ('never')").await?;
        Err(DbErr::Custom("a change of mind".into()))
    })
    .await;
    assert!(failed.is_err());
    let words = db
        .query_all_raw(sea_orm::Statement::from_string(DbBackend::Sqlite, "SELECT word FROM word"));
    let words: Vec<String> =
        words.await.unwrap().iter().map(|row| row.try_get("", "word").unwrap()).collect();
    assert_eq!(words, ["once"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn on_sqlite_readers_go_on_while_somebody_writes_and_writers_take_turns() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}?mode=rwc", folder.path().join("a.db").display());
    let missing = crate::database::MissingFile::AsTheUrlSays;
    // One connection for reading: were it the one that writes, the question would wait for ever.
    let (db, _) = crate::database::connect(&url, 1, missing, LockWait::Unbounded).await.unwrap();
    db.execute_unprepared("CREATE TABLE count (n integer)").await.unwrap();
    db.execute_unprepared("INSERT INTO count VALUES (0)").await.unwrap();
    let writing = begin_write(&db).await.unwrap();
    writing.execute_unprepared("UPDATE count SET n = 1").await.unwrap();
    let n = || async {
        let count = sea_orm::Statement::from_string(DbBackend::Sqlite, "SELECT n FROM count");
        db.query_one_raw(count).await.unwrap().unwrap().try_get::<i32>("", "n").unwrap()
    };
    assert_eq!(n().await, 0, "what is not committed is not read");
    writing.commit().await.unwrap();
    assert_eq!(n().await, 1);
    let increments = (0..50).map(|_| {
        let db = db.clone();
        tokio::spawn(async move {
            write(
                &db,
                |turn| async move { turn.execute_unprepared("UPDATE count SET n = n + 1").await },
            )
            .await
        })
    });
    for increment in increments.collect::<Vec<_>>() {
        increment.await.unwrap().unwrap();
    }
    assert_eq!(n().await, 51);
    let synchronous = begin_write(&db).await.unwrap();
    let row = sea_orm::Statement::from_string(DbBackend::Sqlite, "PRAGMA synchronous");
    let row = synchronous.query_one_raw(row).await.unwrap().unwrap();
    assert_eq!(row.try_get_by_index::<i32>(0).unwrap(), 2, "FULL: a commit is on the disk");
    drop(synchronous);
    close(db).await.unwrap();
}

/// A database as the programs open it, and its folder.
async fn opened(folder: &tempfile::TempDir) -> DatabaseConnection {
    let url = crate::database::sqlite_url(&folder.path().join("a.db"));
    let missing = crate::database::MissingFile::AsTheUrlSays;
    crate::database::connect(&url, 2, missing, LockWait::Unbounded).await.unwrap().0
}

async fn make_words(db: &DatabaseConnection) {
    let made = write(db, |turn: WriteTurn| async move {
        turn.execute_unprepared("CREATE TABLE word (word text)").await
    });
    made.await.unwrap();
}

/// Writes a word.
fn said(word: &'static str) -> impl Fn(WriteTurn) -> BoxedWrite {
    move |turn| {
        Box::pin(async move {
            turn.execute_unprepared(&format!("INSERT INTO word VALUES ('{word}')")).await
        })
    }
}

type BoxedWrite =
    std::pin::Pin<Box<dyn Future<Output = Result<sea_orm::ExecResult, DbErr>> + Send>>;

async fn n_words(db: &DatabaseConnection) -> i32 {
    let count = sea_orm::Statement::from_string(DbBackend::Sqlite, "SELECT count(*) n FROM word");
    db.query_one_raw(count).await.unwrap().unwrap().try_get("", "n").unwrap()
}

#[tokio::test]
async fn a_commit_whose_log_the_disk_does_not_take_is_not_acknowledged_nor_what_comes_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let db = opened(&folder).await;
    make_words(&db).await;
    write(&db, said("taken")).await.unwrap();
    // The connections have it open and go on; by its name there is nothing any more.
    let (log, elsewhere) = (folder.path().join("a.db-wal"), folder.path().join("elsewhere"));
    std::fs::rename(&log, &elsewhere).unwrap();
    write_unsynced(&db, said("typed")).await.expect("what is still typed waits for no disk");
    let refused = write(&db, said("refused")).await.unwrap_err();
    assert!(!is_conflict(&refused), "{refused}");
    std::fs::rename(&elsewhere, &log).unwrap();
    for again in [write(&db, said("sent")).await, write_unsynced(&db, said("typed")).await] {
        assert!(again.unwrap_err().to_string().contains("start the service anew"));
    }
    close(db).await.unwrap();
    let db = opened(&folder).await;
    settle_log(&db).await.unwrap();
    assert_eq!(log.metadata().unwrap().len(), 0, "all of it is in the file");
    write(&db, said("after the start")).await.unwrap();
    close(db).await.unwrap();
}

/// SQLite ends a transaction by itself when it is full, which the library does not count: it would take
/// the next for a part of that one, and what fails then would leave it open for ever.
#[tokio::test]
async fn what_is_acknowledged_after_a_write_found_no_room_and_another_failed_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let db = opened(&folder).await;
    make_words(&db).await;
    let too_much = |turn: WriteTurn| async move {
        turn.execute_unprepared("PRAGMA max_page_count = 1").await?;
        turn.execute_unprepared("INSERT INTO word VALUES (zeroblob(1000000))").await
    };
    let refused = |turn: WriteTurn| async move {
        turn.execute_unprepared("INSERT INTO word VALUES ('refused')").await?;
        Err::<(), _>(DbErr::Custom("for a reason of its own".to_owned()))
    };
    assert!(is_full(&write(&db, too_much).await.unwrap_err()));
    assert!(write(&db, refused).await.is_err());
    write(&db, said("sent")).await.unwrap();
    assert!(is_full(&write_unsynced(&db, too_much).await.unwrap_err()));
    assert!(write_unsynced(&db, refused).await.is_err());
    write_unsynced(&db, said("typed")).await.unwrap();
    assert_eq!(n_words(&db).await, 2, "readers see them");
    let other = opened(&folder).await;
    write(&other, said("of another process")).await.expect("no lock is left");
    assert_eq!(n_words(&db).await, 3);
}
