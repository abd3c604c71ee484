//! Files of rows in TRL's formats into a project. A file is looked through first, and goes in whole
//! or not at all unless whoever sends it wants what cannot be read left out; going in twice changes
//! nothing. It is stored in short transactions: what stops half-way stays, and goes on with the
//! same file.

pub mod check;
pub mod job;
pub mod limits;
pub mod lines;
pub mod queue;
pub mod records;
pub mod spool;
pub mod store;

use crate::{
    config::ImportConfig,
    data::{
        formats,
        import::{
            check::{CheckWatch, FileCheck, FileRows},
            limits::ImportLimits,
            store::RowChunks,
        },
    },
    database,
    people::{
        audit::{self, AuditAction, AuditSubject},
        projects,
    },
};
use anyhow::{Context, anyhow};
use entity::{
    dataset_version::DatasetKind,
    ids::ProjectId,
    import::{ImportCounts, RefusedLine},
};
use sea_orm::{DatabaseConnection, DbErr, Iterable};
use serde_json::{Value, json};
use std::{
    fs::File,
    io::{self, IsTerminal, Seek, stderr},
    path::Path,
    time::Instant,
};
use storage::database::{let_others_through, write};

/// The formats as an import counts them: prompts first.
pub fn counted_kinds() -> Vec<DatasetKind> {
    let mut kinds: Vec<DatasetKind> = DatasetKind::iter().collect();
    kinds.sort_by_key(|kind| *kind != DatasetKind::Prompts);
    kinds
}

/// What the audit log says of an import.
pub fn import_details(counts: &ImportCounts) -> Value {
    json!({"new": counts.new_rows(), "known": counts.known, "erased": counts.erased})
}

/// One line for a person at a shell.
pub fn summary(counts: &ImportCounts) -> String {
    let new = |kind: DatasetKind| {
        let n = counts.new.get(&kind).copied().unwrap_or_default();
        format!("{n} {}", formats::of(kind).words().counted)
    };
    let new: Vec<String> = counted_kinds().into_iter().map(new).collect();
    let (last, others) = new.split_last().expect("there are formats");
    format!("{} and {last} are new; {} rows were there", others.join(", "), counts.known)
}

/// The verb: looks through the file, makes the project if it is missing, and says what is new.
pub async fn run(request: ImportConfig) -> anyhow::Result<()> {
    let file = request.file.display();
    let opened = read_twice(&request.file).with_context(|| format!("{file} was not imported"))?;
    let mut check = look_through(&opened).with_context(|| format!("{file} was not imported"))?;
    if let Err(why) = check.verdict(request.leave_out) {
        let others = if check.n_rows > 0 && !request.leave_out {
            "\nNothing was imported; --leave-out imports the other rows"
        } else {
            ""
        };
        return Err(anyhow!("{file} was not imported: {why}{}{others}", told(&check)));
    }
    let db = database::open(&request.storage).await?;
    let project = project_of(&db, &request.project).await?;
    let mut counts = ImportCounts::default();
    let rows = FileRows::open(from_the_start(&opened)?, ImportLimits::SHELL)?;
    for chunk in RowChunks::new(rows, 0, request.leave_out) {
        let (chunk, began) = (chunk?, Instant::now());
        let rows = &chunk.rows;
        let stored = write(&db, |turn| async move { store::store(&turn, project, rows).await });
        let stored = stored.await?;
        counts.include(&stored.counts);
        check.leave_out(chunk.told(&stored));
        if stderr().is_terminal() {
            eprint!("\r{} of {} rows", counts.new_rows() + counts.known, check.n_rows);
        }
        let_others_through(began).await;
    }
    if stderr().is_terminal() {
        eprintln!();
    }
    let details = import_details(&counts);
    let subject = AuditSubject::project(project);
    audit::record_alone(&db, None, AuditAction::PromptImport, subject, details).await?;
    println!("{}: {}", request.project, summary(&counts));
    if check.n_refused > 0 {
        eprintln!("{} rows were left out:{}", check.n_refused, told(&check));
    }
    Ok(())
}

/// A file that can be read from its start again: what comes through a pipe comes once, and is kept.
fn read_twice(path: &Path) -> anyhow::Result<File> {
    let mut opened = File::open(path).context("it cannot be opened")?;
    if opened.metadata()?.is_file() {
        return Ok(opened);
    }
    let mut kept = tempfile::tempfile().context("what comes through a pipe cannot be kept")?;
    io::copy(&mut opened, &mut kept).context("it cannot be read")?;
    Ok(kept)
}

fn from_the_start(file: &File) -> io::Result<File> {
    let mut file = file.try_clone()?;
    file.rewind()?;
    Ok(file)
}

fn look_through(file: &File) -> anyhow::Result<FileCheck> {
    let file = from_the_start(file)?;
    Ok(FileCheck::of(file, ImportLimits::SHELL, &CheckWatch::default())?)
}

/// The lines that were refused, each on a line of its own.
fn told(check: &FileCheck) -> String {
    let told = check
        .refused
        .iter()
        .map(|RefusedLine { line, reason }| format!("\n  line {line}: {reason}"));
    let mut told: String = told.collect();
    let n_others = check.n_refused - check.refused.len() as u64;
    if n_others > 0 {
        told.push_str(&format!("\n  and {n_others} others"));
    }
    told
}

async fn project_of(db: &DatabaseConnection, name: &str) -> anyhow::Result<ProjectId> {
    if let Some(project) = projects::find_by_name(db, name).await? {
        return Ok(project.id);
    }
    let name = &projects::checked_name(name).map_err(|mistake| anyhow!("--project: {mistake}"))?;
    let made = write(db, |turn| async move {
        if let Some(project) = projects::find_by_name(&*turn, name).await? {
            return Ok::<_, DbErr>(project.id); // somebody was faster
        }
        Ok(projects::create(&*turn, name, projects::FIRST_GUIDELINES).await?.id)
    });
    let project = made.await?;
    println!("there was no project of that name: made {name}");
    Ok(project)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_new_is_counted_by_its_format() {
        let mut counts = ImportCounts::default();
        counts.count(DatasetKind::Preferences, true);
        counts.count(DatasetKind::Preferences, false);
        assert_eq!(
            summary(&counts),
            "0 prompts, 0 demonstrations and 1 preferences are new; 1 rows were there"
        );
    }
}
