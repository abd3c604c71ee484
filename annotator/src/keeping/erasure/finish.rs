//! What is left of erased words once no row has them: files, freed pages of the database, copies
//! from before a migration.

use crate::keeping::backup::tables;
use crate::keeping::erasure::{
    journal::{self, JournalLine},
    scrub, texts,
};
use entity::{artifact, erasure, erasure::ErasureKind, time::UnixMillis};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseConnection, DbBackend, EntityTrait, QueryFilter,
    Statement, sea_query::Expr,
};
use std::fs;
use storage::artifact_store::ArtifactStore;

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
    let waiting: Vec<erasure::Model> =
        erasure::Entity::find().filter(erasure::Column::FinishedAt.is_null()).all(db).await?;
    if waiting.is_empty() {
        return Ok(Remains::Nothing);
    }
    let lines: Vec<JournalLine> = waiting.iter().map(JournalLine::from).collect();
    // Rows that were frozen while the words went may have them still.
    for text in waiting.iter().filter(|erasure| erasure.kind == ErasureKind::Text) {
        texts::empty_again(db, &text.subject, text.erased_at).await?;
    }
    let gone =
        artifact::Entity::find().filter(artifact::Column::ErasedAt.is_not_null()).all(db).await?;
    let runs = texts::runs_of_erased(db).await?;
    let is_over = runs.iter().all(|run| run.status.is_final());
    let (store, over) = (store.clone(), runs.into_iter().filter(|run| run.status.is_final()));
    let folders: Vec<_> = over.map(|run| store.run_folder(run.id)).collect();
    tokio::task::spawn_blocking(move || {
        journal::append(&store, &lines)?;
        for artifact in gone {
            store.erase(&artifact.hash)?;
        }
        for folder in folders.into_iter().chain([store.safety_copies()]) {
            if folder.exists() {
                fs::remove_dir_all(folder)?;
            }
        }
        anyhow::Ok(())
    })
    .await??;
    // In this order: writing the database anew takes long, and would have to be done again.
    if !(is_over && compact(db).await?) {
        return Ok(Remains::InUse);
    }
    erasure::Entity::update_many()
        .col_expr(erasure::Column::FinishedAt, Expr::value(UnixMillis::now()))
        .filter(erasure::Column::Id.is_in(waiting.iter().map(|erasure| erasure.id)))
        .exec(db)
        .await?;
    tracing::info!(n = waiting.len(), "nothing is left on the disk of what was erased");
    Ok(Remains::Nothing)
}

/// Writes the database anew, without what deleted rows left in it; false when a reader is in the
/// way. Whoever writes waits meanwhile.
async fn compact(db: &DatabaseConnection) -> anyhow::Result<bool> {
    let backend = db.get_database_backend();
    if backend == DbBackend::Postgres {
        // A plain VACUUM leaves the bytes of dead rows in their pages.
        for table in tables::all(db).await?.iter().filter(|table| holds_words(table)) {
            db.execute_unprepared(&format!(
                "VACUUM (FULL, ANALYZE) {}",
                tables::quoted(&table.name)
            ))
            .await?;
        }
        return Ok(true);
    }
    db.execute_unprepared("VACUUM").await?;
    let sql = Statement::from_string(backend, "PRAGMA wal_checkpoint(TRUNCATE)");
    let row = db.query_one_raw(sql).await?;
    Ok(row.map(|row| row.try_get_by_index::<i64>(0)).transpose()? == Some(0))
}

fn holds_words(table: &tables::TableShape) -> bool {
    table.name == "text" || table.name == "account" || !scrub::wordy(table).is_empty()
}
