//! The files of rows of one run: what it learns from, and what it is measured on.

use super::{
    AnswerPair, DataError, LoadedRows, PreferencePair, PromptIds, SupervisedExample, jsonl,
};
use crate::{job::Report, progress::say};
use entity::{message, message::KeyedMessage, report::LogLevel};
use std::{
    collections::{BTreeSet, HashSet},
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
};

/// A file of rows, with what it is called in what is said of it.
#[derive(Clone, Debug)]
pub struct RowFile<'a> {
    pub(super) path: &'a Path,
    pub(super) name: String,
}

impl<'a> RowFile<'a> {
    /// Called by the last `n` parts of its path.
    fn called_by(path: &'a Path, n: usize) -> Self {
        let parts: Vec<_> = path.components().collect();
        let name: PathBuf = parts[parts.len().saturating_sub(n)..].iter().collect();
        Self { path, name: name.to_string_lossy().into_owned() }
    }

    /// Two files, each by its own name, or by as much of its path as tells it from the other.
    fn both(one: &'a Path, other: &'a Path) -> [Self; 2] {
        let longest = one.components().count().max(other.components().count()).max(1);
        let called = |n| [one, other].map(|path| Self::called_by(path, n));
        let differ = |[one, other]: &[Self; 2]| one.name != other.name;
        (1..longest).map(called).find(differ).unwrap_or_else(|| called(longest))
    }
}

impl<'a> From<&'a Path> for RowFile<'a> {
    fn from(path: &'a Path) -> Self {
        Self::called_by(path, 1)
    }
}

impl<'a> From<&'a PathBuf> for RowFile<'a> {
    fn from(path: &'a PathBuf) -> Self {
        Self::from(path.as_path())
    }
}

/// A row that can be found again among others.
pub trait ComparedRow {
    /// The 0-based row of its file.
    fn place(&self) -> usize;

    /// Everything that is read of it.
    fn sequences(&self) -> [&[i64]; 2];
}

impl ComparedRow for SupervisedExample {
    fn place(&self) -> usize {
        self.index
    }

    fn sequences(&self) -> [&[i64]; 2] {
        [&self.ids, &[]]
    }
}

impl ComparedRow for AnswerPair {
    fn place(&self) -> usize {
        self.index
    }

    fn sequences(&self) -> [&[i64]; 2] {
        [&self.chosen, &self.rejected]
    }
}

impl ComparedRow for PreferencePair {
    fn place(&self) -> usize {
        self.index
    }

    fn sequences(&self) -> [&[i64]; 2] {
        [&self.chosen, &self.rejected]
    }
}

impl ComparedRow for PromptIds {
    fn place(&self) -> usize {
        self.index
    }

    fn sequences(&self) -> [&[i64]; 2] {
        [&self.ids, &[]]
    }
}

/// What a run learns from, and the rows that are kept for measuring.
#[derive(Debug)]
pub struct RunRows<T> {
    pub learnt: LoadedRows<T>,
    pub held_out: Vec<T>,
}

/// Reads the file that a run learns from, then the one that is held out, if there is one. Rows that are in
/// both are told: what is measured on them says nothing of new ones.
pub fn load_run_rows<T: ComparedRow>(
    learnt: &Path,
    held_out: Option<&Path>,
    report: &mut Report,
    load: impl Fn(RowFile, &mut Report) -> Result<LoadedRows<T>, DataError>,
) -> Result<RunRows<T>, DataError> {
    let Some(held_out) = held_out else {
        return Ok(RunRows { learnt: load(learnt.into(), report)?, held_out: Vec::new() });
    };
    let [learnt, held_out] = RowFile::both(learnt, held_out);
    let learnt = load(learnt, report)?;
    let LoadedRows { rows: held_out, counts } = load(held_out, report)?;
    let n = n_in_both(&learnt.rows, &held_out);
    if n > 0 {
        let in_both = message!(
            "data-held-out-learnt",
            "{file}: {n} of {rows} held-out rows are learnt from, too, so that what is measured on them says little about new ones; take them out of one of the two files",
            file = counts.of_file.file,
            n = n,
            rows = counts.of_file.rows
        );
        say(report, LogLevel::Warning, in_both);
    }
    Ok(RunRows { learnt, held_out })
}

/// What is wrong with a row that was read before, by its file and line.
pub fn problem_of_row(file: &Path, place: usize, problem: KeyedMessage) -> DataError {
    DataError::Line { file: file.to_path_buf(), line: line_of_row(file, place), problem }
}

/// The line of a row that was read before, counted from 1.
pub(super) fn line_of_row(file: &Path, place: usize) -> usize {
    let rows = jsonl::RowReader::open(file).ok();
    rows.and_then(|mut rows| rows.nth(place)?.ok()).map_or(place + 1, |row| row.number)
}

/// How many of the held-out rows are learnt from, too.
fn n_in_both<T: ComparedRow>(learnt: &[T], held_out: &[T]) -> usize {
    let known: HashSet<u64> = learnt.iter().map(hash).collect();
    let in_both = held_out.iter().filter(|row| known.contains(&hash(*row)));
    in_both.map(ComparedRow::place).collect::<BTreeSet<_>>().len()
}

fn hash(row: &impl ComparedRow) -> u64 {
    let mut hasher = DefaultHasher::new();
    row.sequences().hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_files_of_one_name_are_told_apart_by_their_folders() {
        let names = |one: &str, other: &str| {
            RowFile::both(Path::new(one), Path::new(other)).map(|file| file.name)
        };
        assert_eq!(names("data/train.jsonl", "data/eval.jsonl"), ["train.jsonl", "eval.jsonl"]);
        assert_eq!(names("a/rows.jsonl", "b/rows.jsonl"), ["a/rows.jsonl", "b/rows.jsonl"]);
        assert_eq!(names("rows.jsonl", "b/rows.jsonl"), ["rows.jsonl", "b/rows.jsonl"]);
        assert_eq!(names("/x/a/rows.jsonl", "/y/a/rows.jsonl")[0], "x/a/rows.jsonl");
        assert_eq!(names("a/rows.jsonl", "a/rows.jsonl")[1], "a/rows.jsonl", "one file");
    }
}
