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
    dataset_version::DatasetKind,
    ids::ProjectId,
    import::{ImportCounts, RefusedLine},
    message,
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
    /// Where each of them stands.
    pub lines: Vec<u64>,
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
        let mut chunk =
            RowChunk { rows: Vec::new(), lines: Vec::new(), last_line: self.after_line };
        let mut n_bytes = 0;
        while chunk.rows.len() < CHUNK_ROWS && n_bytes < CHUNK_BYTES {
            match self.rows.next().transpose()? {
                None => break,
                Some(FileRow::Row { line, row }) if line > self.after_line => {
                    n_bytes += row.n_bytes();
                    chunk.rows.push(row);
                    chunk.lines.push(line);
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

/// What became of rows.
#[derive(Debug, Default)]
pub struct StoredRows {
    pub counts: ImportCounts,
    /// Those with a text that was erased for the law, by their places: nothing came of them.
    pub erased: Vec<usize>,
}

impl RowChunk {
    /// Why nothing came of some of its lines.
    pub fn told(&self, stored: &StoredRows) -> impl Iterator<Item = RefusedLine> {
        stored.erased.iter().map(|place| RefusedLine {
            line: self.lines[*place],
            reason: message!(
                "row-erased",
                "its text was removed for the law before, and is not kept again"
            ),
        })
    }
}

/// A row with its texts as they are stored.
struct HashedRow {
    kind: DatasetKind,
    prompt: HashedText,
    answers: Vec<HashedText>,
}

impl HashedRow {
    fn of(row: &ImportRow) -> Self {
        let prompt = HashedText::new(row.prompt.to_canonical_json());
        Self { kind: row.kind, prompt, answers: row.answers.iter().map(HashedText::new).collect() }
    }

    fn texts(&self) -> impl Iterator<Item = &HashedText> {
        self.answers.iter().chain([&self.prompt])
    }
}

/// Stores rows within a transaction.
pub async fn store(
    turn: &DatabaseTransaction,
    project: ProjectId,
    rows: &[ImportRow],
) -> Result<StoredRows, DbErr> {
    let mut rows: Vec<HashedRow> = rows.iter().map(HashedRow::of).collect();
    let mut stored = StoredRows::default();
    // Before anything is stored: what comes beside an erased text is not kept either.
    let hashes = rows.iter().flat_map(HashedRow::texts).map(HashedText::hash);
    let gone = texts::erased_among(turn, hashes).await?;
    let is_gone = |row: &HashedRow| row.texts().any(|text| gone.contains(&text.hash()));
    stored.erased = (0..).zip(&rows).filter(|(_, row)| is_gone(row)).map(|(idx, _)| idx).collect();
    stored.counts.erased = stored.erased.len() as u64;
    rows.retain(|row| !is_gone(row));

    // None of them is erased meanwhile: those that were there are held, and the others are new.
    let new = rows.iter().flat_map(HashedRow::texts).cloned().collect();
    texts::store_all(turn, new).await?;
    let asked: Vec<String> = rows.iter().map(|row| row.prompt.hash()).collect();
    let placed = prompts::place(turn, project, &asked).await?;
    for kind in DatasetKind::iter() {
        let of_kind: Vec<PlacedRow> = rows
            .iter()
            .zip(&placed)
            .filter(|(row, _)| row.kind == kind)
            .map(|(row, (prompt, is_new))| PlacedRow {
                prompt: *prompt,
                is_new_prompt: *is_new,
                answers: row.answers.iter().map(HashedText::hash).collect(),
            })
            .collect();
        if !of_kind.is_empty() {
            let new = formats::of(kind).store(turn, project, of_kind).await?;
            new.into_iter().for_each(|is_new| stored.counts.count(kind, is_new));
        }
    }
    Ok(stored)
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
        counts.include(&stored.await?.counts);
    }
    Ok(counts)
}
