//! `erasures.jsonl` in the artifact store: what was erased, by hash or id. It outlives a database
//! that is restored from an older backup, and is written before anybody is told that something is
//! erased.

use crate::{
    keeping::{backup::manifest::ERASURES, erasure::ErasureOrder},
    people::audit::AuditAction,
};
use anyhow::{Context, anyhow};
use entity::{
    audit_log,
    erasure::{self, ErasureKind},
    ids::AccountId,
    json_problem,
    time::UnixMillis,
};
use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter};
use serde::{Deserialize, Serialize};
use std::{
    collections::{HashMap, HashSet, hash_map::Entry},
    fs::{self, File},
    io::{self, Write},
    path::Path,
};
use storage::{artifact_store::ArtifactStore, lookup::portions};

/// Beside the list, locked by whoever adds to it.
const LOCK: &str = "erasures.lock";

/// Where the audit log says that words went from guidelines, too: a restore does the same.
pub(super) const GUIDELINES: &str = "guidelines";

/// Likewise that a text went with its writer.
pub(super) const WITH_PERSON: &str = "with_person";

/// A line of the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalLine {
    pub kind: ErasureKind,
    pub subject: String,
    pub reason: String,
    pub erased_by: Option<AccountId>,
    pub erased_at: UnixMillis,
    /// Whether texts were still to go with a person.
    #[serde(default)]
    pub texts_left: bool,
    /// Whether a text's words went from guidelines, too.
    #[serde(default)]
    pub guidelines: bool,
    /// Whether a text went with its writer, and a short one stays in other people's rows.
    #[serde(default)]
    pub with_person: bool,
}

impl JournalLine {
    pub(super) fn new(kind: ErasureKind, subject: impl Into<String>, order: &ErasureOrder) -> Self {
        Self {
            kind,
            subject: subject.into(),
            reason: order.reason.clone(),
            erased_by: order.by,
            erased_at: order.at,
            texts_left: false,
            guidelines: order.guidelines,
            with_person: order.with_person,
        }
    }
}

/// The lines of erasures.
pub(super) async fn lines(
    db: &impl ConnectionTrait,
    rows: &[erasure::Model],
) -> Result<Vec<JournalLine>, DbErr> {
    let (mut in_guidelines, mut with_person) = (HashSet::new(), HashSet::new());
    for subjects in portions(rows.iter().map(|row| &row.subject)) {
        let told = audit_log::Entity::find()
            .filter(audit_log::Column::Action.eq(AuditAction::TextErase.code()))
            .filter(audit_log::Column::Subject.is_in(subjects))
            .all(db)
            .await?;
        for line in told {
            if line.details[WITH_PERSON] == true {
                with_person.insert(line.subject.clone());
            }
            if line.details[GUIDELINES] == true {
                in_guidelines.insert(line.subject);
            }
        }
    }
    let line = |row: &erasure::Model| JournalLine {
        kind: row.kind,
        subject: row.subject.clone(),
        reason: row.reason.clone(),
        erased_by: row.erased_by,
        erased_at: row.erased_at,
        texts_left: row.texts_left,
        guidelines: in_guidelines.contains(&row.subject),
        with_person: with_person.contains(&row.subject),
    };
    Ok(rows.iter().map(line).collect())
}

/// The lines of a file; none where it is not there.
pub fn read(file: &Path) -> anyhow::Result<Vec<JournalLine>> {
    Ok(whole(file)?.map(|(_, lines)| lines).unwrap_or_default())
}

/// The text of a file with its lines, all of which are erasures; none where it is not there.
pub(crate) fn whole(file: &Path) -> anyhow::Result<Option<(String, Vec<JournalLine>)>> {
    let shown = file.display();
    let text = match fs::read(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        bytes => bytes.with_context(|| format!("cannot read {shown}"))?,
    };
    let mut lines = Vec::new();
    for (idx, line) in text.split(|byte| *byte == b'\n').enumerate() {
        if line.trim_ascii().is_empty() {
            continue;
        }
        let read = serde_json::from_slice(line).map_err(|error| {
            let (n, why) = (idx + 1, json_problem::in_a_row(line, &error));
            anyhow!("line {n} of {shown} is no erasure: {why}")
        });
        lines.push(read?);
    }
    Ok(Some((String::from_utf8(text)?, lines)))
}

