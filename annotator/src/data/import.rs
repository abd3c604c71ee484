//! `annotator import` and the upload of prompts: JSON Lines in TRL's formats into a project.
//!
//! A file goes in whole or not at all, and going in twice changes nothing.

use crate::{
    config::ImportConfig,
    data::formats::{
        self,
        row::{ImportRow, RowRefusal},
    },
    database,
    people::projects,
};
use anyhow::Context;
use entity::{dataset_version::DatasetKind, ids::ProjectId, message, message::KeyedMessage};
use flate2::read::MultiGzDecoder;
use sea_orm::{DatabaseConnection, DatabaseTransaction, DbErr, Iterable};
use std::{
    fmt,
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::Path,
};
use storage::database::begin_write;

/// What a file brought. Rows that were there before are counted apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportCounts {
    /// New rows by format, prompts first.
    pub new: Vec<(DatasetKind, usize)>,
    pub known: usize,
}

impl ImportCounts {
    fn none() -> Self {
        let mut kinds: Vec<DatasetKind> = DatasetKind::iter().collect();
        kinds.sort_by_key(|kind| *kind != DatasetKind::Prompts);
        Self { new: kinds.into_iter().map(|kind| (kind, 0)).collect(), known: 0 }
    }

    fn count(&mut self, kind: DatasetKind, is_new: bool) {
        let counter = self.new.iter_mut().find(|(counted, _)| is_new && *counted == kind);
        *counter.map_or(&mut self.known, |(_, n)| n) += 1;
    }

    pub fn new_rows(&self) -> usize {
        self.new.iter().map(|(_, n)| n).sum()
    }
}

impl fmt::Display for ImportCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (kind, n)) in self.new.iter().enumerate() {
            let separator = match at {
                0 => "",
                _ if at + 1 == self.new.len() => " and ",
                _ => ", ",
            };
            write!(f, "{separator}{n} {}", formats::of(*kind).words().counted)?;
        }
        write!(f, " are new; {} rows were there", self.known)
    }
}

/// The verb: reads the file, makes the project if it is missing, and says what is new.
pub async fn run(request: ImportConfig) -> anyhow::Result<()> {
    let rows = read_file(&request.file)?;
    let db = database::open(&request.storage).await?;
    let turn = begin_write(&db).await?;
    let project = match projects::find_by_name(&turn, &request.project).await? {
        Some(project) => project,
        None => {
            println!("there was no project of that name: made {}", request.project);
            projects::create(&turn, &request.project, projects::FIRST_GUIDELINES).await?
        }
    };
    let counts = store(&turn, project.id, &rows).await?;
    turn.commit().await?;
    println!("{}: {counts}", project.name);
    Ok(())
}

/// The rows of a file; `.gz` is told by its first bytes.
pub fn read_file(path: &Path) -> anyhow::Result<Vec<ImportRow>> {
    let name = path.display();
    let mut file = BufReader::new(File::open(path).with_context(|| format!("cannot read {name}"))?);
    let is_gzip =
        file.fill_buf().with_context(|| format!("cannot read {name}"))?.starts_with(&[0x1f, 0x8b]);
    let plain: Box<dyn Read> =
        if is_gzip { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) };
    read_rows(BufReader::new(plain)).with_context(|| format!("{name} was not imported"))
}

/// The rows of an upload, plain or gzip.
pub fn read_bytes(bytes: &[u8]) -> Result<Vec<ImportRow>, KeyedMessage> {
    if bytes.starts_with(&[0x1f, 0x8b]) {
        return read_rows(BufReader::new(MultiGzDecoder::new(bytes)));
    }
    read_rows(bytes)
}

fn read_rows(lines: impl BufRead) -> Result<Vec<ImportRow>, KeyedMessage> {
    let mut rows = Vec::new();
    for (line, text) in (1..).zip(lines.lines()) {
        let text = text.map_err(|error| unreadable(line, &error))?;
        // What some programs begin a UTF-8 file with.
        let text = if line == 1 { text.trim_start_matches('\u{feff}') } else { &text };
        if !text.trim().is_empty() {
            rows.push(ImportRow::parse(text).map_err(|refusal| refused(line, &refusal))?);
        }
    }
    if rows.is_empty() {
        return Err(message!("import-no-rows", "there are no rows in it"));
    }
    Ok(rows)
}

