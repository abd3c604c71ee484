//! `annotator import` and the upload of prompts: JSON Lines in TRL's formats into a project.
//!
//! A file goes in whole or not at all, and going in twice changes nothing.

pub mod row;

use crate::{
    config::ImportConfig,
    data::{prompts, texts},
    database,
    people::projects,
    work::tasks::{self, NewTask},
};
use anyhow::Context;
use entity::{
    completion,
    conversation::PromptBody,
    ids::{CompletionId, JudgementId, ProjectId, TaskId},
    judgement::{self, ComparisonVerdict, JudgementPayload, ShownOrder},
    message,
    message::KeyedMessage,
    task, task_completion,
    time::UnixMillis,
};
use flate2::read::MultiGzDecoder;
use row::{Refusal, Row};
use sea_orm::{ActiveValue::Set, ConnectionTrait, DatabaseConnection, DbErr, EntityTrait};
use std::{
    fmt,
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::Path,
};
use storage::database::begin_write;

/// What a file brought. Rows that were there before are counted apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub prompts: usize,
    pub demonstrations: usize,
    pub preferences: usize,
    pub known: usize,
}

impl Counts {
    pub fn new_rows(&self) -> usize {
        self.prompts + self.demonstrations + self.preferences
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { prompts, demonstrations, preferences, known } = self;
        write!(
            f,
            "{prompts} prompts, {demonstrations} demonstrations and {preferences} preferences are new; {known} rows were there"
        )
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
pub fn read_file(path: &Path) -> anyhow::Result<Vec<Row>> {
    let name = path.display();
    let mut file = BufReader::new(File::open(path).with_context(|| format!("cannot read {name}"))?);
    let is_gzip =
        file.fill_buf().with_context(|| format!("cannot read {name}"))?.starts_with(&[0x1f, 0x8b]);
    let plain: Box<dyn Read> =
        if is_gzip { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) };
    read_rows(BufReader::new(plain)).with_context(|| format!("{name} was not imported"))
}

/// The rows of an upload, plain or gzip.
pub fn read_bytes(bytes: &[u8]) -> Result<Vec<Row>, KeyedMessage> {
    if bytes.starts_with(&[0x1f, 0x8b]) {
        return read_rows(BufReader::new(MultiGzDecoder::new(bytes)));
    }
    read_rows(bytes)
}

fn read_rows(lines: impl BufRead) -> Result<Vec<Row>, KeyedMessage> {
    let mut rows = Vec::new();
    for (line, text) in (1..).zip(lines.lines()) {
        let text = text.map_err(|error| unreadable(line, &error))?;
        // What some programs begin a UTF-8 file with.
        let text = if line == 1 { text.trim_start_matches('\u{feff}') } else { &text };
        if !text.trim().is_empty() {
            rows.push(Row::parse(text).map_err(|refusal| refused(line, &refusal))?);
        }
    }
    if rows.is_empty() {
        return Err(message!("import-no-rows", "there are no rows in it"));
    }
    Ok(rows)
}

fn refused(line: u64, refusal: &Refusal) -> KeyedMessage {
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
    rows: &[Row],
) -> Result<Counts, DbErr> {
    let turn = begin_write(db).await?;
    let counts = store(&turn, project, rows).await?;
    turn.commit().await?;
    Ok(counts)
}

async fn store(
    db: &impl ConnectionTrait,
    project: ProjectId,
    rows: &[Row],
) -> Result<Counts, DbErr> {
    let mut counts = Counts::default();
    for row in rows {
        let (is_new, counter) = match row {
            Row::Prompt(prompt) => (
                prompts::add(db, project, std::slice::from_ref(prompt)).await? == 1,
                &mut counts.prompts,
            ),
            Row::Demonstration { prompt, completion } => (
                store_demonstration(db, project, prompt, completion).await?,
                &mut counts.demonstrations,
            ),
            Row::Preference { prompt, chosen, rejected } => (
                store_preference(db, project, prompt, [chosen, rejected]).await?,
                &mut counts.preferences,
            ),
        };
        if is_new {
            *counter += 1;
        } else {
            counts.known += 1;
        }
    }
    Ok(counts)
}

async fn store_demonstration(
    db: &impl ConnectionTrait,
    project: ProjectId,
    prompt: &PromptBody,
    answer: &str,
) -> Result<bool, DbErr> {
    let (prompt, _) = prompts::store(db, project, prompt).await?;
    let text_hash = texts::store(db, answer).await?;
    let origin = format!("import:{prompt}:{text_hash}");
    let kind = task::TaskKind::Demonstrate;
    let new = NewTask { project, prompt, kind, overlap: 1, run: None, origin };
    let Some(task) = tasks::store_answered(db, new).await? else { return Ok(false) };
    judge(db, task, JudgementPayload::Demonstration { text_hash }, ShownOrder(Vec::new())).await?;
    Ok(true)
}

/// The chosen answer takes position 0 and is "shown" on the left: nobody was shown anything.
async fn store_preference(
    db: &impl ConnectionTrait,
    project: ProjectId,
    prompt: &PromptBody,
    answers: [&String; 2],
) -> Result<bool, DbErr> {
    let (prompt, _) = prompts::store(db, project, prompt).await?;
    let [chosen, rejected] = answers;
    let hashes = [texts::store(db, chosen).await?, texts::store(db, rejected).await?];
    let origin = format!("import:{prompt}:{}:{}", hashes[0], hashes[1]);
    let kind = task::TaskKind::Compare;
    let new = NewTask { project, prompt, kind, overlap: 1, run: None, origin };
    let Some(task) = tasks::store_answered(db, new).await? else { return Ok(false) };
    for (position, text_hash) in (0..).zip(hashes) {
        let completion = CompletionId::new();
        let row = completion::ActiveModel {
            id: Set(completion),
            prompt_id: Set(prompt),
            text_hash: Set(text_hash),
            model_id: Set(None),
            run_id: Set(None),
            sample_index: Set(position),
            finish_reason: Set(None),
            n_tokens: Set(None),
            created_at: Set(UnixMillis::now()),
        };
        completion::Entity::insert(row).exec_without_returning(db).await?;
        let place = task_completion::ActiveModel {
            task_id: Set(task),
            position: Set(position),
            completion_id: Set(completion),
        };
        task_completion::Entity::insert(place).exec_without_returning(db).await?;
    }
    let payload =
        JudgementPayload::Comparison { verdict: ComparisonVerdict::Left(2), rationale_hash: None };
    judge(db, task, payload, ShownOrder(vec![0, 1])).await?;
    Ok(true)
}

/// A judgement that came from elsewhere: of no assignment and no account.
async fn judge(
    db: &impl ConnectionTrait,
    task: TaskId,
    payload: JudgementPayload,
    shown_order: ShownOrder,
) -> Result<(), DbErr> {
    let row = judgement::ActiveModel {
        id: Set(JudgementId::new()),
        task_id: Set(task),
        assignment_id: Set(None),
        account_id: Set(None),
        revision: Set(1),
        payload: Set(payload),
        shown_order: Set(shown_order),
        idempotency_key: Set("import".to_owned()),
        lead_time_ms: Set(None),
        created_at: Set(UnixMillis::now()),
    };
    judgement::Entity::insert(row).exec_without_returning(db).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

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