/// What lines say that more goes of each subject: texts of a person, words in guidelines.
#[derive(Default)]
struct NotedErasures<'a>(HashMap<(ErasureKind, &'a str), [bool; 2]>);

impl<'a> NotedErasures<'a> {
    /// Whether a line says more than those before it: a person whose texts were to stay, and are to go
    /// now, is noted again.
    fn add(&mut self, line: &'a JournalLine) -> bool {
        let more = [line.texts_left, line.guidelines];
        match self.0.entry((line.kind, &line.subject)) {
            Entry::Vacant(place) => {
                place.insert(more);
                true
            }
            Entry::Occupied(mut place) => {
                let before = *place.get();
                let both = [before[0] || more[0], before[1] || more[1]];
                place.insert(both);
                both != before
            }
        }
    }
}

/// Notes what was just erased.
pub(super) async fn note(store: &ArtifactStore, lines: Vec<JournalLine>) -> anyhow::Result<()> {
    let store = store.clone();
    tokio::task::spawn_blocking(move || append(&store, &lines)).await?
}

/// Adds the lines that are not in the store's file yet, and waits until they are on the disk. The
/// file is replaced as a whole: half a line would keep everything from being erased after it.
/// Whoever adds waits for others, of other processes, too.
pub(crate) fn append(store: &ArtifactStore, lines: &[JournalLine]) -> anyhow::Result<()> {
    if lines.is_empty() {
        return Ok(());
    }
    let path = store.root().join(ERASURES);
    let shown = path.display();
    let _alone = hold(store).with_context(|| format!("cannot lock {shown}"))?;
    let known = read(&path)?;
    let mut noted = NotedErasures::default();
    for line in &known {
        noted.add(line);
    }
    let new: Vec<_> = lines.iter().filter(|line| noted.add(line)).collect();
    if new.is_empty() {
        return Ok(());
    }
    let mut text = String::new();
    for line in known.iter().chain(new) {
        text += &serde_json::to_string(line)?;
        text.push('\n');
    }
    let write = || {
        let folder = store.incoming()?;
        let begun = folder.join(ERASURES);
        let mut file = File::create(&begun)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&begun, &path)?;
        fs::remove_dir(folder)?;
        File::open(store.root())?.sync_all()
    };
    write().with_context(|| format!("cannot write {shown}"))
}

/// A lock of the system, let go of when the file is dropped. On a file of its own: the list itself is
/// replaced.
fn hold(store: &ArtifactStore) -> io::Result<File> {
    let path = store.root().join(LOCK);
    let opened = File::options().create(true).truncate(false).write(true).open(&path);
    let file = match opened {
        // Another user made it.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => File::open(&path)?,
        opened => opened?,
    };
    file.lock()?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_adds_at_once_loses_no_line_of_another() {
        let disk = tempfile::tempdir().unwrap();
        let store = ArtifactStore::open(disk.path().join("artifacts")).unwrap();
        let order = ErasureOrder::now("asked", None);
        std::thread::scope(|scope| {
            for writer in 0..8 {
                let (store, order) = (&store, &order);
                scope.spawn(move || {
                    for n in 0..5 {
                        let subject = format!("{writer}-{n}");
                        let line = JournalLine::new(ErasureKind::Text, subject, order);
                        append(store, &[line.clone(), line]).unwrap();
                    }
                });
            }
        });
        let subjects: HashSet<_> = read(&store.root().join(ERASURES))
            .unwrap()
            .into_iter()
            .map(|line| line.subject)
            .collect();
        assert_eq!(subjects.len(), 40);
        assert_eq!(fs::read_dir(store.root().join("incoming")).unwrap().count(), 0);
    }

    #[test]
    fn only_what_says_more_is_noted_again() {
        let disk = tempfile::tempdir().unwrap();
        let store = ArtifactStore::open(disk.path().join("artifacts")).unwrap();
        let order = ErasureOrder::now("asked", None);
        let line = JournalLine::new(ErasureKind::Text, "hash", &order);
        let more = JournalLine::new(ErasureKind::Text, "hash", &order.with_guidelines(true));
        for line in [&line, &line, &more, &line, &more] {
            append(&store, std::slice::from_ref(line)).unwrap();
        }
        assert_eq!(read(&store.root().join(ERASURES)).unwrap(), [line, more]);
    }
}