fn refused(line: u64, refusal: &RowRefusal) -> KeyedMessage {
    message!("import-line", "line {line}: {why}", line = line, why = refusal.message())
}

fn unreadable(line: u64, error: &io::Error) -> KeyedMessage {
    match error.kind() {
        io::ErrorKind::InvalidData => {
            message!("import-not-utf8", "line {line} is not UTF-8 text", line = line)
        }
        io::ErrorKind::UnexpectedEof => message!(
            "import-cut-off",
            "the compressed file ends too early, in line {line}; send it again",
            line = line
        ),
        _ => message!(
            "import-unreadable",
            "line {line} cannot be read: {why}",
            line = line,
            why = KeyedMessage::from(error)
        ),
    }
}

/// Uploads rows from the web app, all or none.
pub async fn store_all(
    db: &DatabaseConnection,
    project: ProjectId,
    rows: &[ImportRow],
) -> Result<ImportCounts, DbErr> {
    let turn = begin_write(db).await?;
    let counts = store(&turn, project, rows).await?;
    turn.commit().await?;
    Ok(counts)
}

async fn store(
    turn: &DatabaseTransaction,
    project: ProjectId,
    rows: &[ImportRow],
) -> Result<ImportCounts, DbErr> {
    let mut counts = ImportCounts::none();
    for row in rows {
        let is_new = formats::of(row.kind).store(turn, project, row).await?;
        counts.count(row.kind, is_new);
    }
    Ok(counts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn what_is_new_is_counted_by_its_format() {
        let mut counts = ImportCounts::none();
        counts.count(DatasetKind::Preferences, true);
        counts.count(DatasetKind::Preferences, false);
        assert_eq!(
            counts.to_string(),
            "0 prompts, 0 demonstrations and 1 preferences are new; 1 rows were there"
        );
    }

    const LINES: &str = "{\"prompt\":\"Q\"}\n\n{\"prompt\":\"Q\",\"completion\":\"A\"}\n";

    #[test]
    fn plain_and_gzip_bytes_are_the_same_rows() {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(LINES.as_bytes()).unwrap();
        assert_eq!(read_bytes(LINES.as_bytes()).unwrap().len(), 2);
        assert_eq!(
            read_bytes(&gzip.finish().unwrap()).unwrap(),
            read_bytes(LINES.as_bytes()).unwrap()
        );
    }

    #[test]
    fn a_refused_row_is_named_by_its_line() {
        let error =
            read_bytes(b"{\"prompt\":\"Q\"}\n\n{\"text\":\"T\"}\n").unwrap_err().to_string();
        assert!(error.starts_with("line 3: field `text`"), "{error}");
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_the_first_row() {
        let marked = format!("\u{feff}{LINES}");
        assert_eq!(read_bytes(marked.as_bytes()).unwrap(), read_bytes(LINES.as_bytes()).unwrap());
    }

    #[test]
    fn what_is_no_row_is_told_by_its_place_in_the_file() {
        let refusal = |bytes: &[u8]| read_bytes(bytes).unwrap_err().to_string();
        let broken = refusal(b"{\"prompt\":\"Q\"}\n{\"prompt\": Q}\n");
        assert_eq!(broken, "line 2: not JSON: expected value at character 12");
        let list = refusal(b"[{\"prompt\":\"Q\"}]");
        assert!(list.starts_with("line 1: not a row, which is a JSON object"), "{list}");
        assert_eq!(refusal(b"{\"prompt\":\"\xff\"}"), "line 1 is not UTF-8 text");
    }

    #[test]
    fn a_compressed_file_that_was_cut_off_is_told_so() {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(LINES.as_bytes()).unwrap();
        let whole = gzip.finish().unwrap();
        let error = read_bytes(&whole[..whole.len() - 9]).unwrap_err().to_string();
        assert!(error.contains("ends too early"), "{error}");
    }

    #[test]
    fn a_file_without_rows_is_refused() {
        assert!(read_bytes(b"\n\n").is_err());
    }
}
