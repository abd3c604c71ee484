//! Storing rows in short transactions: nobody waits long for the write lock, and whoever stores the
//! same rows at the same time takes the same locks in the same order: texts, prompts, tasks, each
//! sorted.

use crate::data::{
    formats::{self, PlacedRow, row::ImportRow},
    import::check::{FileRow, FileRows},
    prompts,
    texts::{self, HashedText},
};
use entity::{
    dataset_version::DatasetKind, ids::ProjectId, import::ImportCounts, message,
    message::KeyedMessage,
};
use sea_orm::{DatabaseConnection, DatabaseTransaction, DbErr, Iterable};
use storage::database::write;

/// Rows that go into one transaction.
pub const CHUNK_ROWS: usize = 200;

/// Bytes of text that do; one row may be more.
pub const CHUNK_BYTES: usize = 1 << 20;

/// Rows for one transaction.
#[derive(Debug)]
pub struct RowChunk {
    pub rows: Vec<ImportRow>,
    /// Of the file: everything up to here is in this chunk or before it.
    pub last_line: u64,
}

/// The rows of a file after a line, in chunks. Lines that are no rows are left out, or end it.
pub struct RowChunks {
    rows: FileRows,
    after_line: u64,
    leaves_out: bool,
}

impl RowChunks {
    pub fn new(rows: FileRows, after_line: u64, leaves_out: bool) -> Self {
        Self { rows, after_line, leaves_out }
    }

    fn next_chunk(&mut self) -> Result<RowChunk, KeyedMessage> {
        let mut chunk = RowChunk { rows: Vec::new(), last_line: self.after_line };
        let mut n_bytes = 0;
        while chunk.rows.len() < CHUNK_ROWS && n_bytes < CHUNK_BYTES {
            match self.rows.next().transpose()? {
                None => break,
                Some(FileRow::Row { line, row }) if line > self.after_line => {
                    n_bytes += row.n_bytes();
                    chunk.rows.push(row);
                    chunk.last_line = line;
                }
                Some(FileRow::Refused(refused)) if !self.leaves_out => {
                    return Err(message!(
                        "import-line",
                        "line {line}: {why}",
                        line = refused.line,
                        why = refused.reason
                    ));
                }
                Some(_) => {}
            }
        }
        Ok(chunk)
    }
}

impl Iterator for RowChunks {
    type Item = Result<RowChunk, KeyedMessage>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.next_chunk() {
            Ok(chunk) if chunk.rows.is_empty() => None,
            chunk => Some(chunk),
        }
    }
}

/// Stores rows within a transaction.
pub async fn store(
    turn: &DatabaseTransaction,
    project: ProjectId,
    rows: &[ImportRow],
) -> Result<ImportCounts, DbErr> {
    let prompts: Vec<_> =
        rows.iter().map(|row| HashedText::new(row.prompt.to_canonical_json())).collect();
    let answers: Vec<Vec<_>> =
        rows.iter().map(|row| row.answers.iter().map(HashedText::new).collect()).collect();
    let asked: Vec<String> = prompts.iter().map(HashedText::hash).collect();
    let mut said: Vec<Vec<String>> =
        answers.iter().map(|row| row.iter().map(HashedText::hash).collect()).collect();
    texts::store_all(turn, prompts.into_iter().chain(answers.into_iter().flatten()).collect())
        .await?;
    let placed = prompts::place(turn, project, &asked).await?;
    let mut counts = ImportCounts::default();
    for kind in DatasetKind::iter() {
        let of_kind: Vec<PlacedRow> = rows
            .iter()
            .zip(&placed)
            .zip(&mut said)
            .filter(|((row, _), _)| row.kind == kind)
            .map(|((_, (prompt, is_new)), answers)| PlacedRow {
                prompt: *prompt,
                is_new_prompt: *is_new,
                answers: std::mem::take(answers),
            })
            .collect();
        if !of_kind.is_empty() {
            let new = formats::of(kind).store(turn, project, of_kind).await?;
            new.into_iter().for_each(|is_new| counts.count(kind, is_new));
        }
    }
    Ok(counts)
}

/// Stores rows, as many in a transaction as [`CHUNK_ROWS`].
pub async fn store_all(
    db: &DatabaseConnection,
    project: ProjectId,
    rows: &[ImportRow],
) -> Result<ImportCounts, DbErr> {
    let mut counts = ImportCounts::default();
    for chunk in rows.chunks(CHUNK_ROWS) {
        let stored = write(db, |turn| async move { store(&turn, project, chunk).await });
        counts.include(&stored.await?);
    }
    Ok(counts)
}
