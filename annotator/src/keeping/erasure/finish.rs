//! What is left of erased words once no row has them: files, freed pages of the database, copies
//! from before a migration.

use crate::{
    keeping::{
        backup::{before_migration, tables},
        erasure::{ErasureOrder, journal, people, scrub, texts},
    },
    training::stop,
};
use entity::{artifact, erasure, time::UnixMillis};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseConnection, DbBackend, DbErr, EntityTrait, ExecResult,
    QueryFilter, Statement, sea_query::Expr,
};
use std::{fs, time::Duration};
use storage::{
    artifact_store::ArtifactStore,
    database::{is_conflict, write},
    lookup::portions,
};

/// How often it is looked whether those who see an earlier state have ended, and how long after each
/// other.
const READERS_TRIES: u32 = 100;
const READERS_PAUSE: Duration = Duration::from_millis(50);

/// What is left to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remains {
    Nothing,
    /// A run that reads what is gone has been asked to stop, or somebody still reads an older state
    /// of the database: try again later.
    InUse,
}

/// Removes what is left. Doing it again does no harm.
pub async fn finish(db: &DatabaseConnection, store: &ArtifactStore) -> anyhow::Result<Remains> {
    for person in waiting(db).await?.iter().filter(|erasure| erasure.texts_left) {
        if let Ok(account) = person.subject.parse() {
            people::erase_texts(db, store, account, &ErasureOrder::from(person)).await?;
        }
    }
    let waiting = waiting(db).await?;
    if waiting.is_empty() {
        return Ok(Remains::Nothing);
    }
    let lines = journal::lines(db, &waiting).await?;
    // Rows that were frozen while the words went may have them still.
    texts::empty_again(db).await?;
    let gone =
        artifact::Entity::find().filter(artifact::Column::ErasedAt.is_not_null()).all(db).await?;
    stop::end_silent(db).await?;
    let runs = texts::runs_of_erased(db).await?;
    let is_over = runs.iter().all(|run| run.status.is_final());
    let (store, over) = (store.clone(), runs.into_iter().filter(|run| run.status.is_final()));
    let folders: Vec<_> = over.map(|run| store.run_folder(run.id)).collect();
    tokio::task::spawn_blocking(move || {
        journal::append(&store, &lines)?;
        for artifact in gone {
            store.erase(&artifact.hash)?;
        }
        for folder in folders.into_iter().filter(|folder| folder.exists()) {
            fs::remove_dir_all(folder)?;
        }
        before_migration::remove_all(&store.safety_copies())?;
        anyhow::Ok(())
    })
    .await??;
    // In this order: writing the database anew takes long, and would have to be done again.
    if !(is_over && compact(db).await?) {
        return Ok(Remains::InUse);
    }
    // By name: what was erased meanwhile is not over.
    for some in portions(waiting.iter().map(|erasure| erasure.id)) {
        let these = erasure::Column::Id.is_in(some);
        write(db, |turn| {
            let finished = erasure::Entity::update_many()
                .col_expr(erasure::Column::FinishedAt, Expr::value(UnixMillis::now()))
                .filter(these.clone());
            async move { finished.exec(&*turn).await }
        })
        .await?;
    }
    tracing::info!(n = waiting.len(), "nothing is left on the disk of what was erased");
    Ok(Remains::Nothing)
}

async fn waiting(db: &DatabaseConnection) -> Result<Vec<erasure::Model>, DbErr> {
    erasure::Entity::find().filter(erasure::Column::FinishedAt.is_null()).all(db).await
}

/// Writes the database anew, without what deleted rows left in it; false when somebody is in the
/// way. Whoever writes waits meanwhile; on PostgreSQL whoever reads the table does, too.
async fn compact(db: &DatabaseConnection) -> anyhow::Result<bool> {
    let backend = db.get_database_backend();
    if backend == DbBackend::Postgres {
        return compact_tables(db).await;
    }
    if !is_done(db.execute_unprepared("VACUUM").await)? {
        return Ok(false);
    }
    let sql = Statement::from_string(backend, "PRAGMA wal_checkpoint(TRUNCATE)");
    let row = db.query_one_raw(sql).await?;
    Ok(row.map(|row| row.try_get_by_index::<i64>(0)).transpose()? == Some(0))
}

/// The same on PostgreSQL, where a plain VACUUM leaves the bytes of dead rows in their pages. A table
/// that somebody reads is passed over, since everybody else would queue behind a lock that waits;
/// and while somebody sees a state before this one, dead rows would be written once more. So they
/// would while a transaction of any database goes on that began before: no snapshot is newer.
async fn compact_tables(db: &DatabaseConnection) -> anyhow::Result<bool> {
    let now = number(db, "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint").await?;
    let earlier = format!(
        "SELECT (pg_snapshot_xmin(pg_current_snapshot())::text::bigint < {now})::int::bigint + \
         (SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() \
         AND pid <> pg_backend_pid() AND age(backend_xmin) > age('{}'::xid))",
        now % (1 << 32)
    );
    let mut tries = READERS_TRIES;
    while number(db, &earlier).await? > 0 {
        if tries == 0 {
            return Ok(false);
        }
        tries -= 1;
        tokio::time::sleep(READERS_PAUSE).await;
    }
    for table in tables::all(db).await?.iter().filter(|table| holds_words(table)) {
        let name = tables::quoted(&table.name);
        let file = format!("SELECT pg_relation_filenode('{name}'::regclass)::bigint");
        let before = number(db, &file).await?;
        let anew = format!("VACUUM (FULL, ANALYZE, SKIP_LOCKED) {name}");
        if !is_done(db.execute_unprepared(&anew).await)? || number(db, &file).await? == before {
            return Ok(false);
        }
    }
    Ok(true)
}

/// False when another is in the way, such as somebody who erases at the same time.
fn is_done(done: Result<ExecResult, DbErr>) -> Result<bool, DbErr> {
    match done {
        Err(error) if is_conflict(&error) => Ok(false),
        done => done.map(|_| true),
    }
}

async fn number(db: &DatabaseConnection, sql: &str) -> anyhow::Result<i64> {
    let row = db.query_one_raw(Statement::from_string(db.get_database_backend(), sql)).await?;
    Ok(row.map(|row| row.try_get_by_index(0)).transpose()?.unwrap_or_default())
}

fn holds_words(table: &tables::TableShape) -> bool {
    table.name == "text" || table.name == "account" || !scrub::wordy(table).is_empty()
}
